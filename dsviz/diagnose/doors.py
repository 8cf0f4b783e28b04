"""The engine's doors that tell who came through: while a run is watched, they note the person's line."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dsviz.diagnose.record import Loader, Loss, Steps
from engine import autograd, grad_mode
from engine.grad_mode import state
from engine.location import user_frame
from engine.module import Module
from engine.nn import clip
from engine.optim.lr_scheduler import LRScheduler
from engine.optim.optimizer import Optimizer
from engine.tensor import Tensor
from engine.utils.data.loader import DataLoader
from engine.utils.data.sampler import SequentialSampler

if TYPE_CHECKING:
    from dsviz.diagnose.watch import Watch

RATES_KEPT = 4096  # learning rates of one optimizer that are remembered


def here(depth: int = 3) -> tuple[str, int]:
    """The person's file and line."""
    frame = user_frame(depth)
    return frame.f_code.co_filename, frame.f_lineno


@contextmanager
def doors(watch: Watch) -> Iterator[None]:
    """Note what comes through in the block, for `watch`."""
    kept: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        old = owner.__dict__[name]
        kept.append((owner, name, old))
        setattr(owner, name, wrap(old))

    for install in (_optimizers, _backward, _modes, _no_grad, _freezing, _leaving, _clipping, _loading):
        install(watch, replace)
    try:
        yield
    finally:
        for owner, name, old in reversed(kept):
            setattr(owner, name, old)


Replace = Callable[[Any, str, Callable[[Any], Any]], None]


def _optimizers(watch: Watch, replace: Replace) -> None:
    def init(old: Any) -> Any:
        def made(self: Optimizer, params: Any, defaults: dict[str, Any]) -> None:
            old(self, params, defaults)
            groups = self.param_groups
            steps = Steps(
                *here(), type(self).__name__, float(groups[0].get("lr", 0.0)), [p for g in groups for p in g["params"]],
            )  # fmt: skip
            steps.since = len(watch.record.losses)
            steps.stateful = type(self).__name__ != "SGD" or bool(groups[0].get("momentum"))
            watch.steps[self] = steps
            watch.record.optimizers.append(steps)

        return made

    def step(old: Any) -> Any:
        def stepped(self: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
            steps = watch.steps.get(self)
            if steps is None:
                return old(self, closure)
            return watch.stepped(steps, self, lambda: old(self, closure), here(), closure is not None)

        return stepped

    def zero(old: Any) -> Any:
        def zeroed(self: Any, set_to_none: bool = True) -> None:
            watch.zeroed(self, here())
            old(self, set_to_none)

        return zeroed

    def schedule(old: Any) -> Any:
        def scheduled(self: LRScheduler, optimizer: Optimizer, last_epoch: int = -1) -> None:
            old(self, optimizer, last_epoch)
            steps = watch.steps.get(optimizer)
            if steps is not None:
                steps.schedule = here()

        return scheduled

    def schedule_step(old: Any) -> Any:
        def scheduled(self: LRScheduler, epoch: int | None = None) -> None:
            steps = watch.steps.get(self.optimizer)
            if steps is not None:
                steps.schedule_step = here()
                (steps.later if steps.count else steps.early).append(steps.schedule_step)
                del steps.later[8:], steps.early[8:]
            old(self, epoch)

        return scheduled

    replace(LRScheduler, "step", schedule_step)
    replace(Optimizer, "__init__", init)
    replace(Optimizer, "step", step)
    replace(Optimizer, "zero_grad", zero)
    replace(Module, "zero_grad", zero)
    replace(LRScheduler, "__init__", schedule)


def _backward(watch: Watch, replace: Replace) -> None:
    def run(old: Any) -> Any:
        def ran(roots: Any, seeds: Any, *args: Any, **kwargs: Any) -> Any:
            place = here()
            watch.before_backward(place)
            for root in roots:
                seen = watch.record.find(root.id)
                value = None if seen is None else seen.value
                watch.record.losses.append(Loss(root.id, value, watch.turn, place))
            return old(roots, seeds, *args, **kwargs)

        return ran

    replace(autograd, "run", run)


def _modes(watch: Watch, replace: Replace) -> None:
    def train(old: Any) -> Any:
        def turned(self: Module, mode: bool = True) -> Module:
            kinds = [type(m).__name__ for m in self.modules()]
            loud = [k for k in kinds if k.startswith(("Dropout", "BatchNorm"))]
            before = watch.record.evaluated.get(id(self), {"calls": []})
            watch.record.evaluated[id(self)] = {
                "place": here(), "calls": before["calls"], "kind": loud[:1], "module": self,
                "on": not mode and bool(loud) and any(p.requires_grad for p in self.parameters()),
            }  # fmt: skip
            made: Module = old(self, mode)
            return made

        return turned

    def assign(old: Any) -> Any:
        def assigned(self: Module, name: str, value: Any) -> None:
            if isinstance(value, (list, tuple, dict)) and not name.startswith("_"):
                watch.record.lists[id(self), name] = (self, *here())
            old(self, name, value)

        return assigned

    def new(old: Any) -> Any:
        def made(cls: Any, *args: Any, **kwargs: Any) -> Any:
            module = (
                old.__func__(cls, *args, **kwargs) if hasattr(old, "__func__") else old(cls, *args, **kwargs)
            )
            watch.record.made[id(module)] = here()
            return module

        return made

    replace(Module, "__new__", new)
    replace(Module, "train", train)
    replace(Module, "__setattr__", assign)


def _no_grad(watch: Watch, replace: Replace) -> None:
    muted = watch.muted

    def enter(old: Any) -> Any:
        def entered(self: Any) -> None:
            if state.grad and not self._mode:
                muted.append(here())
            old(self)

        return entered

    def leave(old: Any) -> Any:
        def left(self: Any, *error: Any) -> None:
            old(self, *error)
            if state.grad:
                muted.clear()

        return left

    def decorate(old: Any) -> Any:
        def decorated(self: Any, function: Any) -> Any:
            made, mode = old(self, function), self._mode
            code = getattr(function, "__code__", None)

            def run(*args: Any, **kwargs: Any) -> Any:
                if state.grad and not mode and code is not None:
                    muted.append((code.co_filename, code.co_firstlineno))
                return made(*args, **kwargs)

            run.__wrapped__ = function  # type: ignore[attr-defined]
            return run

        return decorated

    def set_mode(old: Any) -> Any:
        def init(self: Any, mode: bool) -> None:
            if state.grad and not mode:
                muted.append(here())
            old(self, mode)
            if mode:
                muted.clear()

        return init

    replace(grad_mode._GradMode, "__enter__", enter)
    replace(grad_mode._GradMode, "__exit__", leave)
    replace(grad_mode._GradMode, "__call__", decorate)
    replace(grad_mode.set_grad_enabled, "__init__", set_mode)


def _freezing(watch: Watch, replace: Replace) -> None:
    def setter(old: Any) -> Any:
        def set_requires(self: Tensor, value: bool) -> None:
            if not value and self.node.requires and self.node.role == "parameter":
                watch.record.frozen[id(self.node)] = here()
                watch.parameters[id(self.node)] = self.node
            old.fset(self, value)

        return property(old.fget, set_requires)

    replace(Tensor, "requires_grad", setter)


def _leaving(watch: Watch, replace: Replace) -> None:
    """Values that leave the graph as plain numbers: numpy(), item(), tolist(), float()."""

    def take(old: Any) -> Any:
        def taken(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            node = self.node
            if node.op is None and node.inputs and node.inputs[0] is not None:
                node = node.inputs[0]  # of a detached tensor what it was taken from
            if node.role == "parameter" and node.requires and state.grad:
                watch.parameters[id(node)] = node
                watch.record.taken_parameters[id(node)] = here()
            if node.id and (node.requires or node.flowed):
                watch.record.taken[node.id] = here()
            return old(self, *args, **kwargs)

        return taken

    for name in ("numpy", "item", "tolist", "__array__"):
        replace(Tensor, name, take)


def _clipping(watch: Watch, replace: Replace) -> None:
    """Gradients that are clipped: were there any?"""

    def gradients(old: Any) -> Any:
        def found(parameters: Any) -> Any:
            arrays = old(parameters)
            calls = watch.record.clips.setdefault(here(4), [0, 0])
            calls[0] += 1
            calls[1] += not any(array.any() for array in arrays)
            return arrays

        return found

    replace(clip, "_gradients", gradients)


def _loading(watch: Watch, replace: Replace) -> None:
    """Loaders: the order of their items, and how far they are gone through."""
    loaders: weakref.WeakKeyDictionary[DataLoader, Loader] = weakref.WeakKeyDictionary()

    def init(old: Any) -> Any:
        def made(self: DataLoader, *args: Any, **kwargs: Any) -> None:
            old(self, *args, **kwargs)
            try:
                batches = len(self)
            except TypeError:
                return  # data without a length have no order of their own either
            inner = self.sampler if self.sampler is not None else getattr(self.batch_sampler, "sampler", None)
            loaders[self] = Loader(*here(), type(inner) is SequentialSampler, batches)
            watch.record.loaders.append(loaders[self])

        return made

    def iterate(old: Any) -> Any:
        def begun(self: DataLoader) -> Iterator[Any]:
            loader = loaders.get(self)
            if loader is None or not state.grad:
                return iter(old(self))
            loader.begun += 1
            loader.place = here()
            return counted(loader, old(self))

        return begun

    def counted(loader: Loader, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            loader.given += 1
            yield batch

    replace(DataLoader, "__init__", init)
    replace(DataLoader, "__iter__", iterate)


def moved(before: list[tuple[Any, Any]]) -> float:
    """How far parameters moved, for their size: `before` holds each with its old array."""
    with np.errstate(all="ignore"):
        far = math.sqrt(sum(float((abs(p.array - old) ** 2).sum()) for p, old in before))
        size = math.sqrt(sum(float((abs(old) ** 2).sum()) for _, old in before))
    return far / size if size else 0.0
