"""The same elements in another arrangement. All but `cat` and `stack` are views where NumPy makes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.backend import writeable
from engine.dispatch import apply
from engine.errors import ArgumentError, ArgumentProblem, Shape, ShapeClash, shape_text
from engine.located import located
from engine.op import LINEAR, op

if TYPE_CHECKING:
    from engine.tensor import Tensor

LAYOUT: dict[str, Any] = {"family": "shape", "dtype": dtype.first, "view": True}


def first_dtype(input: Any, *_: Any, **__: Any) -> Any:
    """The type of the first argument."""
    return input


def _reshape_shape(input: Any, *, shape: Shape) -> Shape:
    given = shapes.sizes(input)
    count = 1
    for size in given:
        count *= size
    known, free = 1, None
    for i, size in enumerate(shape):
        if size == -1:
            if free is not None:
                raise ArgumentProblem(ValueError, f"only one size can be -1, got {shape_text(shape)}")
            free = i
        else:
            known *= size
    if free is not None and known and count % known == 0:
        return tuple(count // known if size == -1 else size for size in shape)
    if free is not None or known != count:
        raise ShapeClash(
            [s if s != -1 else "?" for s in shape],
            0,
            [(0, i) for i in range(len(given))],
            f"{{0}} has {count} elements ({shape_text(given)}), which do not fill {shape_text(shape)}.",
        )
    return tuple(shape)


def _reshape_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """A dimension is the input's when the sizes before it, and its own, agree; else it comes of those it was cut or merged from.

    [2, 3, 8] as [2, 24]: dimension 1 comes of 1 and 2. [2, 24] as [2, 3, 8]: 1 and 2 both come of 1.
    """
    given = found[0] or ()
    before = 1
    for size in out[:dim]:
        before *= size
    after, reach, parts = before * out[dim], 1, []
    for i, size in enumerate(given):
        if reach == before and size == out[dim]:
            return [(0, i)]
        if size != 1 and reach < after and reach * size > before:
            parts.append((0, i))
        reach *= size
    return parts


def _reshape_vjp(xp: Any, g: Any, out: Any, input: Any, **_: Any) -> Any:
    return xp.reshape(g, input.shape)


@op(
    "reshape",
    complex=LINEAR,
    **LAYOUT,
    shape=_reshape_shape,
    origin=_reshape_origin,
    onnx="Reshape",
    formula="input as shape",
    vjp=_reshape_vjp,
)
def RESHAPE(xp: Any, input: Any, *, shape: Shape) -> Any:
    """The same elements in order, in another shape."""
    return input.reshape(shape)


def _permute_shape(input: Any, *, dims: tuple[int, ...]) -> Shape:
    given = shapes.sizes(input)
    order = shapes.check_dims(dims, len(given))
    if len(order) != len(given):
        raise ArgumentProblem(
            ValueError, f"dims has to name each of {len(given)} dimensions once, got {shape_text(dims)}"
        )
    return tuple(given[d] for d in order)


def _permute_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(0, attrs["dims"][dim] % len(out))]


def _permute_vjp(xp: Any, g: Any, out: Any, input: Any, *, dims: tuple[int, ...]) -> Any:
    back = [0] * len(dims)
    for i, d in enumerate(dims):
        back[d] = i
    return xp.transpose(g, tuple(back))


@op(
    "permute",
    complex=LINEAR,
    **LAYOUT,
    shape=_permute_shape,
    origin=_permute_origin,
    onnx="Transpose",
    formula="dimensions in the order dims",
    vjp=_permute_vjp,
)
def PERMUTE(xp: Any, input: Any, *, dims: tuple[int, ...]) -> Any:
    """Dimensions in another order."""
    return input.transpose(dims)


def _swap_shape(input: Any, *, dim0: int, dim1: int) -> Shape:
    given = list(shapes.sizes(input))
    a = shapes.check_dim(dim0, len(given), "dim0")
    b = shapes.check_dim(dim1, len(given), "dim1")
    if given:
        given[a], given[b] = given[b], given[a]
    return tuple(given)


def _swap_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    a, b = attrs["dim0"] % len(out), attrs["dim1"] % len(out)
    return [(0, b if dim == a else a if dim == b else dim)]


def _swap_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim0: int, dim1: int) -> Any:
    return xp.swapaxes(g, dim0, dim1) if len(input.shape) else g


@op(
    "transpose",
    complex=LINEAR,
    **LAYOUT,
    shape=_swap_shape,
    origin=_swap_origin,
    onnx="Transpose",
    formula="dim0 and dim1 exchanged",
    vjp=_swap_vjp,
)
def TRANSPOSE(xp: Any, input: Any, *, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return input.swapaxes(dim0, dim1) if input.ndim else input


def _expand_shape(input: Any, *, shape: Shape) -> Shape:
    given = shapes.sizes(input)
    lead = len(shape) - len(given)
    if lead < 0:
        raise ShapeClash(
            shape,
            0,
            [],
            f"{{0}} has {len(given)} dimensions, more than the {len(shape)} it should expand to.",
        )
    result = []
    for i, size in enumerate(shape):
        have = given[i - lead] if i >= lead else 1
        if size == -1 and i >= lead:
            size = have
        if have not in (1, size):
            expected = list(given)
            expected[i - lead] = size
            raise ShapeClash(
                expected,
                0,
                [(0, i - lead)],
                f"{{0}} has {have} where it should expand to {size}; only 1 can expand.",
            )
        result.append(size)
    return tuple(result)


def _expand_vjp(xp: Any, g: Any, out: Any, input: Any, *, shape: Shape) -> Any:
    from engine.backpropagation import sum_to

    return sum_to(xp, g, input.shape)


@op(
    "expand",
    complex=LINEAR,
    **LAYOUT,
    shape=_expand_shape,
    origin=shapes.broadcast_origin,
    onnx="Expand",
    formula="input repeated without copying",
    vjp=_expand_vjp,
)
def EXPAND(xp: Any, input: Any, *, shape: Shape) -> Any:
    """Dimensions of size 1 repeated without copying."""
    return xp.broadcast_to(input, _expand_shape(input.shape, shape=shape))


def _flip_shape(input: Any, *, dims: tuple[int, ...]) -> Shape:
    given = shapes.sizes(input)
    shapes.check_dims(dims, len(given))
    return given


def _flip_vjp(xp: Any, g: Any, out: Any, input: Any, *, dims: tuple[int, ...]) -> Any:
    return xp.flip(g, axis=dims)


@op(
    "flip",
    complex=LINEAR,
    **{**LAYOUT, "view": False},
    shape=_flip_shape,
    origin=shapes.same_origin,
    formula="dims in reverse order",
    vjp=_flip_vjp,
)
def FLIP(xp: Any, input: Any, *, dims: tuple[int, ...]) -> Any:
    """Elements in reverse order along `dims`."""
    return xp.flip(input, axis=dims).copy()


# --- joining -----------------------------------------------------------------------------------------


def _joined_dtype(*dtypes: Any, dim: int) -> Any:
    return dtype.promoted(*dtypes)


def _cat_shape(*inputs: Any, dim: int) -> Shape:
    given = [shapes.sizes(i) for i in inputs]
    d = shapes.check_dim(dim, len(given[0]))
    first = given[0]
    if not first:
        raise ArgumentProblem(
            ValueError, "cat needs tensors of at least one dimension; stack joins numbers", 0
        )
    total = 0
    for a, shape in enumerate(given):
        if len(shape) != len(first):
            raise ShapeClash(first, a, [], f"{{{a}}} has {len(shape)} dimensions, {{0}} has {len(first)}.")
        for i, size in enumerate(shape):
            if i != d and size != first[i]:
                expected = list(first)
                expected[d] = "any"  # type: ignore[call-overload]
                raise ShapeClash(
                    expected,
                    a,
                    [(0, i), (a, i)],
                    f"{{{a}}} has {size} in dimension {i}, but {{0}} has {first[i]}; only dimension {d} may differ.",
                )
        total += shape[d]
    return (*first[:d], total, *first[d + 1 :])


def _cat_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [] if dim == attrs["dim"] % len(out) else [(0, dim)]


def _cat_vjp(xp: Any, g: Any, out: Any, *inputs: Any, dim: int) -> Any:
    d = dim % len(g.shape)
    grads = []
    start = 0
    for piece in inputs:
        stop = start + piece.shape[d]
        grads.append(g[(slice(None),) * d + (slice(start, stop),)])
        start = stop
    return tuple(grads)


@op(
    "cat",
    complex=LINEAR,
    family="shape",
    dtype=_joined_dtype,
    meets=0,
    shape=_cat_shape,
    origin=_cat_origin,
    onnx="Concat",
    formula="tensors one after the other along dim",
    vjp=_cat_vjp,
    arg_names=("tensors",),
)
def CAT(xp: Any, *tensors: Any, dim: int) -> Any:
    """Tensors joined along a dimension they have."""
    return xp.concatenate(tensors, axis=dim)


def _stack_shape(*inputs: Any, dim: int) -> Shape:
    given = [shapes.sizes(i) for i in inputs]
    d = shapes.check_dim(dim, len(given[0]) + 1)
    for a, shape in enumerate(given):
        if shape != given[0]:
            clash = [
                (w, i)
                for i, (x, y) in enumerate(zip(shape, given[0], strict=False))
                if x != y
                for w in (0, a)
            ]
            raise ShapeClash(
                given[0],
                a,
                clash,
                f"{{{a}}} is {shape_text(shape)}, but {{0}} is {shape_text(given[0])}; stack needs equal shapes.",
            )
    return (*given[0][:d], len(given), *given[0][d:])


def _stack_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    d = attrs["dim"] % len(out)
    return [] if dim == d else [(0, dim if dim < d else dim - 1)]


def _stack_vjp(xp: Any, g: Any, out: Any, *inputs: Any, dim: int) -> Any:
    d = dim % len(g.shape)
    return tuple(g[(slice(None),) * d + (i,)] for i in range(len(inputs)))


@op(
    "stack",
    complex=LINEAR,
    family="shape",
    dtype=_joined_dtype,
    meets=0,
    shape=_stack_shape,
    origin=_stack_origin,
    formula="tensors side by side along a new dim",
    vjp=_stack_vjp,
    arg_names=("tensors",),
)
def STACK(xp: Any, *tensors: Any, dim: int) -> Any:
    """Tensors of one shape joined along a new dimension."""
    return xp.stack(tensors, axis=dim)


# --- the functions people call ----------------------------------------------------------------------


def _sizes(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes given one by one, or as one tuple or list."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    return tuple(int(a) if hasattr(a, "__index__") and not isinstance(a, int) else a for a in args)


def reshape(input: Any, *shape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1. A view where the elements lie in order."""
    return apply(RESHAPE, (input,), {"shape": _sizes(shape)})  # type: ignore[no-any-return]


def view(input: Any, *shape: Any) -> Tensor:
    """As `reshape`; of a dtype the same bytes read as numbers of that type, without a gradient."""
    if len(shape) == 1 and isinstance(shape[0], np.dtype):
        from engine.tensor import Tensor

        return Tensor(input.array.view(shape[0]))
    return apply(RESHAPE, (input,), {"shape": _sizes(shape)})  # type: ignore[no-any-return]


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions from `start_dim` to `end_dim` made one."""
    shape = input.shape
    rank = len(shape)
    start = start_dim + rank if start_dim < 0 else start_dim
    end = end_dim + rank if end_dim < 0 else end_dim
    if rank and not 0 <= start <= end < rank:
        raise located(IndexError(f"flatten from {start_dim} to {end_dim} does not fit {rank} dimensions"))
    count = 1
    for size in shape[start : end + 1]:
        count *= size
    return reshape(input, (*shape[:start], count, *shape[end + 1 :]))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` split into `sizes`."""
    d = dim % len(input.shape)
    return reshape(input, (*input.shape[:d], *sizes, *input.shape[d + 1 :]))


def squeeze(input: Any, dim: Any = None) -> Tensor:
    """Without the dimensions of size 1, or without `dim` (one or several) where it has size 1.

    Raises `IndexError` for a `dim` that is not there.
    """
    rank = len(input.shape)
    wanted = range(rank) if dim is None else (dim,) if isinstance(dim, int) else dim
    most = max(rank, 1)
    for d in wanted:
        if not -most <= d < most:
            raise located(IndexError(f"dim has to be from {-most} to {most - 1}, got {d}"))
    chosen = [d % most for d in wanted]
    return reshape(input, tuple(s for i, s in enumerate(input.shape) if s != 1 or i not in chosen))


def unsqueeze(input: Any, dim: int) -> Tensor:
    """With a new dimension of size 1 at `dim`."""
    rank = len(input.shape) + 1
    if not -rank <= dim < rank:
        raise located(IndexError(f"dim has to be from {-rank} to {rank - 1}, got {dim}"))
    d = dim % rank
    return reshape(input, (*input.shape[:d], 1, *input.shape[d:]))


def permute(input: Any, *dims: Any) -> Tensor:
    """Dimensions in the order `dims`."""
    order = _sizes(dims)
    rank = len(input.shape)
    if all(isinstance(d, int) and -rank <= d < rank for d in order):
        order = tuple(d % rank for d in order)
    return apply(PERMUTE, (input,), {"dims": order})  # type: ignore[no-any-return]


def transpose(input: Any, dim0: int, dim1: int) -> Tensor:
    """`dim0` and `dim1` exchanged."""
    return apply(TRANSPOSE, (input,), {"dim0": dim0, "dim1": dim1})  # type: ignore[no-any-return]


def t(input: Any) -> Tensor:
    """A matrix with rows and columns exchanged; a vector as it is.

    Raises `ValueError` for more than two dimensions.
    """
    if len(input.shape) > 2:
        raise located(
            ArgumentError(f"t() is for at most 2 dimensions, got {shape_text(input.shape)}; use transpose")
        )
    return transpose(input, 0, 1) if len(input.shape) > 1 else reshape(input, input.shape)


def expand(input: Any, *sizes: Any) -> Tensor:
    """Dimensions of size 1 repeated to `sizes` without copying; -1 keeps a size."""
    return apply(EXPAND, (input,), {"shape": _sizes(sizes)})  # type: ignore[no-any-return]


def expand_as(input: Any, other: Any) -> Tensor:
    """Expanded to the shape of `other`."""
    return expand(input, *other.shape)


def broadcast_to(input: Any, shape: Sequence[int]) -> Tensor:
    """As `expand`."""
    return expand(input, *shape)


def repeat(input: Any, *sizes: Any) -> Tensor:
    """Copies side by side: `sizes[i]` along dimension i; more sizes than dimensions add dimensions in front."""
    times = _sizes(sizes)
    if len(times) < len(input.shape):
        raise located(ArgumentError(f"repeat needs at least {len(input.shape)} numbers, got {len(times)}"))
    shape = (1,) * (len(times) - len(input.shape)) + tuple(input.shape)
    woven = reshape(input, tuple(x for s in shape for x in (1, s)))
    spread = expand(woven, *[x for n, s in zip(times, shape, strict=True) for x in (n, s)])
    made = reshape(spread, tuple(n * s for n, s in zip(times, shape, strict=True)))
    # Where nothing is repeated the steps are views; a result of `repeat` never is.
    return made.clone() if all(n == 1 for n in times) or not writeable(made.array) else made


def flip(input: Any, dims: Any, *more: int) -> Tensor:
    """Elements in reverse order along `dims`, several or one after the other."""
    chosen = (dims, *more) if isinstance(dims, int) else tuple(dims)
    return apply(FLIP, (input,), {"dims": chosen})  # type: ignore[no-any-return]


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Tensors one after the other along dimension `dim`, which they have; the other sizes agree.

    A tensor of shape [0] is left out beside others, as in PyTorch.
    """
    if not len(tensors):
        raise located(ArgumentError("cat needs at least one tensor"))
    given = tuple(tensors)
    if any(getattr(t, "shape", None) == (0,) for t in given):
        given = tuple(t for t in given if getattr(t, "shape", None) != (0,)) or given[:1]
    return apply(CAT, given, {"dim": dim})  # type: ignore[no-any-return]


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension `dim`."""
    if not len(tensors):
        raise located(ArgumentError("stack needs at least one tensor"))
    return apply(STACK, tuple(tensors), {"dim": dim})  # type: ignore[no-any-return]
