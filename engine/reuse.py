"""A module that is switched off: it computes in silence, and what is fixed is not computed again.

`module.trace_(False)` leaves no nodes. If the module is frozen too (no parameter takes a gradient) and nothing that
goes in takes one, no graph is recorded inside and nothing is saved. With `reuse=True` its result is kept and given
again while what goes in, the parameters and the buffers are the same.

A gradient still flows *through* a frozen module to an input that takes one: cutting it would train something else
than what was written.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from engine import backend
from engine.grad_mode import no_grad, state
from engine.located import located
from engine.random import default_generator
from engine.restructure import structure
from engine.tensor import Tensor
from engine.writes import writes

if TYPE_CHECKING:
    from engine.module import Module

# How inputs are compared: not at all, as the same untouched array, or by what they hold.
WAYS = (False, True, "content")


everywhere: weakref.WeakSet[Silence] = (
    weakref.WeakSet()
)  # every module that is switched off, for the debugger


class Silence:
    """What a switched-off module has instead of a trace: `hits`, `misses`, and the bytes and nanoseconds saved."""

    __slots__ = (
        "__weakref__",
        "_cost",
        "_key",
        "_result",
        "_watched",
        "bytes_saved",
        "hits",
        "misses",
        "path",
        "reuse",
        "time_saved",
    )

    def __init__(self, reuse: bool | str) -> None:
        if reuse not in WAYS:
            raise located(ValueError(f"reuse takes False, True (the same array) or 'content', got {reuse!r}"))
        self.reuse = reuse
        self.path = ""  # where it was called last, known while somebody traces
        everywhere.add(self)
        self.hits = self.misses = self.bytes_saved = self.time_saved = 0
        self._cost = 0
        self.forget()

    def forget(self) -> None:
        """Let go of the kept result; the next call computes."""
        self._key: Any = None
        self._result: Any = None
        self._watched: list[tuple[Any, int]] = []

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `module.forward` gives, without a trace, and without computing where nothing changed."""
        if state.call is not None:
            self.path = state.call.path
        silent = state.silent
        state.silent = True
        try:
            given = list(tensors((args, kwargs)))
            live = state.grad and any(t.requires_grad for t in given)
            if live or any(p.requires_grad for p in module.parameters()):
                return module.forward(*args, **kwargs)
            with no_grad():
                if not self.reuse:
                    return module.forward(*args, **kwargs)
                return self._fixed(module, given, args, kwargs)
        finally:
            state.silent = silent

    def _fixed(
        self, module: Module, given: list[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        inside = [*module.parameters(), *module.buffers()]
        key = self._key_of(module, given, inside, args, kwargs)
        if key is not None and key == self._key and self._untouched():
            self.hits += 1
            self.bytes_saved += sum(t.nbytes for t in tensors(self._result))
            self.time_saved += self._cost
            return handed_out(self._result)
        self.misses += 1
        stamp, drawn = writes.count, default_generator.counter
        arrays = [t.array for t in inside]
        buffers = [content(t.array) for t in module.buffers()]
        began = perf_counter_ns()
        result = module.forward(*args, **kwargs)
        self._cost = perf_counter_ns() - began
        same = (
            default_generator.counter == drawn
            and all(
                t.array is a and writes.since(a, stamp) is None for t, a in zip(inside, arrays, strict=True)
            )
            and buffers == [content(t.array) for t in module.buffers()]
        )
        # A result that is random, or whose making changed the module (a running mean), is not fixed.
        if key is None or not same:
            self.forget()
            return result
        watched = [*(t.array for t in tensors(result)), *arrays]
        if self.reuse is True:
            watched += [t.array for t in given]
        self._watched = [(array, writes.count) for array in watched]
        self._key, self._result = key, result
        return handed_out(result)

    def _untouched(self) -> bool:
        return all(writes.since(array, stamp) is None for array, stamp in self._watched)

    def _key_of(
        self, module: Module, given: list[Tensor], inside: list[Tensor], args: Any, kwargs: Any
    ) -> Any:
        """What the result depends on, None where that cannot be told. The arrays themselves are held in `_watched`."""
        try:
            plain = tuple(others((args, kwargs)))
            hash(plain)
        except TypeError:
            return None
        own = tuple(id(t.array) for t in inside)
        if self.reuse == "content":
            what: tuple[Any, ...] = tuple(content(t.array) for t in given)
        else:
            what = tuple(id(t.array) for t in given)
        return what, own, plain, module.training, structure.version


def content(array: Any) -> tuple[Any, ...]:
    """What an array holds, as something to compare."""
    plain = backend.move(array, "cpu")
    import hashlib  # slow to load, and only `reuse=True` needs it

    digest = hashlib.blake2b(plain.tobytes(), digest_size=16).digest()
    return plain.shape, plain.dtype.str, digest


def handed_out(result: Any) -> Any:
    """The kept result for the person: fresh tensors on the same arrays, which nothing was recorded of."""
    if isinstance(result, Tensor):
        return result.detach()
    if isinstance(result, (tuple, list)):
        return type(result)(handed_out(part) for part in result)
    if isinstance(result, dict):
        return {key: handed_out(part) for key, part in result.items()}
    return result


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts, raw arrays as tensors."""
    if isinstance(value, Tensor):
        yield value
    elif backend.is_array(value):
        yield Tensor(value)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors(part)


def others(value: Any) -> Iterator[Any]:
    """All that is no tensor in nested tuples, lists and dicts, with the shape of the nesting."""
    if isinstance(value, (tuple, list)):
        yield type(value).__name__, len(value)
        for part in value:
            yield from others(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from others(part)
    elif not isinstance(value, Tensor) and not backend.is_array(value):
        yield value


def report(module: Module) -> list[dict[str, Any]]:
    """What the switched-off modules in `module` saved: `path`, `reuse`, `hits`, `misses`, `bytes`, `seconds`.

    Read as `ds.reuse_report(net)`.
    """
    return [
        {
            "path": path,
            "reuse": silence.reuse,
            "hits": silence.hits,
            "misses": silence.misses,
            "bytes": silence.bytes_saved,
            "seconds": silence.time_saved / 1e9,
        }
        for path, inner in module.named_modules()
        if (silence := inner.__dict__.get("_silence")) is not None
    ]
