"""Complex numbers made of real ones, and taken apart. Their gradients are those of `engine.complexes`.

`real`, `imag`, `view_as_real` and `view_as_complex` are views: what is written to them is written to the tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import shapes
from engine.dispatch import apply, unary
from engine.dtype import complex_of, floating, real_of
from engine.errors import ArgumentProblem, Shape, ShapeClash, shape_text
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.arithmetic import ELEMENTWISE, UNARY
from engine.ops.comparison import where
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


__all__ = [
    "angle", "complex", "conj", "conj_physical", "imag", "isreal", "polar", "real", "resolve_conj", "resolve_neg", "sgn",
    "view_as_complex", "view_as_real",
]  # fmt: skip


def _real_dtype(input: Any) -> Any:
    return real_of(input)


def _complex_dtype(*inputs: Any) -> Any:
    return complex_of(floating(*inputs))


def _real_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g.astype(input.dtype)


PART: dict[str, Any] = {**UNARY, "dtype": _real_dtype, "view": True, "complex": LINEAR}


@op("real", **PART, formula="Re input", vjp=_real_vjp)
def REAL(xp: Any, input: Any) -> Any:
    """The real part, a view."""
    return input.real


def _imag_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g.astype(input.dtype) * 1j


@op("imag", **PART, formula="Im input", vjp=_imag_vjp)
def IMAG(xp: Any, input: Any) -> Any:
    """The imaginary part, a view."""
    return input.imag


def _conj_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return xp.conj(g)


@op("conj", **UNARY, complex=LINEAR, ufunc="conjugate", formula="Re input - i Im input", vjp=_conj_vjp)
def CONJ(xp: Any, input: Any) -> Any:
    """The conjugate."""
    return xp.conj(input)


def _complex_vjp(xp: Any, g: Any, out: Any, real: Any, imag: Any) -> Any:
    return xp.real(g), xp.imag(g)


@op(
    "complex", **{**ELEMENTWISE, "dtype": _complex_dtype}, meets=0, complex=LINEAR, formula="real + i imag",
    vjp=_complex_vjp,
)  # fmt: skip
def COMPLEX(xp: Any, real: Any, imag: Any) -> Any:
    """Complex numbers of two parts."""
    out = xp.empty(np.broadcast_shapes(real.shape, imag.shape), complex_of(real.dtype))
    out.real[...], out.imag[...] = real, imag
    return out


def _polar_vjp(xp: Any, g: Any, out: Any, abs: Any, angle: Any) -> Any:
    turned = xp.conj(g) * polar_of(xp, angle)
    # Re(conj(g) e^iθ), and Re(conj(g) i r e^iθ).
    return xp.real(turned), -xp.imag(turned) * abs


def polar_of(xp: Any, angle: Any) -> Any:
    """e^iθ of real angles, on arrays and on Tensors."""
    return xp.exp(angle.astype(complex_of(angle.dtype)) * 1j)


@op(
    "polar", **{**ELEMENTWISE, "dtype": _complex_dtype}, meets=0, complex=LINEAR, saves=("abs", "angle"),
    formula="abs e^(i angle)", vjp=_polar_vjp,
)  # fmt: skip
def POLAR(xp: Any, abs: Any, angle: Any) -> Any:
    """Complex numbers of a magnitude and an angle."""
    return COMPLEX.forward(xp, abs * xp.cos(angle), abs * xp.sin(angle))


def _angle_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return xp.zeros_like(g)


def _complex_angle_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    size = xp.square(xp.real(input)) + xp.square(xp.imag(input))
    none = size == 0
    return xp.where(none, 0.0, g * (input * 1j) / xp.where(none, 1.0, size))


def _angle_dtype(input: Any) -> Any:
    return real_of(floating(input))


@op(
    "angle", **{**UNARY, "dtype": _angle_dtype}, quiet=True, complex=_complex_angle_vjp, saves=("input",),
    formula="atan2(Im input, Re input)", vjp=_angle_vjp,
)  # fmt: skip
def ANGLE(xp: Any, input: Any) -> Any:
    """The angle to the positive real numbers, in radians; its gradient at 0 is 0."""
    if input.dtype.kind == "c":
        return xp.arctan2(input.imag, input.real)
    kind = floating(input.dtype)
    return xp.where(xp.isnan(input), input, xp.where(input < 0, kind.type(np.pi), kind.type(0))).astype(kind)


def _as_real_shape(input: Any) -> Shape:
    return (*sizes(input), 2)


def _as_real_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return view_as_complex(g) if hasattr(g, "node") else paired(g)


VIEW: dict[str, Any] = {"family": "shape", "view": True, "complex": LINEAR}


@op(
    "view_as_real", **VIEW, shape=_as_real_shape, dtype=_real_dtype, origin=shapes.same_origin,
    formula="out[..., 0], out[..., 1] = Re input, Im input", vjp=_as_real_vjp,
)  # fmt: skip
def VIEW_AS_REAL(xp: Any, input: Any) -> Any:
    """Real and imaginary part as a last dimension of 2, a view."""
    return parts_of(input)


def parts_of(array: Any) -> Any:
    """A complex array [...] as a real one [..., 2], sharing memory where it can."""
    kind = real_of(array.dtype)
    if isinstance(array, np.ndarray):
        return array[..., None].view(kind)
    # CuPy takes apart only what lies in order.
    return array.reshape(-1).view(kind).reshape(*array.shape, 2)


def _as_complex_shape(input: Any) -> Shape:
    shape = sizes(input)
    if not shape or shape[-1] != 2:
        raise ShapeClash(
            [*shape[:-1], 2], 0, [(0, len(shape) - 1)] if shape else [],
            f"{{op}} takes pairs of a real and an imaginary part in the last dimension, {{0}} is {shape_text(shape)}.",
        )  # fmt: skip
    return shape[:-1]


def _as_complex_dtype(input: Any) -> Any:
    return complex_of(input)


def _as_complex_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return view_as_real(g) if hasattr(g, "node") else parts_of(g)


@op(
    "view_as_complex", **VIEW, shape=_as_complex_shape, dtype=_as_complex_dtype, origin=shapes.same_origin,
    check=True, formula="out = input[..., 0] + i input[..., 1]", vjp=_as_complex_vjp,
)  # fmt: skip
def VIEW_AS_COMPLEX(xp: Any, input: Any) -> Any:
    """Pairs of numbers in the last dimension as complex numbers; a view where the pairs lie together."""
    if input.dtype not in (np.float32, np.float64):
        raise ArgumentProblem(
            RuntimeError,
            f"view_as_complex takes float32 or float64, {{0}} is {input.dtype}; cast it first",
            0,
        )
    return paired(input)


def paired(pairs: Any) -> Any:
    """An array [..., 2] of floats as complex numbers."""
    if pairs.strides[-1] != pairs.itemsize or any(s % (2 * pairs.itemsize) for s in pairs.strides[:-1]):
        pairs = pairs.copy()
    return pairs.view(complex_of(pairs.dtype))[..., 0]


# --- the functions people call -----------------------------------------------------------------------


def _is_complex(input: Any) -> bool:
    return bool(input.dtype.kind == "c")


def real(input: Any) -> Tensor:
    """The real part of complex numbers, a view; a real tensor itself."""
    return apply(REAL, (input,)) if _is_complex(input) else input  # type: ignore[no-any-return]


def imag(input: Any) -> Tensor:
    """The imaginary part of complex numbers, a view. Raises `RuntimeError` for a real tensor, as PyTorch does."""
    if not _is_complex(input):
        raise located(
            RuntimeError(
                f"imag is not implemented for tensors with non-complex dtypes, this one is {input.dtype}"
            )
        )
    return apply(IMAG, (input,))  # type: ignore[no-any-return]


def set_real(input: Any, value: Any) -> None:
    """`input.real = value`, in place; of a real tensor all of it."""
    real(input)[...] = value


def set_imag(input: Any, value: Any) -> None:
    """`input.imag = value`, in place."""
    imag(input)[...] = value


def conj(input: Any) -> Tensor:
    """The conjugate; a real tensor itself."""
    return unary(CONJ, input) if _is_complex(input) else input


def conj_physical(input: Any) -> Tensor:
    """As `conj`."""
    return conj(input)


def resolve_conj(input: Any) -> Tensor:
    """Itself: `conj` computes at once."""
    return input  # type: ignore[no-any-return]


resolve_neg = resolve_conj


def complex(real: Any, imag: Any) -> Tensor:
    """`real + i imag`, of two real tensors of one type. Raises `RuntimeError` for anything else."""
    _two_real("complex", ("real", real), ("imag", imag))
    return apply(COMPLEX, (real, imag))  # type: ignore[no-any-return]


def polar(abs: Any, angle: Any) -> Tensor:
    """Complex numbers of the magnitude `abs` and the angle `angle` in radians, tensors of one type.

    Raises `RuntimeError` for anything else.
    """
    _two_real("polar", ("abs", abs), ("angle", angle))
    return apply(POLAR, (abs, angle))  # type: ignore[no-any-return]


def _two_real(name: str, *parts: tuple[str, Any]) -> None:
    kinds = [getattr(part, "dtype", type(part).__name__) for _, part in parts]
    if kinds[0] != kinds[1] or kinds[0] not in (np.float32, np.float64):
        told = " and ".join(f"{word} {kind}" for (word, _), kind in zip(parts, kinds, strict=True))
        raise located(RuntimeError(f"{name} needs two tensors of one type, float32 or float64, got {told}"))


def angle(input: Any) -> Tensor:
    """The angle of complex numbers in radians; of real numbers 0, or pi below 0."""
    return unary(ANGLE, input)


def view_as_real(input: Any) -> Tensor:
    """[...] complex as [..., 2] real: the two parts, sharing memory. Raises `RuntimeError` for a real tensor."""
    if not _is_complex(input):
        raise located(RuntimeError(f"view_as_real is only for complex tensors, this one is {input.dtype}"))
    return apply(VIEW_AS_REAL, (input,))  # type: ignore[no-any-return]


def view_as_complex(input: Any) -> Tensor:
    """[..., 2] real as [...] complex, sharing memory where each pair lies together, else a copy.

    Raises `ShapeMismatchError` where the last dimension is not 2.
    """
    return apply(VIEW_AS_COMPLEX, (input,))  # type: ignore[no-any-return]


def sgn(input: Any) -> Tensor:
    """`input / |input|`, 0 at 0: of real numbers the sign."""
    from engine.ops.arithmetic import abs, sign

    if not _is_complex(input):
        return sign(input)
    size = abs(input)
    return input / where(size == 0, 1.0, size)  # type: ignore[no-any-return]


def isreal(input: Any) -> Tensor:
    """Whether the imaginary part is 0, element by element."""
    if _is_complex(input):
        return imag(input) == 0
    return (input == input) | (input != input)  # type: ignore[no-any-return]
