"""Changes of variable: of each number, of vectors and of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.transform import Transform, summed
from engine.nn import functional as F
from engine.tensor import Tensor


class _OneByOne(Transform):
    """A rising map of each number that needs no options."""

    bijective = True
    sign = 1

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = object.__hash__


class ExpTransform(_OneByOne):
    """y = exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Tensor:
        return x.exp()  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return y.log()  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """x."""
        return x  # type: ignore[no-any-return]


class PowerTransform(Transform):
    """y = x ** exponent, of positive numbers."""

    domain = constraints.positive
    codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent if isinstance(exponent, Tensor) else ds.tensor(float(exponent))

    @property
    def sign(self) -> Any:
        """The sign of the exponent."""
        return self.exponent.sign()

    def _call(self, x: Any) -> Tensor:
        return x.pow(self.exponent.to(x.dtype))  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return y.pow(1 / self.exponent.to(y.dtype))  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """ln |exponent y / x|."""
        return (self.exponent.to(x.dtype) * y / x).abs().log()  # type: ignore[no-any-return]

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """`shape`, broadcast with the exponent's."""
        return ds.broadcast_shapes(tuple(shape), tuple(self.exponent.shape))

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and bool((self.exponent == other.exponent).all())

    __hash__ = object.__hash__


def _tight(p: Tensor) -> Tensor:
    """Above 0 and below 1."""
    kind = ds.finfo(p.dtype)
    return p.clamp(float(kind.tiny), 1 - float(kind.eps))


class SigmoidTransform(_OneByOne):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x: Any) -> Tensor:
        return _tight(ds.sigmoid(x))

    def _inverse(self, y: Any) -> Tensor:
        y = _tight(y)
        return y.log() - ds.log1p(-y)  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """-softplus(-x) - softplus(x)."""
        return -F.softplus(-x) - F.softplus(x)


class SoftplusTransform(_OneByOne):
    """y = ln(1 + exp(x))."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Tensor:
        return F.softplus(x)

    def _inverse(self, y: Any) -> Tensor:
        return (-ds.expm1(-y)).log() + y  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """-softplus(-x)."""
        return -F.softplus(-x)


class TanhTransform(_OneByOne):
    """y = tanh(x); `cache_size=1` keeps x, which atanh near 1 and -1 would lose."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Tensor:
        return ds.tanh(x)

    def _inverse(self, y: Any) -> Tensor:
        return ds.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """2 (ln 2 - x - softplus(-2 x)), which does not overflow."""
        return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))  # type: ignore[no-any-return]


class AbsTransform(Transform):
    """y = |x|; its inverse takes the positive x."""

    codomain = constraints.positive

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbsTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Tensor:
        return x.abs()  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return y  # type: ignore[no-any-return]


class AffineTransform(Transform):
    """y = loc + scale * x; the last `event_dim` dimensions are one value.

    >>> import engine as ds
    >>> ds.distributions.AffineTransform(1.0, 2.0)(ds.tensor([3.0])).tolist()
    [7.0]
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are one value."""
        return self._event_dim

    @property
    def domain(self) -> Any:
        """Real numbers, or tensors of them."""
        return (
            constraints.independent(constraints.real, self._event_dim)
            if self._event_dim
            else constraints.real
        )

    codomain = domain

    @property
    def sign(self) -> Any:
        """The sign of the scale."""
        if isinstance(self.scale, Tensor):
            return self.scale.sign()
        return 1 if self.scale > 0 else -1 if self.scale < 0 else 0

    def _call(self, x: Any) -> Tensor:
        return self.loc + self.scale * x  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return (y - self.loc) / self.scale  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """ln |scale|."""
        if isinstance(self.scale, Tensor):
            found = self.scale.abs().log()
        else:
            found = ds.full_like(x, math.log(abs(self.scale)))
        dims = self._event_dim
        shape = tuple(x.shape)
        if dims:
            found = summed(found.expand(*found.shape[:-dims], *shape[-dims:]), dims)
            shape = shape[:-dims]
        return found.expand(*shape)

    def _shape(self, shape: Sequence[int]) -> Any:
        return ds.broadcast_shapes(
            tuple(shape), tuple(getattr(self.loc, "shape", ())), tuple(getattr(self.scale, "shape", ()))
        )

    forward_shape = inverse_shape = _shape

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        pairs = ((self.loc, other.loc), (self.scale, other.scale))
        return all(bool((ds.as_tensor(a) == ds.as_tensor(b)).all()) for a, b in pairs)

    __hash__ = object.__hash__


class SoftmaxTransform(Transform):
    """Vectors to shares that sum to 1; not a bijection, as a vector and one moved by a number go to the same."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SoftmaxTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Tensor:
        return ds.softmax(x, -1)

    def _inverse(self, y: Any) -> Tensor:
        return y.log()  # type: ignore[no-any-return]


class StickBreakingTransform(Transform):
    """Vectors of k - 1 numbers to k shares that sum to 1, each a part of what is left of a stick of length 1."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StickBreakingTransform)

    __hash__ = object.__hash__

    @staticmethod
    def _left(x: Any) -> Tensor:
        count = x.shape[-1]
        return ds.arange(count, 0, -1, dtype=x.dtype).log()

    def _call(self, x: Any) -> Tensor:
        part = _tight(ds.sigmoid(x - self._left(x)))
        rest = (1 - part).cumprod(-1)
        return F.pad(part, (0, 1), value=1.0) * F.pad(rest, (1, 0), value=1.0)

    def _inverse(self, y: Any) -> Tensor:
        shares = y[..., :-1]
        rest = (1 - shares.cumsum(-1)).clamp(min=float(ds.finfo(y.dtype).tiny))
        return shares.log() - rest.log() + self._left(shares)  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """Of the k - 1 shares that are free."""
        x = x - self._left(x)
        return (-x + F.logsigmoid(x) + y[..., :-1].log()).sum(-1)  # type: ignore[no-any-return]

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """One more in the last dimension."""
        return ds.Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """One less in the last dimension."""
        return ds.Size((*shape[:-1], shape[-1] - 1))


class LowerCholeskyTransform(Transform):
    """Square matrices to lower triangular ones with a diagonal above 0."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LowerCholeskyTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Tensor:
        return x.tril(-1) + ds.diag_embed(ds.diagonal(x, dim1=-2, dim2=-1).exp())  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return y.tril(-1) + ds.diag_embed(ds.diagonal(y, dim1=-2, dim2=-1).log())  # type: ignore[no-any-return]


class PositiveDefiniteTransform(Transform):
    """Square matrices to positive definite ones, by their Cholesky factors."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PositiveDefiniteTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Tensor:
        return LowerCholeskyTransform().inv(ds.linalg.cholesky(y))


class CumulativeDistributionTransform(Transform):
    """y = the probability that a draw of `distribution` is at most x."""

    codomain = constraints.unit_interval
    bijective = True
    sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """Where the distribution has values."""
        return self.distribution.support

    def _call(self, x: Any) -> Tensor:
        return self.distribution.cdf(x)  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return self.distribution.icdf(y)  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """The logarithm of the density."""
        return self.distribution.log_prob(x)  # type: ignore[no-any-return]
