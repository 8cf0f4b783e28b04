"""Images made larger or smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine import dtype
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.located import located
from engine.op import op
from engine.ops import resample
from engine.ops.nested import nested
from engine.ops.window import frozen
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

# For each mode: the spatial dimensions it is for.
MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "area": (1, 2, 3),
}


def spatial(x: Any, size: Any, scale_factor: Any, mode: str) -> tuple[int, ...]:
    """The spatial size after resizing. Raises `ShapeClash` or `ArgumentProblem` when it cannot be had."""
    x = sizes(x)
    rank = len(x) - 2
    if mode not in MODES:
        raise ArgumentProblem(ValueError, f"mode is one of {', '.join(MODES)}, got {mode!r}")
    if rank not in MODES[mode]:
        names = ["batch", "channels", *("depth", "height", "width")[3 - MODES[mode][-1] :]]
        raise ShapeClash(
            names, 0, [], f"mode={mode!r} needs {{0}} with {len(names)} dimensions, {{0}} has {len(x)}."
        )
    if (size is None) == (scale_factor is None):
        raise ArgumentProblem(ValueError, "give either size or scale_factor")
    given = size if size is not None else scale_factor
    what = "size" if size is not None else "scale_factor"
    each = given if isinstance(given, tuple) else (given,) * rank
    if len(each) != rank:
        raise ArgumentProblem(ValueError, f"{what} has to be a number or {rank} numbers, got {given!r}")
    out = (
        tuple(int(n) for n in each)
        if size is not None
        else tuple(resample.scaled(n, f) for n, f in zip(x[2:], each, strict=True))
    )
    if any(n < 1 for n in out):
        raise ArgumentProblem(ValueError, f"{what}={given!r} leaves nothing of {{0}}", 0)
    return out


def _shape(x: Any, *, size: Any, scale_factor: Any, mode: str, align_corners: Any) -> Shape:
    return (*sizes(x)[:2], *spatial(x, size, scale_factor, mode))


def _origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(0, dim)]


def plan(shape: Shape, size: Any, scale_factor: Any, mode: str, align_corners: Any) -> list[resample.Taps]:
    """The taps of each spatial dimension."""
    out = spatial(shape, size, scale_factor, mode)
    factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * len(out)
    corners = bool(align_corners)
    found = []
    for n, m, factor in zip(shape[2:], out, factors, strict=True):
        if mode in ("nearest", "nearest-exact"):
            found.append(resample.nearest(n, m, factor, mode != "nearest"))
        elif mode == "area":
            found.append(resample.windows(n, m))
        elif mode == "bicubic":
            found.append(resample.cubic(n, m, factor, corners))
        else:
            found.append(resample.linear(n, m, factor, corners))
    return found


def _vjp(xp: Any, g: Any, out: Any, input: Any, **attrs: Any) -> Any:
    return nested(xp, RESAMPLE_BACK, g, dims=tuple(plan(input.shape, **attrs)))


@op(
    "interpolate",
    family="shape",
    shape=_shape,
    dtype=dtype.first,
    origin=_origin,
    vjp=_vjp,
    check=True,
    onnx="Resize",
    formula="weighted mean of the inputs nearest to each output",
    source="Keys 1981 for bicubic, doi:10.1109/TASSP.1981.1163711",
)
def INTERPOLATE(xp: Any, input: Any, *, size: Any, scale_factor: Any, mode: str, align_corners: Any) -> Any:
    """The input resampled to another spatial size."""
    return resample.resample(xp, input, plan(input.shape, size, scale_factor, mode, align_corners))


# The linear map itself and its transpose, each the gradient of the other.


def _back_shape(x: Any, *, dims: Any) -> Shape:
    return (*sizes(x)[: -len(dims)], *(t.size for t in dims))


def _back_vjp(xp: Any, g: Any, out: Any, input: Any, *, dims: Any) -> Any:
    return nested(xp, RESAMPLE, g, dims=dims)


@op(
    "resample_back",
    family="shape",
    shape=_back_shape,
    dtype=dtype.first,
    vjp=_back_vjp,
    formula="out[j] = Σ over i of weight[i, j] · input[i]",
)
def RESAMPLE_BACK(xp: Any, input: Any, *, dims: Any) -> Any:
    """The gradient of resampling: each output's share goes back to the inputs it was made of."""
    return resample.transposed(xp, input, dims)


def _resample_shape(x: Any, *, dims: Any) -> Shape:
    return (*sizes(x)[: -len(dims)], *(t.out for t in dims))


def _resample_vjp(xp: Any, g: Any, out: Any, input: Any, *, dims: Any) -> Any:
    return nested(xp, RESAMPLE_BACK, g, dims=dims)


@op(
    "resample",
    family="shape",
    shape=_resample_shape,
    dtype=dtype.first,
    vjp=_resample_vjp,
    formula="out[i] = Σ over j of weight[i, j] · input[j]",
)
def RESAMPLE(xp: Any, input: Any, *, dims: Any) -> Any:
    """A weighted sum of a few elements along each of the last dimensions."""
    return resample.resample(xp, input, dims)


# --- the functions people call -------------------------------------------------------------------------


def smoothed(input: Any, size: Any, scale_factor: Any, mode: str, corners: bool) -> Tensor:
    """`interpolate` with `antialias`: of a smaller picture each element weighs all that it covers."""
    factor = frozen(scale_factor)
    try:
        out = spatial(input.shape, frozen(size), factor, mode)
    except (ArgumentProblem, ShapeClash):  # told in full by the op itself
        return interpolate(input, size, scale_factor, mode, corners)
    factors = factor if isinstance(factor, tuple) else (factor,) * len(out)
    dims = tuple(
        resample.covering(n, m, f, corners, mode == "bicubic")
        for n, m, f in zip(input.shape[2:], out, factors, strict=True)
    )
    return apply(RESAMPLE, (input,), {"dims": dims})  # type: ignore[no-any-return]


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """[batch, channels, spatial...] resampled to `size`, or to `scale_factor` times its spatial size.

    `mode` is "nearest", "nearest-exact", "linear" (one dimension), "bilinear", "bicubic" (two), "trilinear"
    (three) or "area". With `antialias` each element of a smaller picture weighs all that it covers. With `align_corners` the corners of input and output coincide, else their outer edges
    do.
    Raises `ShapeMismatchError` for an input of the wrong rank and `ValueError` for sizes that make no sense.
    """
    if antialias:
        if mode not in ("bilinear", "bicubic"):
            raise located(ValueError(f"antialias is for bilinear and bicubic modes, not for mode={mode!r}"))
        return smoothed(input, size, scale_factor, mode, bool(align_corners))
    factor = frozen(scale_factor)
    if recompute_scale_factor and factor is not None:
        size, factor = spatial(getattr(input, "shape", ()), None, factor, mode), None
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise located(ValueError(f"align_corners is for linear and cubic modes, not for mode={mode!r}"))
    attrs = {"size": frozen(size), "scale_factor": factor, "mode": mode, "align_corners": align_corners}
    return apply(INTERPOLATE, (input,), attrs)  # type: ignore[no-any-return]


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode="nearest", under its older name."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode="bilinear" and align_corners=True, under its older name."""
    return interpolate(input, size, scale_factor, "bilinear", True)
