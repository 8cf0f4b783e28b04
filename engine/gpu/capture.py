"""A whole training step recorded once on a GPU, as one CUDA graph, and launched by a single call from then on.

A small network's step is a few hundred launches, each of which costs the CPU more than it costs the GPU: recorded, the
step costs what the GPU needs. Python runs while it is recorded and not afterwards, so this is for those who ask for it.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine import backend, late, random
from engine.amp import autocast
from engine.bus import bus
from engine.located import located
from engine.tensor import Tensor

WARM = (
    2  # calls that run as written first: what is compiled, chosen or made once is there when it is recorded
)
KINDS = 8  # ways of calling one function that are kept
ROOM = 1 << 12  # numbers that a recorded step may be told


class Told:
    """Plain numbers that are others at each launch: a place for them on the GPU, filled by one copy.

    They are words of 8 bytes, in arrays of float64 or uint64.
    """

    def __init__(self) -> None:
        self._there = backend.require_cupy().empty(ROOM, "uint64")
        self._here = np.zeros(ROOM, np.uint64)
        self._used = 0
        self._sources: list[tuple[slice, Callable[[], Any]]] = []
        self._draws: dict[tuple[int, int], list[Any]] = {}  # generator and count of each, then its place
        self._undo: list[Callable[[], None]] = []
        self._fresh = True

    def place(self, now: Any, again: Callable[[], Any], undo: Callable[[], None] | None = None) -> Any:
        """Where the numbers are: `now` at the first launch, then `again()`. `undo`: should there be none."""
        start, end = self._used, self._used + len(now)
        if end > ROOM:
            raise RuntimeError(f"a captured step is told {ROOM} numbers at most")
        self._used = end
        self._here[start:end] = now.view(np.uint64)
        self._sources.append((slice(start, end), again))
        if undo is not None:
            self._undo.append(undo)
        return self._there[start:end]

    def drew(self, found: tuple[int, int], source: random.Generator, count: int) -> None:
        """Random numbers were drawn."""
        if threading.get_ident() == _thread:
            self._draws[found] = [source, count, None]

    def seeded(self, seed: int, counter: int) -> Any:
        """The key of the numbers that were drawn so, and their counter; others at the next launch. None: not drawn here."""
        draw = self._draws.get((seed, counter))
        if draw is None:
            return None
        source, count, place = draw
        if place is None:
            place = draw[2] = self.place(words(seed, counter), lambda: words(*source.draw(count)))
        return place

    def check(self) -> None:
        """Raise `RuntimeError` if there were random numbers that would be the same at each launch."""
        if any(place is None for _, _, place in self._draws.values()):
            refuse("a random number that no dropout drew")

    def undo(self) -> None:
        """Take back what was counted while it was recorded."""
        for undo in self._undo:
            undo()

    def send(self) -> None:
        """The numbers of the next launch, to their place."""
        if not self._used:
            return
        if not self._fresh:
            for at, again in self._sources:
                self._here[at] = again().view(np.uint64)
        self._fresh = False
        stream = backend.require_cupy().cuda.get_current_stream()
        self._there[: self._used].set(self._here[: self._used], stream=stream)


def words(seed: int, counter: int) -> Any:
    """The two words of the key, and the counter."""
    key = random.generator(seed, counter).bit_generator.state["state"]["key"]
    return np.array([key[0], key[1], counter], np.uint64)


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
        self.told = Told()
        late.settle()
        if "engine.jit.plan" in sys.modules:  # a region that is recorded op by op would stay so
            sys.modules["engine.jit.plan"].plans.wait()
        cupy.cuda.runtime.deviceSynchronize()
        stream, aside = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
        with (
            stream,
            cupy.cuda.using_allocator(self.memory.malloc),
            _constants(cupy, aside, self.kept, self.told),
        ):
            stream.begin_capture()
            try:
                self.outputs = function(*given)
                late.settle()  # what is put off belongs to what is recorded
                self.told.check()
                self.graph = stream.end_capture()
            except Exception:
                self.told.undo()
                with contextlib.suppress(Exception):  # a recording that failed cannot be ended properly
                    stream.end_capture()
                raise
        aside.synchronize()

    def launch(self, args: tuple[Any, ...]) -> Any:
        """Run it on these arguments. What comes back is a copy: the next launch overwrites the original."""
        for place, given in zip(self.inputs, args, strict=True):
            if place is not None:
                place[...] = given.array
        self.told.send()
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
_told: Told | None = None
_thread = 0


def hold(*arrays: Any) -> None:
    """Keep what a cache gave as long as the recording that was made with it, if one is under way."""
    if recording:
        _held.extend(arrays)


def told(now: Any, again: Callable[[], Any], undo: Callable[[], None] | None = None) -> Any:
    """Where a kernel reads the numbers `now`, and at each later launch of a recording `again()`; 0 where none is under way.

    `undo` takes back what was counted, should the recording come to nothing.
    """
    return NOWHERE if _told is None else _told.place(now, again, undo)


def seeded(seed: int, counter: int) -> Any:
    """The same for the key and the counter of random numbers; it refuses those that the recording did not see drawn."""
    if _told is None:
        return NOWHERE
    found = _told.seeded(seed, counter)
    if found is None:
        refuse("a dropout of numbers drawn elsewhere")
    return found


NOWHERE = np.int64(0)


@contextlib.contextmanager
def _constants(cupy: Any, aside: Any, kept: list[Any], told: Told) -> Iterator[None]:
    """What is copied to the GPU meanwhile is copied once, beside the recording, and stays.

    A recorded copy would read the CPU's memory again at each launch, when something else is there.
    """
    global recording, _held, _told, _thread
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

    recording, _held, _told, _thread = True, kept, told, threading.get_ident()
    random.watching = told.drew
    for name in plain:
        setattr(cupy, name, beside(name))
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(cupy, name, function)
        recording, _held, _told, _thread = False, [], None, 0
        random.watching = None


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
    Put the forward pass, `backward()` and the optimizer's `step()` in it, and call `item()` on what it returns. A
    launch counts Adam's steps, reads the optimizer's options (a schedule's learning rate, say) and draws what a dropout
    leaves out as the step itself would. Without a GPU, under the debugger, a trace or `autocast`, it runs as written.

    Raises `RuntimeError` for what cannot be recorded: waiting for a value (`item()`, `if loss > 3`), random numbers but
    a dropout's, and optimizers beside Adam and AdamW whose step depends on how many there were.

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
