"""A whole training step recorded once on a GPU, as one CUDA graph, and launched by a single call from then on.

A small network's step is a few hundred launches, each of which costs the CPU more than it costs the GPU: recorded, the
step costs what the GPU needs. Python runs while it is recorded and not afterwards, so this is for those who ask for it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine import backend, late
from engine.amp import autocast
from engine.bus import bus
from engine.located import located
from engine.tensor import Tensor

WARM = (
    2  # calls that run as written first: what is compiled, chosen or made once is there when it is recorded
)
KINDS = 8  # ways of calling one function that are kept


class Recorded:
    """One recorded call: where its arguments are read, what it gives, and the memory it works in."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        cupy = backend.require_cupy()
        self.inputs = [a.array.copy() if isinstance(a, Tensor) else None for a in args]
        given = [
            a if i is None else Tensor(i, a.requires_grad) for a, i in zip(args, self.inputs, strict=True)
        ]
        # Memory of its own: what a launch works in is nobody else's between two launches.
        self.memory = cupy.cuda.MemoryPool()
        self.kept: list[Any] = []
        late.settle()
        cupy.cuda.runtime.deviceSynchronize()
        stream, aside = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
        with stream, cupy.cuda.using_allocator(self.memory.malloc), _constants(cupy, aside, self.kept):
            stream.begin_capture()
            try:
                self.outputs = function(*given)
                late.settle()  # what is put off belongs to what is recorded
            except Exception:
                with contextlib.suppress(Exception):  # a recording that failed cannot be ended properly
                    stream.end_capture()
                raise
            self.graph = stream.end_capture()
        aside.synchronize()

    def launch(self, args: tuple[Any, ...]) -> Any:
        """Run it on these arguments. What comes back is a copy: the next launch overwrites the original."""
        for place, given in zip(self.inputs, args, strict=True):
            if place is not None:
                place[...] = given.array
        self.graph.launch()
        return _copied(self.outputs)


def _copied(found: Any) -> Any:
    if isinstance(found, Tensor):
        return Tensor(found.array.copy())
    if isinstance(found, (tuple, list)):
        return type(found)(_copied(each) for each in found)
    if isinstance(found, dict):
        return {key: _copied(value) for key, value in found.items()}
    return found


recording = False
_held: list[Any] = []  # by the recording under way


def hold(*arrays: Any) -> None:
    """Keep what a cache gave as long as the recording that was made with it, if one is under way."""
    if recording:
        _held.extend(arrays)


@contextlib.contextmanager
def _constants(cupy: Any, aside: Any, kept: list[Any]) -> Iterator[None]:
    """What is copied to the GPU meanwhile is copied once, beside the recording, and stays.

    A recorded copy would read the CPU's memory again at each launch, when something else is there.
    """
    global recording, _held
    plain = {name: getattr(cupy, name) for name in ("asarray", "array", "ascontiguousarray")}

    def beside(name: str) -> Callable[..., Any]:
        def copy(a: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(a, cupy.ndarray):
                return plain[name](a, *args, **kwargs)
            with aside:
                made = plain[name](a, *args, **kwargs)
                aside.synchronize()
            kept.append(made)
            return made

        return copy

    recording, _held = True, kept
    for name in plain:
        setattr(cupy, name, beside(name))
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(cupy, name, function)
        recording, _held = False, []


def refuse(what: str) -> None:
    """Raise `RuntimeError` where this is recorded: it would be the same at each launch, which is wrong for `what`."""
    if recording:
        raise located(
            RuntimeError(
                f"{what} cannot be recorded by ds.cuda.graphed: each launch would repeat it as it was"
            )
        )


def graphed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as one launch on a GPU, from its third call on with arguments of the same shapes.

    It is recorded once and not run by Python again: it has to do the same each time, on its arguments (tensors, and
    plain values, for each of which it is recorded anew) and on tensors that stay where they are, such as parameters.
    Put the forward pass, `backward()` and an SGD's `step()` in it, and call `item()` on what it returns. Without a
    GPU, under the debugger, a trace or `autocast`, it runs as written.

    Raises `RuntimeError` for what cannot be recorded: waiting for a value (`item()`, `if loss > 3`), random numbers,
    an optimizer that counts its steps (Adam), and the few ops that CuPy computes by cuBLAS itself (BatchNorm1d, einsum).

    >>> import engine as ds
    >>> double = ds.cuda.graphed(lambda x: x * 2)
    >>> double(ds.ones(2)).tolist()
    [2.0, 2.0]
    """
    calls: dict[Any, int] = {}
    recorded: dict[Any, Recorded] = {}

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        far = [a for a in args if isinstance(a, Tensor) and type(a.array) is not np.ndarray]
        somewhere = backend.cupy() is not None and len(far) == sum(isinstance(a, Tensor) for a in args)
        if not somewhere or bus.active or autocast.running or recording:
            return function(*args)
        key = tuple(
            (a.shape, a.dtype, a.requires_grad) if isinstance(a, Tensor) else (type(a), a) for a in args
        )
        made = recorded.get(key)
        if made is None:
            calls[key] = calls.get(key, 0) + 1
            if calls[key] <= WARM:
                return function(*args)
            if len(recorded) >= KINDS:
                recorded.clear()
            try:
                made = recorded[key] = Recorded(function, args)
            except Exception as error:
                if "captur" not in str(error).lower():
                    raise
                raise located(
                    RuntimeError(
                        f"{getattr(function, '__name__', 'the function')} cannot be recorded by ds.cuda.graphed: it waits for "
                        f"a value of the GPU, or runs what CuPy does not record ({error})"
                    )
                ) from error
        return made.launch(args)

    return call
