"""NumPy-style indexing and its gradient, assignment to parts, and rows by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.backend import is_array, move, namespace
from engine.complexes import is_complex
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash, shape_text
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.add_at import add_at
from engine.ops.bounds import outside
from engine.ops.inplace import replace
from engine.writes import writes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def raw_index(index: Any, input: Any) -> Any:
    """An index with its tensors and lists made arrays, where `input` is: it means the same on NumPy and CuPy.

    A list that holds more than numbers is one index a dimension, as in PyTorch: `x[[rows, columns]]`.
    """
    if isinstance(index, list) and len(index) < 32 and any(map(_more_than_a_number, index)):
        index = tuple(index)
    if isinstance(index, tuple):
        return tuple(_raw_index(i, input) for i in index)
    return _raw_index(index, input)


def _more_than_a_number(item: Any) -> bool:
    return (
        item is None
        or item is Ellipsis
        or hasattr(item, "__len__")
        or isinstance(item, slice)
        or hasattr(item, "node")
    )


def _raw_index(index: Any, input: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_raw_index(i, input) for i in index)
    if hasattr(index, "node"):
        index = index.array
    elif isinstance(index, list):
        index = np.asarray([_on_cpu(_raw_index(i, input)) for i in index])
        if index.size == 0:
            index = index.astype(np.int64)
    elif isinstance(index, range):
        index = np.arange(index.start, index.stop, index.step)
    if is_array(index) and type(index) is not type(input.array):
        index = move(index, input.device)
    return index


def part_shape(shape: Shape, index: Any) -> Shape:
    """The shape of a part, named by `index`, of something of `shape`."""
    # A zero-stride stand-in costs nothing whatever the shape, and NumPy knows its own indexing best.
    stand_in = np.broadcast_to(np.zeros((), bool), shape)
    return tuple(stand_in[_on_cpu(index)].shape)


def within(index: Any, input: Any) -> Any:
    """`index` as it is. Raises `IndexError` where it names elements that are not there: NumPy does so by itself."""
    if not isinstance(input, np.ndarray) and not is_basic(index):
        part_shape(input.shape, index)
    return index


def is_basic(index: Any) -> bool:
    """Whether the index makes a view: only ints, slices, None and the ellipsis."""
    items = index if isinstance(index, tuple) else (index,)
    return all(
        i is None or i is Ellipsis or (isinstance(i, (slice, int, np.integer)) and not isinstance(i, bool))
        for i in items
    )


def _item_shape(input: Any, *, index: Any) -> Shape:
    return part_shape(shapes.sizes(input), index)


def _on_cpu(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_on_cpu(i) for i in index)
    return move(index, "cpu") if is_array(index) else index


def _item_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """A whole slice keeps its dimension; anything else decides it here."""
    index = attrs["index"]
    items = list(index) if isinstance(index, tuple) else [index]
    given = found[0] or ()
    if not is_basic(index):
        return []
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    whole = [slice(None)] * (len(given) - used)
    at = next((k for k, i in enumerate(items) if i is Ellipsis), len(items))
    items[at : at + 1] = whole
    source = result = 0
    for item in items:
        if item is None:
            if result == dim:
                return []
            result += 1
        elif isinstance(item, slice):
            if result == dim:
                return [(0, source)] if given[source] == out[dim] else []
            result += 1
            source += 1
        else:
            source += 1
    return []


def _item_vjp(xp: Any, g: Any, out: Any, input: Any, *, index: Any) -> Any:
    return put_back(xp, g, input.shape, index)


def put_back(xp: Any, g: Any, shape: Shape, index: Any) -> Any:
    """Zeros of `shape` with `g` added at `index`; on Tensors as an op of its own."""
    if hasattr(g, "node"):
        return apply(PUT_BACK, (g,), {"shape": shape, "index": index})
    return _put_back(xp, g, shape, index)


def _put_back(xp: Any, g: Any, shape: Shape, index: Any) -> Any:
    out = xp.zeros(shape, g.dtype)
    if is_basic(index) or _is_mask(index):
        out[index] = g
    else:
        add_at(out, index, g)
    return out


def _is_mask(index: Any) -> bool:
    """A single boolean array names every element at most once."""
    return is_array(index) and index.dtype == np.bool_


@op(
    "getitem",
    complex=LINEAR,
    family="shape",
    shape=_item_shape,
    dtype=dtype.first,
    origin=_item_origin,
    view=True,
    onnx="Gather",
    formula="input[index]",
    vjp=_item_vjp,
)
def GETITEM(xp: Any, input: Any, *, index: Any) -> Any:
    """Part of a tensor; a view for plain slices."""
    return input[within(index, input)]


def _put_back_shape(input: Any, *, shape: Shape, index: Any) -> Shape:
    return shape


def _put_back_vjp(xp: Any, g: Any, out: Any, input: Any, *, shape: Shape, index: Any) -> Any:
    return g[index]


@op(
    "put_back",
    complex=LINEAR,
    family="shape",
    shape=_put_back_shape,
    dtype=dtype.first,
    formula="zeros of shape with input added at index",
    vjp=_put_back_vjp,
)
def PUT_BACK(xp: Any, input: Any, *, shape: Shape, index: Any) -> Any:
    """The transpose of indexing: zeros with the input added where the index points."""
    return _put_back(xp, input, shape, index)


def _put_shape(input: Any, value: Any, *, index: Any) -> Shape:
    part = _item_shape(input, index=index)
    given = shapes.sizes(value)
    lead = len(given) - len(part)
    fits = all(s == 1 for s in given[: max(lead, 0)]) and all(
        s in (1, p) for s, p in zip(given[::-1], part[::-1], strict=False)
    )
    if not fits:
        raise ShapeClash(
            part,
            1,
            [(1, i) for i in range(len(given))],
            f"{{1}} is {shape_text(given)}, but the part of {{0}} it goes to is {shape_text(part)}.",
        )
    return shapes.sizes(input)


def _put_vjp(xp: Any, g: Any, out: Any, input: Any, value: Any, *, index: Any) -> Any:
    to_value = None
    if getattr(value, "requires", False):
        from engine.backpropagation import sum_to

        part = g[index]
        to_value = sum_to(xp, part, value.shape) if part.shape != value.shape else part
    to_input = None
    if input.requires:
        if hasattr(g, "node"):
            to_input = apply(PUT, (g, 0.0), {"index": index})
        else:
            to_input = xp.array(g)
            to_input[index] = 0
    return to_input, to_value


@op(
    "setitem",
    complex=LINEAR,
    family="shape",
    shape=_put_shape,
    dtype=dtype.first,
    origin=shapes.same_origin,
    onnx="ScatterND",
    formula="input with input[index] = value",
    vjp=_put_vjp,
)
def PUT(xp: Any, input: Any, value: Any, *, index: Any) -> Any:
    """A tensor with some of its elements replaced."""
    out = input.copy()
    out[within(index, input)] = value
    return out


def getitem(input: Tensor, index: Any) -> Tensor:
    """`input[index]`: ints, slices, None, ellipsis, integer and boolean tensors or arrays."""
    return apply(GETITEM, (input,), {"index": raw_index(index, input)})  # type: ignore[no-any-return]


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """`input[index] = value`, in place; gradients flow to the value and to what was not replaced."""
    place = raw_index(index, input)
    if value is None or isinstance(value, str):
        raise located(TypeError(f"elements of a tensor are numbers, got {value!r}"))
    if isinstance(value, (list, tuple)):
        value = np.asarray(value, input.dtype)
    if is_complex(value) and not is_complex(input):
        raise located(
            TypeError(
                f"complex numbers do not fit into a tensor of {input.dtype}; take .real or .abs() of them"
            )
        )
    replace(input, PUT, (input, value), {"index": place})


# --- rows by number ----------------------------------------------------------------------------------


def _embedding_shape(weight: Any, input: Any, **_: Any) -> Shape:
    table = shapes.sizes(weight)
    if len(table) != 2:
        raise ShapeClash(
            ["rows", "features"],
            0,
            [],
            f"{{0}} is {shape_text(table)}; an embedding is a matrix of one row a number.",
        )
    return (*shapes.sizes(input), table[1])


def _embedding_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(0, 1)] if dim == len(out) - 1 else [(1, dim)]


def _embedding_vjp(xp: Any, g: Any, out: Any, weight: Any, input: Any, *, padding_idx: int | None) -> Any:
    raw = getattr(input, "array", input)
    if padding_idx is not None:
        g = xp.where((raw == padding_idx)[..., None], 0.0, g)
    return put_back(xp, g, weight.shape, raw), None


@op(
    "embedding",
    complex=LINEAR,
    family="linear",
    shape=_embedding_shape,
    dtype=dtype.first,
    origin=_embedding_origin,
    onnx="Gather",
    formula="weight[input]",
    vjp=_embedding_vjp,
    saves=("input",),
)
def EMBEDDING(xp: Any, weight: Any, input: Any, *, padding_idx: int | None) -> Any:
    """Rows of a table by number."""
    if input.dtype.kind not in "iu":
        raise ArgumentProblem(TypeError, f"{{1}} has to hold integers to pick rows, got {input.dtype}", 1)
    _embedding_shape(weight.shape, input.shape)
    if (bad := outside(input, len(weight))) is not None:
        raise ArgumentProblem(IndexError, f"{{1}} holds {bad}, but {{0}} has rows 0 to {len(weight) - 1}", 1)
    return weight[input]


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` [rows, features] by number: `input` [...] gives [..., features].

    The row `padding_idx` gets no gradient. With `max_norm` the rows that are used are first shortened to that
    `norm_type`-norm, in place. `sparse` changes nothing: gradients are dense.
    Raises `IndexError` for a number without a row, and `ValueError` for `scale_grad_by_freq`, which is not there.
    """
    if scale_grad_by_freq:
        raise located(ValueError("embedding: scale_grad_by_freq=True is not there"))
    rows = weight.shape[0]
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    pad = padding_idx if padding_idx is None or padding_idx >= 0 else rows + padding_idx
    return apply(EMBEDDING, (weight, input), {"padding_idx": pad})  # type: ignore[no-any-return]


def _shorten(weight: Any, input: Any, longest: float, kind: float) -> None:
    """Bring the rows that `input` names down to a length, as PyTorch does: with 1e-7 added to theirs."""
    used = np.unique(np.asarray(getattr(input, "array", input)))
    used = used[(used >= 0) & (used < weight.shape[0])]
    part = weight.array[used]
    lengths = namespace(part).linalg.norm(part, kind, axis=1)
    too_long = lengths > longest
    if too_long.any():
        scale = (longest / (lengths[too_long] + 1e-7)).astype(part.dtype)
        weight.array[used[too_long]] = part[too_long] * scale[:, None]
        writes.note(weight.array, "embedding")


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Indices of the elements that are not 0: a matrix of one row each, or with `as_tuple` a tuple of columns."""
    from engine.tensor import Tensor

    raw = input.array if isinstance(input, Tensor) else input
    columns = raw.nonzero() if raw.ndim else ()
    if as_tuple:
        return tuple(Tensor(c) for c in columns)
    xp = namespace(raw)
    return Tensor(xp.stack(columns, axis=-1) if columns else xp.zeros((int(raw != 0), 0), np.int64))
