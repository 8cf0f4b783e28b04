"""What all optimizers share: parameter groups, state, and an update that is a node."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from types import FrameType
from typing import Any

import numpy as np

from engine import backend, late
from engine.amp import autocast
from engine.bus import bus
from engine.grad_mode import no_grad, state
from engine.iteration import iteration
from engine.located import located
from engine.location import user_frame
from engine.memory import memory
from engine.node import OPTIMIZER, Watched, blank, order
from engine.op import OPS, Op
from engine.ops.complex import paired, parts_of
from engine.optim.step_hooks import Hooked
from engine.restructure import Parameters, fitted, structure
from engine.tensor import Tensor, UninitializedParameter
from engine.watched import begin, finish
from engine.writes import writes


def update_op(name: str, formula: str, source: str, state_names: tuple[str, ...] = ()) -> Op:
    """The record of an optimizer's update, so that it is listed, traced and shown as any other op."""

    def forward(xp: Any, parameter: Any, gradient: Any) -> Any:
        raise located(TypeError(f"{name} is an optimizer's update; it is run by its optimizer"))

    made = OPS[name] = Op(
        name,
        forward,
        family="other",
        shape=lambda parameter, gradient, **_: parameter,
        dtype=lambda parameter, gradient, **_: parameter,
        vjp=None,
        arg_names=("parameter", "gradient"),
        doc=f"The {name} update of one parameter, in place.",
        formula=formula,
        source=source,
        phase=OPTIMIZER,
    )
    return made


def at_least_zero(**options: float) -> dict[str, float]:
    """The options, if none is negative. Raises `ValueError` that names the one that is."""
    for name, value in options.items():
        if value < 0:
            raise located(ValueError(f"{name} has to be 0 or more, got {value}"))
    return options


def betas_of(betas: tuple[float, float]) -> tuple[float, float]:
    """The betas, if both are at least 0 and below 1. Raises `ValueError` that names the one that is not."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise located(ValueError(f"betas[{i}] has to be at least 0 and below 1, got {beta}"))
    return betas


HINTS = ("foreach", "fused", "capturable", "differentiable")


def known_hints(hints: dict[str, Any]) -> None:
    """Check PyTorch's options of how an update is computed: there is one way here, whatever they say.

    Raises `TypeError` for any other option, and `ValueError` for `differentiable=True`, which is not there.
    """
    for name, value in hints.items():
        if name not in HINTS:
            raise located(TypeError(f"no option {name!r} of an optimizer"))
        if name == "differentiable" and value:
            raise located(ValueError("differentiable=True: an update changes the parameters in place"))


def leaned(parameter: Any, gradient: Any, group: dict[str, Any]) -> Any:
    """The gradient with `maximize` and `weight_decay` applied; a decoupled decay shrinks the parameter instead."""
    if group["maximize"]:
        gradient = -gradient
    if group.get("weight_decay"):
        if group.get("decoupled_weight_decay"):
            parameter *= 1 - group["lr"] * group["weight_decay"]
        else:
            gradient = gradient + parameter * group["weight_decay"]
    return gradient


# Elements of a parameter that are updated together: with what belongs to them they stay in cache.
TOGETHER = 1 << 14


def pieces(*arrays: Any) -> Iterable[tuple[Any, ...]]:
    """Large arrays of one shape a cacheful at a time, for what is done element by element; None stays None."""
    first = arrays[0]
    if first.size <= TOGETHER or any(
        a is not None and (type(a) is not np.ndarray or not a.flags.c_contiguous or a.shape != first.shape)
        for a in arrays
    ):
        return (arrays,)
    flat = [None if a is None else a.reshape(-1) for a in arrays]
    return [
        tuple([None if a is None else a[start : start + TOGETHER] for a in flat])
        for start in range(0, first.size, TOGETHER)
    ]


living: weakref.WeakSet[Optimizer] = weakref.WeakSet()


class Optimizer(Hooked):
    """Base class: subclasses give `op` and `update(parameter, gradient, state, group)`.

    `params` are parameters, or dicts with "params" and the options of that group.
    Raises `ValueError` for an empty list and `TypeError` for what is no parameter.
    """

    op: Op
    at_once = False  # whether `together` serves in main memory too
    by_element = True  # whether each number is updated by itself, so that complex ones are two real ones
    counted = False  # whether what it computes on the CPU differs with the number of the step: it cannot be recorded

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._sources: list[list[Parameters]] = []  # for each group, the modules it follows
        self._version = structure.version
        living.add(self)
        if isinstance(params, Tensor):
            raise located(
                TypeError("params takes an iterable of tensors or of dicts, got one tensor; write [tensor]")
            )
        given: list[Any] = [{"params": params}] if isinstance(params, Parameters) else list(params)
        if not given:
            raise located(ValueError("an optimizer needs at least one parameter, got an empty list"))
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dict with "params" and, where they differ from the defaults, its options."""
        params = param_group["params"]
        sources = [params] if isinstance(params, Parameters) else []
        params = [params] if isinstance(params, Tensor) else list(params)
        if sources and not params:
            raise located(ValueError("an optimizer needs at least one parameter, got a module without any"))
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for i, parameter in enumerate(params):
            if not isinstance(parameter, Tensor):
                raise located(TypeError(f"params[{i}] has to be a tensor, got {type(parameter).__name__}"))
            if isinstance(parameter, UninitializedParameter):
                raise located(
                    ValueError(
                        f"params[{i}] has no size yet: call the lazy module once, then make the optimizer"
                    )
                )
            if parameter.is_complex() and not self.by_element:
                raise located(
                    RuntimeError(
                        f"{type(self).__name__} does not support complex parameters, params[{i}] is {parameter.dtype}"
                    )
                )
            if not parameter.is_leaf:
                raise located(
                    ValueError(f"params[{i}] is a result, not a leaf: an optimizer cannot change it")
                )
            if id(parameter) in known:
                raise located(
                    ValueError(f"params[{i}] is given twice; a parameter can be in one group, once")
                )
            known.add(id(parameter))
        for option in sorted(set(param_group) - set(self.defaults) - {"params", "name", "initial_lr"}):
            # An option of the person's own is theirs to use; one that is nearly ours is a slip of the pen.
            import difflib  # errors are rare, and it is slow to load

            near = difflib.get_close_matches(option, self.defaults, 1, 0.75)
            if near:
                raise located(
                    TypeError(
                        f"no option {option!r}, did you mean {near[0]!r}? There are {', '.join(self.defaults)}"
                    )
                )
        self.param_groups.append({**self.defaults, **param_group, "params": params})
        self._sources.append(sources)

    def _follow(self) -> None:
        """Take up what changed in the modules this was made of: new parameters, gone ones, other sizes."""
        self._version = structure.version
        for group, sources in zip(self.param_groups, self._sources, strict=True):
            if sources:
                group["params"] = [p for source in sources for p in source.again()]
        present = {p for group in self.param_groups for p in group["params"]}
        for gone in [p for p in self.state if p not in present]:
            del self.state[gone]
        for parameter, kept in self.state.items():
            for name, value in kept.items():
                if backend.is_array(value) and value.ndim and value.shape != parameter.shape:
                    empty = backend.namespace(value).zeros(parameter.shape, value.dtype)
                    kept[name] = fitted(value, parameter.shape, empty)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        if self._version != structure.version:
            self._follow()
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.array.fill(0)

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the array `parameter` in place."""
        raise located(NotImplementedError(f"{type(self).__name__} has no update"))

    def _update_parts(
        self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """`update` of a complex parameter: its real and its imaginary part learn on their own, as in PyTorch."""
        parts = parts_of(parameter)
        kept = {
            name: parts_of(value)
            if getattr(value, "shape", None) == parameter.shape and value.dtype.kind == "c"
            else value
            for name, value in state.items()
        }
        self.update(parts, parts_of(gradient), kept, group)
        for name, value in kept.items():
            state[name] = paired(value) if getattr(value, "shape", None) == parts.shape else value

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. Returns what `closure` gave, if one was given.

        Under mixed precision a step is left out when one of its gradients is not finite.
        """
        loss = closure() if closure is not None else None
        if self._version != structure.version:
            self._follow()
        late.settle()
        if bus.step:
            bus.emit("step", self)
        if autocast.watching and autocast.skips(
            [parameter.node for group in self.param_groups for parameter in group["params"]]
        ):
            iteration.step()
            return loss
        phase = state.phase
        state.phase = OPTIMIZER
        frame = user_frame(2)
        try:
            with no_grad(), np.errstate(all="ignore"):
                for group in self.param_groups:
                    given = [p for p in group["params"] if p.grad is not None]
                    if self.counted and given and type(given[0].array) is not np.ndarray:
                        from engine.gpu import capture  # a program on the CPU does not wait for it

                        capture.refuse(f"{type(self).__name__}'s count of its steps")
                    if given and not bus.active and (self.at_once or type(given[0].array) is not np.ndarray):
                        given = self._at_once(given, group, frame)
                    for parameter in given:
                        self._one(parameter, parameter.grad, group, frame)
        finally:
            state.phase = phase
        iteration.step()
        return loss

    def together(
        self, parameters: list[Any], gradients: list[Any], states: list[Any], group: dict[str, Any]
    ) -> bool:
        """Change the arrays `parameters` in place in one call, on a GPU in one launch; whether that was done."""
        return False

    def _at_once(self, given: list[Tensor], group: dict[str, Any], frame: FrameType) -> list[Tensor]:
        """Update those that can go together; returns the others."""
        kept = [self.state[p] for p in given]
        if not self.together(
            [p.array for p in given], [p.grad.array for p in given if p.grad is not None], kept, group
        ):
            return given
        for parameter in given:
            writes.note(parameter.array, self.op.name, frame=frame)
        return []

    def _one(
        self, parameter: Tensor, gradient: Tensor, group: dict[str, Any], frame: FrameType | None = None
    ) -> None:
        frame = frame or user_frame(2)
        kept = self.state[parameter]
        update = self.update if parameter.array.dtype.kind != "c" else self._update_parts
        if not bus.active:
            update(parameter.array, gradient.array, kept, group)
            writes.note(parameter.array, self.op.name, frame=frame)
            return
        node = blank(Watched)
        node.op = self.op
        node.inputs = (parameter.node, parameter.node.grad_source or gradient.node)
        node.order = next(order)
        node.requires = False
        node.shape, node.dtype = parameter.shape, parameter.array.dtype
        node.stamp = writes.count
        node.kwargs = {k: v for k, v in group.items() if isinstance(v, (int, float, str)) and k != "name"}
        node.code, node.lasti = frame.f_code, frame.f_lasti
        arrays = [parameter.array, gradient.array]
        loud = begin(node, arrays)
        update(parameter.array, gradient.array, kept, group)
        writes.note(parameter.array, self.op.name, frame=frame)
        if loud:
            node.duration = perf_counter_ns() - node.start
            for value in kept.values():
                if isinstance(value, type(parameter.array)):
                    memory.track(value, "optimizer", node)
            finish(node, parameter.array)

    def state_dict(self) -> dict[str, Any]:
        """State and options with the parameters as numbers, as PyTorch's."""
        self._tell("before saving")
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        found = {
            "state": {numbers[id(p)]: dict(kept) for p, kept in self.state.items()},
            "param_groups": [
                {**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups
            ],
        }
        return self._passed("after saving", found)  # type: ignore[no-any-return]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises `ValueError` when the groups differ in number or size."""
        state_dict = self._passed("before loading", state_dict)
        given = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in self.param_groups]
        if [len(g["params"]) for g in given] != sizes:
            raise located(
                ValueError(
                    f"the groups have {[len(g['params']) for g in given]} parameters, this optimizer's have {sizes}"
                )
            )
        for group, other in zip(self.param_groups, given, strict=True):
            group.update({k: v for k, v in other.items() if k != "params"})
        parameters = [p for g in self.param_groups for p in g["params"]]
        self.state.clear()
        for i, kept in state_dict["state"].items():
            self.state[parameters[int(i)]] = {
                k: v.copy() if hasattr(v, "copy") else v for k, v in kept.items()
            }
        self._tell("after loading")

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [
                f"Parameter Group {i}",
                *(f"    {k}: {group[k]}" for k in sorted(group) if k != "params"),
            ]
            lines += [""] * (i + 1 < len(self.param_groups))
        return "\n".join([*lines, ")"])
