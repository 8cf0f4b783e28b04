"""What two traces of a model say together: which numbers are constants, and which depend on the inputs' sizes or values.

Between the first and the second trace the sizes of the free axes differ: a number that differs becomes a computation on
shapes. Between the first and the third the values differ: a number that differs then cannot be written at all.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from engine.onnx.made import known
from engine.onnx.symbol import Axis, Unexplained, explained, merged
from engine.program import Call, Program, Ref

RANDOM = ("seed", "counter")  # what differs each time an op draws numbers


class ExportError(ValueError):
    """A model that cannot be written; the text lists every op that has no form, with the person's lines."""


class Origin(NamedTuple):
    """Where a call comes from: the person's line, and the path of the module."""

    line: str
    module: str


NOWHERE = Origin("?", "")


class Traced(NamedTuple):
    """One run of a model: its program, the numbers of its inputs, its results, and where each call comes from.

    `owners` says of which value each index array is the array, so that an index that is computed is no constant.
    """

    source: Program
    inputs: list[int]
    outputs: list[Ref]
    lines: dict[int, Origin]
    owners: dict[int, Ref]
    kept: list[Any]  # keeps what `owners` names by identity

    def calls(self) -> list[Call]:
        """The calls, with values in the place of arrays that are those of one: of an index, or of a detached tensor."""
        made = []
        for c in self.source.calls:
            kwargs = (
                {**c.kwargs, "index": self._index(c.kwargs["index"])} if "index" in c.kwargs else c.kwargs
            )
            args = tuple(self._owner(arg) if isinstance(arg, Ref) else arg for arg in c.args)
            made.append(Call(c.number, c.op, args, kwargs))
        return made

    def _owner(self, ref: Ref) -> Ref:
        if ref.pick is not None or ref.number not in self.source.given or ref.number in self.inputs:
            return ref
        return self.owners.get(id(self.source.given[ref.number]), ref)

    def _index(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return tuple(self._index(part) for part in index)
        return self.owners.get(id(index), index) if isinstance(index, np.ndarray) else index

    def line(self, number: int) -> str:
        """Where the call of this number stands."""
        return self.lines.get(number, NOWHERE).line


def with_sizes(first: Traced, second: Traced, axes: list[Axis], shapes: list[dict[Ref, Any]]) -> list[Call]:
    """The calls with every number that depends on the inputs' sizes said as a `Size`.

    `shapes` are those of all values in the two traces.
    """
    free = ", ".join(dict.fromkeys(axis.name for axis in axes))
    one, other = first.calls(), second.calls()
    at = _apart(one, other)
    if at is not None:
        raise ExportError(
            f"the graph itself depends on the size of {free}: {len(one)} ops at one size, {len(other)} at another, first at "
            f"{first.line(at)}. A Python loop over a dynamic axis has no ONNX form; leave that axis out of dynamic_axes"
        )
    calls = []
    earlier: list[Axis] = []
    for a, b in zip(one, other, strict=True):
        nearby = [*_nearby(a, b, shapes), *earlier]
        try:
            kwargs = {
                key: merged(a.kwargs[key], b.kwargs[key], axes, nearby)
                for key in a.kwargs
                if key not in RANDOM
            }
            plain = [
                x if isinstance(x, Ref) else merged(x, y, axes, nearby)
                for x, y in zip(a.args, b.args, strict=True)
            ]
        except Unexplained:
            raise ExportError(
                f"{a.op} at {first.line(a.number)} holds a number that changes with {free}, but is no multiple of "
                "their sizes; leave that axis out of dynamic_axes"
            ) from None
        calls.append(Call(a.number, a.op, tuple(plain), {**a.kwargs, **kwargs}))
        known = {(axis.first, axis.second) for axis in (*axes, *earlier)}
        earlier += [axis for axis in _made(a, b, shapes) if (axis.first, axis.second) not in known]
    return calls


def _made(a: Call, b: Call, shapes: list[dict[Ref, Any]]) -> list[Axis]:
    """The dimensions of the first result of a call that differ between the traces."""
    for pick in (None, 0):
        if Ref(a.number, pick) in shapes[0]:
            return _differing(
                Ref(a.number, pick), shapes[0][Ref(a.number, pick)], shapes[1].get(Ref(b.number, pick), ())
            )
    return []


def _differing(ref: Ref, first: Any, second: Any) -> list[Axis]:
    pair = zip(first, second, strict=False)
    return [Axis(f"size{d}", ref, d, n, m) for d, (n, m) in enumerate(pair) if n != m]


def _apart(one: list[Call], other: list[Call]) -> int | None:
    """The call at which two programs part; None where they do the same."""
    if [c.op for c in one] == [c.op for c in other]:
        return None
    for a, b in zip(one, other, strict=False):
        if a.op != b.op:
            return a.number
    return one[-1].number if one else 0


def _nearby(a: Call, b: Call, shapes: list[dict[Ref, Any]]) -> list[Axis]:
    """The dimensions of what the call is given that differ between the traces."""
    found = []
    for x, y in zip(a.args, b.args, strict=True):
        if isinstance(x, Ref) and isinstance(y, Ref):
            found += _differing(x, shapes[0].get(x, ()), shapes[1].get(y, ()))
    return found


def _constants(first: Traced, second: Traced) -> dict[int, tuple[int, Call]]:
    """For each given value of the first run its twin in the second, and a call that takes it."""
    pairs: dict[int, tuple[int, Call]] = {}
    for a, b in zip(first.calls(), second.calls(), strict=True):
        for x, y in zip(a.args, b.args, strict=True):
            if isinstance(x, Ref) and isinstance(y, Ref) and x.number in first.source.given:
                pairs.setdefault(x.number, (y.number, a))
    for x in first.outputs:  # results that are constants have the same number in every run
        if x.number < 0:
            pairs[x.number] = (x.number, Call(x.number, "a result", (), {}))
    return pairs


def computed(first: Traced, second: Traced, axes: list[Axis]) -> Program:
    """The program with constants made inside the model whose size depends on the input as what makes them."""
    source = first.source
    given = dict(source.given)
    for number, (twin, call) in _constants(first, second).items():
        array, other = source.given[number], second.source.given.get(twin)
        if number in first.inputs or other is None or _same(array, other):
            continue
        try:
            made = known(
                array, other, merged(array.shape, other.shape, axes), lambda a, b: explained(a, b, axes)
            )
        except Unexplained:
            made = None
        if made is None:
            raise ExportError(
                f"a constant of shape {list(array.shape)} that is made inside the model, for {call.op} at "
                f"{first.line(call.number)}, changes with the size of the input; "
                "make it in __init__ at its largest size, or leave that axis out of dynamic_axes"
            )
        given[number] = made
    return source._replace(given=given)


def without_values(first: Traced, third: Traced) -> None:
    """Raise `ExportError` where something besides the inputs differs between traces of other values."""
    one, other = first.calls(), third.calls()
    at = _apart(one, other)
    if at is not None:
        raise ExportError(
            f"the graph itself depends on the values of the inputs: {len(one)} ops with one input, {len(other)} with "
            f"another, first at {first.line(at)}. A branch or loop that a value decides has no ONNX form; "
            "compute both ways and choose with ds.where"
        )
    for a, b in zip(one, other, strict=True):
        for key in a.kwargs:
            if key not in RANDOM and not _same(a.kwargs[key], b.kwargs[key]):
                raise ExportError(
                    f"{a.op} at {first.line(a.number)} holds a number that depends on the values of the inputs, "
                    f"{key}={_short(a.kwargs[key])}; the file would always have this one. Compute it with ds functions on tensors"
                )
        for x, y in zip(a.args, b.args, strict=True):
            if not isinstance(x, Ref) and not _same(x, y):
                raise ExportError(
                    f"{a.op} at {first.line(a.number)} is given a number that depends on the values of the inputs, "
                    f"{_short(x)}; the file would always have this one. Compute it with ds functions on tensors"
                )
    for number, (twin, call) in _constants(first, third).items():
        array, twins = first.source.given[number], third.source.given.get(twin)
        if number not in first.inputs and twins is not None and not _same(array, twins):
            raise ExportError(
                f"a constant of shape {list(array.shape)}, for {call.op} at {first.line(call.number)}, is computed from "
                "the values of the inputs outside the graph; the file would always have this one. "
                "Compute it with ds functions on tensors"
            )


def _same(a: Any, b: Any) -> bool:
    if a is b or (isinstance(a, Ref) and isinstance(b, Ref)):
        return True
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f")
    if type(a) is tuple and type(b) is tuple:
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return repr(a) == repr(b)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}..."


def origin(filename: str, line: int, path: str) -> Origin:
    """An origin as messages say it."""
    return Origin(f"{os.path.basename(filename)}:{line}", path)
