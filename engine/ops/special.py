"""The error function's relatives and the gamma function's, with the functions that NumPy lacks computed here."""

from __future__ import annotations

import functools
import importlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import shapes
from engine.dispatch import apply, unary
from engine.dtype import floating
from engine.errors import ArgumentProblem, Shape
from engine.op import op
from engine.ops.exponential import FLOAT_UNARY, erf_of, pieces
from engine.ops.nested import nested

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["digamma", "erfc", "erfinv", "lgamma", "polygamma"]


def _in_float64(function: Any, x: Any) -> Any:
    """`function` of a NumPy array in float64, in the array's own floating type again."""
    kind = x.dtype if x.dtype.kind == "f" else np.dtype("float64")
    return function(np.asarray(x, np.float64)).astype(kind)


def _on_gpu(name: str) -> Any:
    return getattr(importlib.import_module("cupyx.scipy.special"), name)


# --- erfc, erfinv ------------------------------------------------------------------------------------


def _erfc_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (xp.exp(input * input * -1.0) * (-2 / math.sqrt(math.pi)))


def _erfc(x: Any) -> Any:
    # 1 - erf loses everything where erf is nearly 1: there Abramowitz and Stegun 7.1.14 gives the tail itself.
    far = np.abs(x) >= 2.5
    near = 1 - erf_of(np, x)
    if not far.any():
        return near
    z = np.where(far, np.minimum(np.abs(x), 30.0), 3.0)
    value = np.exp(-z * z) * _fraction(z)
    return np.where(far, np.where(x > 0, value, 2 - value), near)


# Where erfc of float32 ends, 10.06, and a little beyond.
_END = 12.0


@functools.cache
def _tail_polynomial() -> tuple[float, ...]:
    """ln(erfc(z) e^(z²) / t) as a polynomial in u, where t = 2 / (2 + z) goes from where erfc ends to 1 and u from -1 to 1.

    The substitution is of Press et al., Numerical Recipes, 6.2.2; the numbers are made of `_erfc`.
    """
    from numpy.polynomial import chebyshev

    least = 2 / (2 + _END)

    def wanted(u: Any) -> Any:
        t = least + (u + 1) * (1 - least) / 2
        z = 2 / t - 2
        scaled = np.where(
            z < 2.5, _erfc(np.minimum(z, 2.4999)) * np.exp(np.minimum(z, 2.4999) ** 2), _fraction(z)
        )
        return np.log(scaled / t)

    return tuple(chebyshev.cheb2poly(chebyshev.chebinterpolate(wanted, 14)).tolist())


def _fraction(z: Any) -> Any:
    """erfc(z) e^(z²) by a continued fraction, for z from 2.5 on."""
    tail = z.copy()
    for n in range(40, 0, -1):
        tail = z + (n / 2) / tail
    return 1 / (math.sqrt(math.pi) * tail)


def _erfc_single(x: Any) -> Any:
    """`_erfc` of float32, a cacheful at a time: t exp(P(u) - z²) of z = |x|, and 2 less that for a negative x."""
    out = np.empty(x.shape, np.float32)
    least, polynomial = 2 / (2 + _END), _tail_polynomial()
    for part, into in pieces(np.ascontiguousarray(x), out):
        z = np.abs(part, dtype=np.float64)
        np.minimum(z, _END, out=z)
        t = 2 / (z + 2)
        u = t * (2 / (1 - least))
        u -= 1 + 2 * least / (1 - least)
        made = np.full_like(u, polynomial[-1])
        for coefficient in polynomial[-2::-1]:
            made *= u
            made += coefficient
        np.multiply(z, z, out=z)
        made -= z
        np.exp(made, out=made)
        made *= t
        np.copyto(made, 2 - made, where=part < 0)
        into[...] = made
    return out


@op("erfc", **FLOAT_UNARY, formula="1 - erf(input)", vjp=_erfc_vjp, saves=("input",))
def ERFC(xp: Any, input: Any) -> Any:
    """Complementary error function, exact where erf is nearly 1."""
    if xp is np and type(input) is np.ndarray and input.dtype == np.float32:
        return _erfc_single(input)
    return _in_float64(_erfc, input) if xp is np else _on_gpu("erfc")(input)


def _erfinv_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (xp.exp(out * out) * (math.sqrt(math.pi) / 2))


def _erfinv(y: Any) -> Any:
    inside = np.abs(y) < 1
    safe = np.where(inside, y, 0.0)
    # Winitzki's approximation, then Halley's method on erf: three steps reach the last bits.
    log = np.log1p(-safe * safe)
    half = 2 / (math.pi * 0.147) + log / 2
    x = np.sign(safe) * np.sqrt(np.sqrt(half * half - log / 0.147) - half)
    for _ in range(3):
        # For large |x| erf is flat and its complement is not.
        error = np.where(
            np.abs(x) < 1, erf_of(np, x) - safe, np.sign(x) * ((1 - np.abs(safe)) - _erfc(np.abs(x)))
        )
        step = error / (2 / math.sqrt(math.pi) * np.exp(-x * x))
        x = x - step / (1 + x * step)
    edge = np.where(y == 1, np.inf, np.where(y == -1, -np.inf, np.nan))
    return np.where(inside, x, edge)


# Of float32: polynomials in w = -ln(1 - y²), shifted, where w < 5 and in its root beyond (Giles 2010, Approximating the
# erfinv function).
_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def _erfinv_single(y: Any) -> Any:
    """`_erfinv` of float32, a cacheful at a time, within 1e-6 of its size."""
    out = np.empty_like(y, order="C")
    for part, into in pieces(np.ascontiguousarray(y), out):
        with np.errstate(all="ignore"):  # at the edges and beyond
            w = -np.log((1 - part) * (1 + part))
        far = w >= 5
        near = w - np.float32(2.5)
        made = np.full_like(part, _CENTRE[0])
        for coefficient in _CENTRE[1:]:
            made *= near
            made += np.float32(coefficient)
        if far.any():
            root = np.sqrt(w[far]) - np.float32(3)
            tail = np.full_like(root, _TAIL[0])
            for coefficient in _TAIL[1:]:
                tail *= root
                tail += np.float32(coefficient)
            made[far] = tail
        with np.errstate(all="ignore"):
            np.multiply(made, part, out=into)
        edge = np.abs(part) >= 1
        if edge.any():
            into[edge] = np.where(np.abs(part[edge]) == 1, np.copysign(np.inf, part[edge]), np.nan)
    return out


@op("erfinv", **FLOAT_UNARY, formula="x with erf(x) = input", vjp=_erfinv_vjp, saves=("out",))
def ERFINV(xp: Any, input: Any) -> Any:
    """The inverse of the error function."""
    if xp is np and type(input) is np.ndarray and input.dtype == np.float32:
        return _erfinv_single(input)
    return _in_float64(_erfinv, input) if xp is np else _on_gpu("erfinv")(input)


# --- the gamma function and its derivatives ----------------------------------------------------------

_SHIFT = 12  # the asymptotic series below are exact to the last bit from here on
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))
_DIGAMMA = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))


# z (z + 1) ... (z + 11) in pairs: with q = z (z + 11), the product of q and these.
_PAIRS = tuple(float(k * (_SHIFT - 1 - k)) for k in range(_SHIFT // 2))


def _shifted(z: Any) -> tuple[Any, Any, Any]:
    """Of z from 1/2 on: which are below 12, z (z + 11), and z + 12 for these and z for the others."""
    near = z < _SHIFT
    pair = z + (_SHIFT - 1)
    pair *= z
    w = z + _SHIFT
    np.copyto(w, z, where=~near)
    return near, pair, w


def _series(w: Any, coefficients: tuple[float, ...]) -> Any:
    """Σ coefficients[k] / w^(2 k)."""
    square = 1 / w
    square *= square
    total = np.full_like(w, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= square
        total += coefficient
    return total


def _by_pieces(function: Any) -> Any:
    """`function` of lines of float64, a cacheful at a time."""

    def whole(x: Any) -> Any:
        out = np.empty(x.shape)
        with np.errstate(all="ignore"):  # at the poles and beyond
            for part, into in pieces(np.ascontiguousarray(x), out):
                into[...] = function(part)
        return out

    return whole


def _left(x: Any) -> tuple[Any, Any]:
    """Where x is left of 1/2, and x with these put to 1 - x."""
    left = np.flatnonzero(x < 0.5)
    z = x.copy()
    z[left] = 1 - x[left]
    return left, z


@_by_pieces
def _lgamma(x: Any) -> Any:
    # Stirling's series at x + 12, and back; left of 1/2, ln Γ(x) = ln π - ln |sin πx| - ln Γ(1 - x).
    left, z = _left(x)
    near, pair, w = _shifted(z)
    product = pair.copy()
    for k in _PAIRS[1:]:
        pair_k = pair + k
        product *= pair_k
    np.copyto(product, 1.0, where=~near)
    value = _series(w, _STIRLING)
    value /= w
    value += 0.5 * math.log(2 * math.pi)
    value -= w
    value += (w - 0.5) * np.log(w)
    value -= np.log(product)
    if left.size:
        past = x[left] - np.rint(x[left])
        value[left] = math.log(math.pi) - np.log(np.abs(np.sin(math.pi * past))) - value[left]
    value[np.isinf(x)] = np.inf
    value[(x == 1) | (x == 2)] = 0.0
    return value


@_by_pieces
def _digamma(x: Any) -> Any:
    # As `_lgamma`, and ψ(x) = ψ(1 - x) - π cot πx.
    left, z = _left(x)
    near, pair, w = _shifted(z)
    back = 1 / pair
    for k in _PAIRS[1:]:
        back += 1 / (pair + k)
    back *= 2 * z + (_SHIFT - 1)
    np.copyto(back, 0.0, where=~near)
    value = np.log(w)
    value -= 0.5 / w
    value -= _series(w, _DIGAMMA) / (w * w)
    value -= back
    if left.size:
        past = x[left] - np.rint(x[left])
        value[left] -= math.pi / np.tan(math.pi * past)
        whole = left[past == 0]
        value[whole] = np.where(x[whole] == 0, -np.copysign(np.inf, x[whole]), np.nan)
    return value


def _to_the(x: Any, power: int) -> Any:
    """x ** power by products, which NumPy's own is ten times slower than."""
    if power > 8:
        return x ** float(power)
    made = x.copy()
    for _ in range(power - 1):
        made *= x
    return made


def _zeta(s: int, x: Any) -> Any:
    """Hurwitz's Σ (x + k)^-s over k >= 0, by the Euler-Maclaurin formula after twelve terms or more."""
    below = -float(x.min()) if x.size and np.isfinite(x).all() else 0.0
    terms = _SHIFT + min(max(0, math.ceil(below)), 10_000)
    total = np.zeros_like(x)
    for k in range(terms):
        total += _to_the(1 / (x + k), s)
    w = np.where(x + terms > 0, x + terms, np.nan)
    inverse = 1 / w
    before = _to_the(inverse, s - 1) if s > 1 else np.ones_like(w)
    factor, coefficients = float(s), []
    for k, b in enumerate(_BERNOULLI, 1):
        coefficients.append(b * factor / math.factorial(2 * k))
        factor *= (s + 2 * k - 1) * (s + 2 * k)
    tail = _series(w, tuple(coefficients))
    tail *= inverse
    tail += 0.5
    tail *= inverse
    tail += 1 / (s - 1)
    tail *= before
    total += tail
    return total


def _lgamma_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * nested(xp, POLYGAMMA, input, n=0)


@op("lgamma", **FLOAT_UNARY, formula="ln |Γ(input)|", vjp=_lgamma_vjp, saves=("input",))
def LGAMMA(xp: Any, input: Any) -> Any:
    """Logarithm of the gamma function's absolute value."""
    return _in_float64(_lgamma, input) if xp is np else _on_gpu("gammaln")(input)


def _polygamma_vjp(xp: Any, g: Any, out: Any, input: Any, *, n: int) -> Any:
    return g * nested(xp, POLYGAMMA, input, n=n + 1)


def _polygamma_shape(input: Any, *, n: int) -> Shape:
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ArgumentProblem(ValueError, f"n has to be a whole number, 0 or more, got {n!r}")
    return shapes.sizes(input)


@op(
    "polygamma",
    **{**FLOAT_UNARY, "shape": _polygamma_shape, "dtype": floating},
    check=True,
    formula="the (n + 1)-th derivative of ln Γ(input)",
    vjp=_polygamma_vjp,
    saves=("input",),
    source="Abramowitz and Stegun 6.3.18, 6.4.10",
)
def POLYGAMMA(xp: Any, input: Any, *, n: int) -> Any:
    """Derivatives of the logarithm of the gamma function: `n` 0 is digamma, 1 trigamma."""
    if xp is not np:
        return (
            _on_gpu("digamma")(input) if n == 0 else _on_gpu("polygamma")(xp.asarray(n, input.dtype), input)
        )
    if n == 0:
        return _in_float64(_digamma, input)
    sign = float((-1) ** (n + 1) * math.factorial(n))
    return _in_float64(_by_pieces(lambda x: sign * _zeta(n + 1, x)), input)


def erfc(input: Any) -> Tensor:
    """`1 - erf(input)`, exact where erf is nearly 1."""
    return unary(ERFC, input)


def erfinv(input: Any) -> Tensor:
    """The inverse of `erf`; infinite at -1 and 1, nan beyond."""
    return unary(ERFINV, input)


def lgamma(input: Any) -> Tensor:
    """`log(abs(gamma(input)))`; infinite at 0 and at negative whole numbers."""
    return unary(LGAMMA, input)


def digamma(input: Any) -> Tensor:
    """The derivative of `lgamma`."""
    return apply(POLYGAMMA, (input,), {"n": 0})  # type: ignore[no-any-return]


def polygamma(n: int, input: Any) -> Tensor:
    """The `n`-th derivative of `digamma`.

    Raises `ValueError` for a negative `n`.
    """
    return apply(POLYGAMMA, (input,), {"n": n})  # type: ignore[no-any-return]
