"""Special functions, under the names PyTorch has in `torch.special`."""

from __future__ import annotations

import math
from typing import Any

from engine import (
    exp2,
    expm1,
    log,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    round,
    sigmoid,
    sinc,
    softmax,
    where,
    xlogy,
)
from engine.creation import full_like
from engine.ops.bessel import i0
from engine.ops.exponential import erf
from engine.ops.special import digamma, erfc, erfinv, lgamma, polygamma
from engine.tensor import Tensor

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammaln", "i0", "log1p", "log_ndtr",
    "log_softmax", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "sinc", "softmax",
    "xlog1py", "xlogy",
]  # fmt: skip

expit = sigmoid
gammaln = lgamma
psi = digamma


def entr(input: Any) -> Tensor:
    """-x ln x; 0 at 0, minus infinity below.

    >>> import engine as ds
    >>> ds.special.entr(ds.tensor([0.0, 1.0])).abs().tolist()
    [0.0, 0.0]
    """
    found = -xlogy(input, input)
    return where(input < 0, full_like(found, -math.inf), found)  # type: ignore[no-any-return]


def xlog1py(input: Any, other: Any) -> Tensor:
    """`input · ln(1 + other)`, 0 where `input` is."""
    return where(input == 0, input * 0.0, input * log1p(other))  # type: ignore[no-any-return]


def ndtr(input: Any) -> Tensor:
    """The probability of a normal number of at most `input`."""
    return erfc(input * -math.sqrt(0.5)) * 0.5


def ndtri(input: Any) -> Tensor:
    """The inverse of `ndtr`."""
    return erfinv(input * 2 - 1) * math.sqrt(2)


def log_ndtr(input: Any) -> Tensor:
    """The logarithm of `ndtr`, exact far to the left too.

    Below -10 by the asymptotic series of the tail (Abramowitz and Stegun 26.2.12).
    """
    far = input < -10
    near = log(ndtr(where(far, full_like(input, 0.0), input)))
    x = where(far, input, full_like(input, -10.0))
    square = 1 / (x * x)
    total, term = 1.0, 1.0
    for k in range(1, 12):
        term = term * square * -(2 * k - 1.0)
        total = total + term
    tail = x * x * -0.5 - log(-x) - 0.5 * math.log(2 * math.pi) + log(total)
    return where(far, tail, near)  # type: ignore[no-any-return]


def multigammaln(input: Any, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension `p`.

    Raises `RuntimeError` for a `p` below 1.
    """
    from engine.also import mvlgamma

    return mvlgamma(input, p)
