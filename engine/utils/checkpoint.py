"""Checkpointing: less memory for more time. What a part of a network saves for its gradient is computed again.

Chen et al. 2016, "Training deep nets with sublinear memory cost". The part runs and is recorded as ever, then what
its nodes saved is dropped. The first gradient that needs any of it runs the part again, with the random numbers of
the first run, and fills the nodes again: so gradients of any order are the same to the last bit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engine import backend, random
from engine.grad_mode import state
from engine.located import located
from engine.node import Node, order
from engine.tensor import Tensor

__all__ = ["checkpoint", "checkpoint_sequential"]


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _tensors(inner)


def _made(results: Any, start: int) -> list[Node]:
    """The nodes behind `results` that were made after number `start` (they count down), oldest first."""
    found: set[Node] = set()
    stack = [t.node for t in _tensors(results)]
    while stack:
        node = stack.pop()
        if node.order < start and node.op is not None and node.requires and node not in found:
            found.add(node)
            stack.extend(parent for parent in node.inputs if parent is not None)
    return sorted(found, key=lambda node: -node.order)


class Region:
    """One checkpointed call: how to run it again, and the nodes it made."""

    whole = False  # each node's gradient is taken for itself

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any, keep_random: bool) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.keep_random = keep_random
        self.random = random.get_rng_state()
        self.nodes: list[weakref.ref[Node]] = []
        self.skeletons: list[tuple[Any, ...] | None] = []
        self.done = False

    def run(self) -> Any:
        """Call the function and let go of what its nodes saved."""
        start = next(order)
        result = self._call()
        for i, node in enumerate(_made(result, start)):
            self.nodes.append(weakref.ref(node))
            saved = node.saved
            if saved is None:  # a checkpoint inside this one, whose nodes are now this one's
                inner, j = node.again
                saved = inner.skeletons[j]
            self.skeletons.append(tuple(None if backend.is_array(v) else v for v in saved or ()))
            node.saved, node.again = None, (self, i)
        return result

    def _call(self) -> Any:
        before, state.stepwise = state.stepwise, True
        try:
            return self.function(*self.args, **self.kwargs)
        finally:
            state.stepwise = before

    def restore(self) -> None:
        """Run the function again and give the nodes back what they saved."""
        self.done = True
        start = next(order)
        now = random.get_rng_state()
        kept = state.grad, state.phase, state.twin
        state.grad, state.phase, state.twin = True, 0, None
        if self.keep_random:
            random.set_rng_state(self.random)
        try:
            fresh = _made(self._call(), start)
        finally:
            state.grad, state.phase, state.twin = kept
            if self.keep_random:
                random.set_rng_state(now)
        self._compare(fresh)
        for reference, skeleton, again in zip(self.nodes, self.skeletons, fresh, strict=True):
            node = reference()
            if node is None:
                continue
            node.stamp = again.stamp
            if again.saved is None:  # of an inner checkpoint, which fills this node when it is asked
                inner, j = again.again
                inner.nodes[j] = weakref.ref(node)
                node.again = (inner, j)
                continue
            node.saved = tuple(
                value if backend.is_array(value) else kept_
                for value, kept_ in zip(again.saved, skeleton or (), strict=True)
            )
            node.again = None

    def _compare(self, fresh: list[Node]) -> None:
        before = [reference() for reference in self.nodes]
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        for old, new in zip(before, fresh, strict=False):
            if old is not None and (old.op is not new.op or old.shape != new.shape):
                raise located(
                    RuntimeError(
                        f"checkpoint: {name} did something else the second time: {old!r} at {old.filename}:{old.line}, "
                        f"then {new!r} at {new.filename}:{new.line}. It has to do the same for the same arguments"
                    )
                )
        if len(before) != len(fresh):
            raise located(
                RuntimeError(
                    f"checkpoint: {name} did something else the second time: {len(before)} ops, then {len(fresh)}. "
                    "It has to do the same for the same arguments"
                )
            )


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
    preserve_rng_state: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """`function(*args, **kwargs)`, of which nothing is kept for the gradient but the arguments; it runs again then.

    It has to do the same both times; random numbers of the default generator are the same unless
    `preserve_rng_state` is False. `use_reentrant` is taken for PyTorch's sake and changes nothing.
    Raises `RuntimeError` in the backward pass when the second run differs from the first.
    """
    if not callable(function):
        raise located(TypeError(f"checkpoint needs a function to call, got {type(function).__name__}"))
    if not state.grad:
        return function(*args, **kwargs)
    return Region(function, args, kwargs, preserve_rng_state).run()


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """`input` through `functions` (a list or a `Sequential`), in `segments` checkpointed parts but the last.

    Raises `ValueError` unless there are at least as many functions as segments.
    """
    steps = list(functions)
    if not 1 <= segments <= len(steps):
        raise located(ValueError(f"segments has to be from 1 to the {len(steps)} functions, got {segments}"))

    def several(part: Sequence[Any]) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for step in part:
                x = step(x)
            return x

        return run

    size = len(steps) // segments
    at = 0
    for _ in range(segments - 1):
        input = checkpoint(several(steps[at : at + size]), input, preserve_rng_state=preserve_rng_state)
        at += size
    return several(steps[at:])(input)
