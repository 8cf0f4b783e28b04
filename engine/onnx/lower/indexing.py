"""Parts of tensors, read and replaced: slices, places, arrays of places and masks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.onnx.lower.table import lowers
from engine.onnx.made import MADE
from engine.onnx.symbol import Size
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call, Ref

FAR = np.iinfo(np.int64).max


class Place(NamedTuple):
    """One part of an index that is not a slice: along which dimension, the values, and how many dimensions these have."""

    dim: int
    values: Any
    rank: int


@lowers("getitem")
def _getitem(w: Writer, call: Call) -> Any:
    source = call.args[0]
    mask = _mask(w, call.kwargs["index"])
    if mask is not None:
        return w.add("GatherND", [w.arg(source), _true_places(w, mask)])
    return picked(w, w.arg(source), len(w.shape_of(source)), call.kwargs["index"])


def _kind(w: Writer, part: Any) -> Any:
    """The element type of an index that is an array or a value; None for anything else."""
    if isinstance(part, Ref):
        return w.kind_of(part)
    if isinstance(part, MADE):
        return part.example.dtype
    return part.dtype if isinstance(part, np.ndarray) else np.dtype(bool) if isinstance(part, bool) else None


def _mask(w: Writer, index: Any) -> Any:
    """The mask an index is, None where it is none."""
    parts = index if isinstance(index, tuple) and not isinstance(index, Ref) else (index,)
    masks = [p for p in parts if _kind(w, p) == np.bool_]
    if not masks:
        return None
    rest = [p for p in parts[1:] if p is not Ellipsis and p != slice(None)] if len(parts) > 1 else []
    if _kind(w, parts[0]) != np.bool_ or rest:
        raise Unsupported("a mask beside other indices has no ONNX form here")
    return masks[0]


def _named(w: Writer, values: Any) -> str:
    """The name of an index that is an array, a value or a size, as int64."""
    if isinstance(values, Ref):
        return w.arg(values) if w.kind_of(values) == np.int64 else w.cast(w.arg(values), "int64")
    if isinstance(values, MADE):
        return values.write(w)
    if isinstance(values, Size):
        return w.arg(values)
    return w.constant(
        np.asarray(values, np.bool_ if getattr(values, "dtype", None) == np.bool_ else np.int64)
    )


def _true_places(w: Writer, mask: Any) -> str:
    name = w.arg(mask) if isinstance(mask, Ref) else _named(w, mask)
    return str(w.add("Transpose", [w.add("NonZero", [name])], perm=[1, 0]))


def picked(w: Writer, x: str, rank: int, index: Any) -> str:
    """The part of `x`, which has `rank` dimensions, that an index without masks names."""
    parts = list(index) if isinstance(index, tuple) and not isinstance(index, Ref) else [index]
    used = sum(1 for part in parts if part is not None and part is not Ellipsis)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    at = next(i for i, part in enumerate(parts) if part is Ellipsis)
    parts[at : at + 1] = [slice(None)] * (rank - used)
    dim = out = 0
    slices: list[tuple[int, Any]] = []
    places: list[Place] = []
    fresh: list[int] = []
    for part in parts:
        if part is None:
            fresh.append(out)
            out += 1
            continue
        if isinstance(part, slice):
            if part != slice(None):
                slices.append((dim, part))
            out += 1
        else:
            depth = (
                len(w.shape_of(part))
                if isinstance(part, Ref)
                else np.ndim(getattr(part, "example", 0 if isinstance(part, Size) else part))
            )
            places.append(Place(dim, part, depth))
            out += depth
        dim += 1
    if slices:
        begin = [0 if p.start is None else p.start for _, p in slices]
        end = [FAR if p.stop is None else p.stop for _, p in slices]
        step = [1 if p.step is None else p.step for _, p in slices]
        x = w.add("Slice", [x, w.ints(begin), w.ints(end), w.ints([d for d, _ in slices]), w.ints(step)])
    if len(places) > 1 and any(p.rank for p in places):
        if fresh:
            raise Unsupported("several index arrays beside None have no ONNX form here")
        return _together(w, x, rank, places)
    for place in reversed(places):
        x = w.add("Gather", [x, _named(w, place.values)], axis=place.dim)
    return w.add("Unsqueeze", [x, w.ints(fresh)]) if fresh else x


def _together(w: Writer, x: str, rank: int, places: list[Place]) -> str:
    """Several index arrays at once: one element, or the rest of the dimensions, for each of the places they name together."""
    dims = [place.dim for place in places]
    start = dims[0]
    depth = max(place.rank for place in places)
    names = [_named(w, place.values) for place in places]
    zero = names[0]
    for name in names[1:]:
        zero = w.add("Add", [zero, name])
    zero = w.add("Sub", [zero, zero])  # of the shape in which all meet
    columns = [w.add("Unsqueeze", [w.add("Add", [name, zero]), w.ints([-1])]) for name in names]
    if dims != list(range(rank))[: len(dims)]:
        x = w.add("Transpose", [x], perm=[*dims, *(d for d in range(rank) if d not in dims)])
    made = w.add("GatherND", [x, w.add("Concat", columns, axis=-1)])
    if dims != list(range(start, start + len(dims))) or start == 0:
        return str(made)  # NumPy too puts them first where a slice stands between them
    left = rank - len(dims)
    perm = [*range(depth, depth + start), *range(depth), *range(depth + start, depth + left)]
    return str(w.add("Transpose", [made], perm=perm))


@lowers("setitem")
def _setitem(w: Writer, call: Call) -> Any:
    target, value = call.args
    x, rank, kind = w.arg(target), len(w.shape_of(target)), w.kind_of(target)
    (name,) = w.same([value], kind)
    mask = _mask(w, call.kwargs["index"])
    if mask is not None:
        if w.shape_of(value) == ():
            where = w.arg(mask) if isinstance(mask, Ref) else _named(w, mask)
            depth = len(w.shape_of(mask)) if isinstance(mask, Ref) else np.ndim(mask)
            if depth < rank:
                where = w.add("Unsqueeze", [where, w.ints(list(range(depth, rank)))])
            return w.add("Where", [where, name, x])
        return w.add("ScatterND", [x, _true_places(w, mask), name])
    # Where each element of the part lies in the whole, counted through; there the value is put.
    shape = w.add("Shape", [x])
    count = w.add("Range", [w.constant(np.int64(0)), w.add("Size", [x]), w.constant(np.int64(1))])
    part = picked(w, w.add("Reshape", [count, shape]), rank, call.kwargs["index"])
    line = w.ints([-1])
    spread = w.add("Expand", [name, w.add("Shape", [part])])
    flat, places, values = (w.add("Reshape", [v, line]) for v in (x, part, spread))
    return w.add("Reshape", [w.add("ScatterElements", [flat, places, values], axis=0), shape])
