"""The methods of a tensor that write into it: each function with an underscore behind its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.ops import (
    activation,
    arithmetic,
    bessel,
    blend,
    comparison,
    complex,
    diagonal,
    exponential,
    indexing,
    layout,
    pairwise,
    placed,
    rounding,
    running,
    scatter,
    special,
    statistics,
    strided,
    trigonometric,
    whole,
)
from engine.ops.inplace import put, replace
from engine.ops.noise import random_fill
from engine.ops.reduction import cumsum

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _by_op(op: Any) -> Any:
    def write(self: Tensor, other: Any) -> Tensor:
        return replace(self, op, (self, other))

    write.__doc__ = f"`{op.formula}`, in place."
    return write


def _by(function: Callable[..., Any]) -> Any:
    """`function` of a tensor, its result written into the tensor."""

    def write(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return put(self, function, args, kwargs)

    write.__doc__ = f"`{function.__name__}`, in place."
    return write


def _reshaped(function: Callable[..., Any]) -> Any:
    """A tensor that becomes a view of itself."""

    def turn(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        made = function(self, *args, **kwargs)
        self.array, self.node = made.array, made.node
        return self  # type: ignore[no-any-return]

    turn.__doc__ = f"`{function.__name__}`, in place."
    return turn


class Writing:
    """What `Tensor` inherits beside `Methods`."""

    __slots__ = ()

    __iadd__ = _by_op(arithmetic.ADD)
    __isub__ = _by_op(arithmetic.SUB)
    __imul__ = _by_op(arithmetic.MUL)
    __itruediv__ = _by_op(arithmetic.DIV)
    __ifloordiv__ = _by_op(arithmetic.FLOOR_DIVIDE)
    __imod__ = _by_op(arithmetic.REMAINDER)
    __ipow__ = _by_op(arithmetic.POW)
    __iand__ = _by(comparison.bitwise_and)
    __ior__ = _by(comparison.bitwise_or)
    __ixor__ = _by(comparison.bitwise_xor)

    abs_ = absolute_ = _by(arithmetic.abs)
    acos_ = arccos_ = _by(trigonometric.acos)
    acosh_ = arccosh_ = _by(trigonometric.acosh)
    add_ = _by(arithmetic.add)
    addbmm_ = _by(blend.addbmm)
    addcdiv_ = _by(pairwise.addcdiv)
    addcmul_ = _by(pairwise.addcmul)
    addmm_ = _by(blend.addmm)
    addmv_ = _by(blend.addmv)
    addr_ = _by(blend.addr)
    asin_ = arcsin_ = _by(trigonometric.asin)
    asinh_ = arcsinh_ = _by(trigonometric.asinh)
    atan_ = arctan_ = _by(trigonometric.atan)
    atan2_ = arctan2_ = _by(trigonometric.atan2)
    atanh_ = arctanh_ = _by(trigonometric.atanh)
    baddbmm_ = _by(blend.baddbmm)
    bitwise_and_ = _by(comparison.bitwise_and)
    bitwise_not_ = _by(comparison.bitwise_not)
    bitwise_or_ = _by(comparison.bitwise_or)
    bitwise_xor_ = _by(comparison.bitwise_xor)
    ceil_ = _by(rounding.ceil)
    clamp_ = clip_ = _by(arithmetic.clamp)
    clamp_max_ = _by(pairwise.clamp_max)
    clamp_min_ = _by(pairwise.clamp_min)
    copysign_ = _by(pairwise.copysign)
    cos_ = _by(trigonometric.cos)
    cosh_ = _by(trigonometric.cosh)
    cumprod_ = _by(running.cumprod)
    cumsum_ = _by(cumsum)
    deg2rad_ = _by(pairwise.deg2rad)
    digamma_ = _by(special.digamma)
    div_ = divide_ = true_divide_ = _by(arithmetic.div)
    eq_ = _by(comparison.eq)
    erf_ = _by(exponential.erf)
    erfc_ = _by(special.erfc)
    erfinv_ = _by(special.erfinv)
    exp_ = _by(exponential.exp)
    exp2_ = _by(exponential.exp2)
    expm1_ = _by(exponential.expm1)
    float_power_ = _by(pairwise.float_power)
    floor_ = _by(rounding.floor)
    floor_divide_ = _by(arithmetic.floor_divide)
    fmod_ = _by(pairwise.fmod)
    frac_ = _by(pairwise.frac)
    ge_ = greater_equal_ = _by(comparison.ge)
    gt_ = greater_ = _by(comparison.gt)
    heaviside_ = _by(pairwise.heaviside)
    hypot_ = _by(pairwise.hypot)
    index_add_ = _by(placed.index_add)
    index_copy_ = _by(placed.index_copy)
    index_fill_ = _by(placed.index_fill)
    index_put_ = _by(placed.index_put)
    ldexp_ = _by(pairwise.ldexp)
    le_ = less_equal_ = _by(comparison.le)
    lerp_ = _by(pairwise.lerp)
    lgamma_ = _by(special.lgamma)
    gcd_ = _by(whole.gcd)
    i0_ = _by(bessel.i0)
    index_reduce_ = _by(strided.index_reduce)
    lcm_ = _by(whole.lcm)
    nextafter_ = _by(whole.nextafter)
    put_ = _by(strided.put)
    log_ = _by(exponential.log)
    log10_ = _by(exponential.log10)
    log1p_ = _by(exponential.log1p)
    log2_ = _by(exponential.log2)
    logical_and_ = _by(comparison.logical_and)
    logical_not_ = _by(comparison.logical_not)
    logical_or_ = _by(comparison.logical_or)
    logical_xor_ = _by(comparison.logical_xor)
    logit_ = _by(pairwise.logit)
    lt_ = less_ = _by(comparison.lt)
    masked_fill_ = _by(comparison.masked_fill)
    masked_scatter_ = _by(placed.masked_scatter)
    mul_ = multiply_ = _by(arithmetic.mul)
    nan_to_num_ = _by(pairwise.nan_to_num)
    ne_ = not_equal_ = _by(comparison.ne)
    neg_ = negative_ = _by(arithmetic.neg)
    pow_ = _by(arithmetic.pow)
    rad2deg_ = _by(pairwise.rad2deg)
    reciprocal_ = _by(arithmetic.reciprocal)
    relu_ = _by(activation.relu)
    remainder_ = _by(arithmetic.remainder)
    renorm_ = _by(statistics.renorm)
    round_ = _by(rounding.round)
    rsqrt_ = _by(arithmetic.rsqrt)
    scatter_ = _by(scatter.scatter)
    scatter_add_ = _by(scatter.scatter_add)
    scatter_reduce_ = _by(placed.scatter_reduce)
    sgn_ = _by(complex.sgn)
    conj_physical_ = _by(complex.conj)
    sigmoid_ = _by(activation.sigmoid)
    sign_ = _by(arithmetic.sign)
    sin_ = _by(trigonometric.sin)
    sinc_ = _by(pairwise.sinc)
    sinh_ = _by(trigonometric.sinh)
    sqrt_ = _by(arithmetic.sqrt)
    square_ = _by(arithmetic.square)
    sub_ = subtract_ = _by(arithmetic.sub)
    tan_ = _by(trigonometric.tan)
    tanh_ = _by(activation.tanh)
    tril_ = _by(diagonal.tril)
    triu_ = _by(diagonal.triu)
    trunc_ = fix_ = _by(rounding.trunc)
    xlogy_ = _by(pairwise.xlogy)

    squeeze_ = _reshaped(layout.squeeze)
    t_ = _reshaped(layout.t)
    transpose_ = swapaxes_ = swapdims_ = _reshaped(layout.transpose)
    unsqueeze_ = _reshaped(layout.unsqueeze)

    def fill_(self: Any, value: Any) -> Tensor:
        """`value` everywhere, in place."""
        indexing.setitem(self, Ellipsis, value)
        return self  # type: ignore[no-any-return]

    def zero_(self: Any) -> Tensor:
        """0 everywhere, in place."""
        indexing.setitem(self, Ellipsis, 0)
        return self  # type: ignore[no-any-return]

    def copy_(self: Any, src: Any, non_blocking: bool = False) -> Tensor:
        """The values of `src`, broadcast, in place; `src` may be on another device."""
        indexing.setitem(self, Ellipsis, src.to(device=self.device) if hasattr(src, "node") else src)
        return self  # type: ignore[no-any-return]

    def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Tensor:
        """`fill_value` along the diagonal, in place."""
        places = range(min(self.shape))
        indexing.setitem(self, tuple(list(places) for _ in self.shape), fill_value)
        return self  # type: ignore[no-any-return]

    def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Any = None) -> Tensor:
        """Uniform random numbers from `a` to `b`, in place; both parts of complex ones."""
        if self.is_complex():
            complex.view_as_real(self).uniform_(a, b, generator=generator)
            return self  # type: ignore[no-any-return]
        return random_fill(self, "uniform", lambda u: u * (b - a) + a, generator)

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
        """Normal random numbers, in place; the parts of complex ones have half of the variance each."""
        if self.is_complex():
            complex.view_as_real(self).normal_(0.0, std * math.sqrt(0.5), generator=generator)
            return self.add_(mean)  # type: ignore[no-any-return]
        return random_fill(self, "normal", lambda z: z * std + mean, generator)

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
        """Exponentially distributed random numbers of rate `lambd`, in place."""
        return random_fill(self, "uniform64", lambda u: -_log1m(u) / lambd, generator)

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        """1 with probability `p` (a number or a tensor), else 0, in place."""
        chance = getattr(p, "array", p)
        return random_fill(self, "uniform64", lambda u: u < chance, generator)

    def geometric_(self: Any, p: float, *, generator: Any = None) -> Tensor:
        """How many trials of probability `p` the first success takes, in place."""
        return random_fill(self, "uniform64", lambda u: -(-_log1m(u) / math.log1p(-p) // 1), generator)

    def random_(self: Any, from_: int = 0, to: int | None = None, *, generator: Any = None) -> Tensor:
        """Whole numbers from `from_` to `to - 1`, in place; with one number, from 0; with none, all the dtype holds."""
        import numpy as np

        low, high = from_, to
        if high is None and low:
            low, high = 0, low
        if high is None:
            kind = self.dtype
            high = 2 ** (np.finfo(kind).nmant + 1) if kind.kind == "f" else int(np.iinfo(kind).max)
        span = high - low
        return random_fill(self, "uniform64", lambda u: (u * span // 1) + low, generator)


def _log1m(u: Any) -> Any:
    from engine.backend import namespace

    return namespace(u).log1p(-u)
