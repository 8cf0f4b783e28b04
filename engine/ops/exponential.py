"""Exponentials and logarithms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import unary
from engine.op import HOLOMORPHIC, op
from engine.ops.arithmetic import UNARY

if TYPE_CHECKING:
    from engine.tensor import Tensor

FLOAT_UNARY: dict[str, Any] = {**UNARY, "dtype": dtype.floating, "quiet": True}


def _exp_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * out


@op("exp", complex=HOLOMORPHIC, **FLOAT_UNARY, onnx="Exp", formula="e ** input", vjp=_exp_vjp, saves=("out",))
def EXP(xp: Any, input: Any) -> Any:
    """Exponential."""
    return xp.exp(input)


def _expm1_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (out + 1)


@op("expm1", complex=HOLOMORPHIC, **FLOAT_UNARY, formula="e ** input - 1", vjp=_expm1_vjp, saves=("out",))
def EXPM1(xp: Any, input: Any) -> Any:
    """e ** input - 1, exact near 0."""
    return xp.expm1(input)


def _exp2_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (out * math.log(2))


@op("exp2", complex=HOLOMORPHIC, **FLOAT_UNARY, formula="2 ** input", vjp=_exp2_vjp, saves=("out",))
def EXP2(xp: Any, input: Any) -> Any:
    """2 ** input."""
    return xp.exp2(input)


def _log_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / input


@op("log", complex=HOLOMORPHIC, **FLOAT_UNARY, onnx="Log", formula="ln input", vjp=_log_vjp, saves=("input",))
def LOG(xp: Any, input: Any) -> Any:
    """Natural logarithm."""
    return xp.log(input)


def _log1p_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (input + 1)


@op("log1p", complex=HOLOMORPHIC, **FLOAT_UNARY, formula="ln (1 + input)", vjp=_log1p_vjp, saves=("input",))
def LOG1P(xp: Any, input: Any) -> Any:
    """ln (1 + input), exact near 0."""
    return xp.log1p(input)


# What the logarithm of a probability is at least, and the probability counts in its gradient at least, as in PyTorch.
LEAST_LOG, LEAST = -100.0, 1e-12


def _held_log_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / xp.maximum(input, LEAST)


@op(
    "held_log",
    **FLOAT_UNARY,
    formula="max(ln input, -100), its gradient at most 1e12",
    vjp=_held_log_vjp,
    saves=("input",),
)
def HELD_LOG(xp: Any, input: Any) -> Any:
    """Natural logarithm of a probability: finite at 0, in value and gradient."""
    return xp.maximum(xp.log(input), LEAST_LOG)


def _log2_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (input * math.log(2))


@op("log2", complex=HOLOMORPHIC, **FLOAT_UNARY, formula="log₂ input", vjp=_log2_vjp, saves=("input",))
def LOG2(xp: Any, input: Any) -> Any:
    """Logarithm to the base 2."""
    return xp.log2(input)


def _log10_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (input * math.log(10))


@op("log10", complex=HOLOMORPHIC, **FLOAT_UNARY, formula="log₁₀ input", vjp=_log10_vjp, saves=("input",))
def LOG10(xp: Any, input: Any) -> Any:
    """Logarithm to the base 10."""
    return xp.log10(input)


def _erf_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (xp.exp(input * input * -1.0) * (2 / math.sqrt(math.pi)))


@op("erf", **FLOAT_UNARY, onnx="Erf", formula="2/√π ∫₀ˣ e^(-t²) dt", vjp=_erf_vjp, saves=("input",))
def ERF(xp: Any, input: Any) -> Any:
    """Error function."""
    return erf_of(xp, input)


_SERIES = 50
_FRACTION = 40

# erf(x) / x = P(x²) / Q(x²) for |x| <= 3.92, where erf is 1 in float32: coefficients from the constant on, fitted by
# least squares with weights moved to where the relative error was largest, until none was above 2e-8.
_P = (1.1283791, 0.19040396, 0.052748407, 0.0037655154, 0.00028488144, 2.0501181e-06)
_Q = (1.0, 0.50207385, 0.11410809, 0.01496901, 0.0011625129, 3.8091970e-05)
_ONE = 3.92
_CACHE = 1 << 14


def pieces(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Arrays of one shape as lines, a cacheful at a time."""
    lines = [a.reshape(-1) for a in arrays]
    for start in range(0, lines[0].size, _CACHE):
        yield tuple([line[start : start + _CACHE] for line in lines])


def erf_in_place(part: Any) -> None:
    """erf of a line of float32, put where it is; within 1e-6 of its size."""
    np.minimum(part, np.float32(_ONE), out=part)
    np.maximum(part, np.float32(-_ONE), out=part)
    square = part * part
    for coefficients in (_P, _Q):
        total = square * np.float32(coefficients[-1])
        for coefficient in coefficients[-2:0:-1]:
            total += np.float32(coefficient)
            total *= square
        total += np.float32(coefficients[0])
        if coefficients is _P:
            part *= total
        else:
            part /= total
    np.minimum(part, np.float32(1), out=part)
    np.maximum(part, np.float32(-1), out=part)


def erf_single(x: Any) -> Any:
    """erf of float32 on NumPy."""
    out = np.array(x, order="C")
    for (part,) in pieces(out):
        erf_in_place(part)
    return out


def erf_of(xp: Any, x: Any) -> Any:
    """erf on raw arrays, to the precision of their type.

    In float64 Abramowitz and Stegun 7.1.6 (|x| < 2.5) and the continued fraction 7.1.14 (beyond), which converge to
    the last bit with a fixed number of terms. NumPy has no erf; CuPy's is used on a GPU.
    """
    if xp is not np:
        from cupyx.scipy.special import erf as on_gpu  # type: ignore[import-not-found]

        return on_gpu(x)
    if isinstance(x, np.ndarray) and x.dtype.char in "fe":
        return erf_single(x.astype(np.float32, copy=False)).astype(x.dtype, copy=False)
    out_type = x.dtype if x.dtype.kind == "f" else np.dtype("float64")
    x = np.asarray(x, np.float64)
    small = np.abs(x) < 2.5
    near = np.where(small, x, 0.0)
    square = near * near
    term = near.copy()
    total = near.copy()
    for n in range(_SERIES):
        term = term * (2 * square / (2 * n + 3))
        total += term
    result = 2 / math.sqrt(math.pi) * np.exp(-square) * total
    if not small.all():
        # erfc(z) = e^(-z²)/√π · 1/(z + (1/2)/(z + (2/2)/(z + ...)))
        z = np.where(small, 3.0, np.minimum(np.abs(x), 30.0))
        tail = z.copy()
        for n in range(_FRACTION, 0, -1):
            tail = z + (n / 2) / tail
        far = np.sign(x) * (1 - np.exp(-z * z) / (math.sqrt(math.pi) * tail))
        result = np.where(small, result, far)
    return np.where(np.isnan(x), x, result).astype(out_type)


def exp(input: Any) -> Tensor:
    """e to the power of each element."""
    return unary(EXP, input)


def expm1(input: Any) -> Tensor:
    """`exp(input) - 1`, exact near 0."""
    return unary(EXPM1, input)


def exp2(input: Any) -> Tensor:
    """2 to the power of each element."""
    return unary(EXP2, input)


def log(input: Any) -> Tensor:
    """Natural logarithm; -inf at 0, nan below."""
    return unary(LOG, input)


def held_log(input: Any) -> Tensor:
    """Logarithm of a probability, at least -100; the gradient is finite where it is 0."""
    return unary(HELD_LOG, input)


def log1p(input: Any) -> Tensor:
    """`log(1 + input)`, exact near 0."""
    return unary(LOG1P, input)


def log2(input: Any) -> Tensor:
    """Logarithm to the base 2."""
    return unary(LOG2, input)


def log10(input: Any) -> Tensor:
    """Logarithm to the base 10."""
    return unary(LOG10, input)


def erf(input: Any) -> Tensor:
    """Error function."""
    return unary(ERF, input)
