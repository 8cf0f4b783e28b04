"""Distributions of a place and a width other than the normal one."""

from __future__ import annotations

import math
from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.distribution import Distribution, above_zero, drawn, require, together
from engine.located import located
from engine.tensor import Tensor

EULER = 0.57721566490153286


def _open(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Uniform numbers above 0 and below 1."""
    tiny = float(ds.finfo(like.dtype).tiny)
    eps = float(ds.finfo(like.dtype).eps)
    return ds.rand(*shape, dtype=like.dtype).clamp(tiny, 1 - eps)


class Uniform(Distribution):
    """Numbers from `low` to `high`, all as likely. Raises `ValueError` unless low is below high."""

    has_rsample = True
    arg_constraints = {"low": constraints.dependent, "high": constraints.dependent}  # noqa: RUF012

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._checks and not bool((self.low.array < self.high.array).all()):
            raise located(ValueError("Uniform: low has to be below high"))

    @property
    def support(self) -> Any:
        """From `low` to `high`."""
        return constraints.interval(self.low, self.high)

    @property
    def mode(self) -> Tensor:
        """NaN: none is likelier."""
        return ds.full_like(self.low, float("nan"))

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with a gradient for both ends."""
        return self.low + ds.rand(*self._shape(sample_shape), dtype=self.low.dtype) * (self.high - self.low)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density; minus infinity outside."""
        value = self._value(value)
        inside = (value >= self.low) & (value < self.high)
        return ds.log(inside.to(self.low.dtype)) - ds.log(self.high - self.low)

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return ((self._value(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        return self._value(value, inside=False) * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return ds.log(self.high - self.low)


class _Placed(Distribution):
    """A distribution of `loc` and `scale`."""

    has_rsample = True
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012
    support = constraints.real

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)
        if self._checks:
            require(self, "scale", self.scale, above_zero, "above 0")


class Laplace(_Placed):
    """Numbers whose distance from `loc` is exponential."""

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return 2 * self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of the cumulative distribution."""
        u = _open(self._shape(sample_shape), self.loc) - 0.5
        return self.loc - self.scale * u.sign() * ds.log1p(-2 * u.abs())

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        return -ds.log(2 * self.scale) - (self._value(value) - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        away = self._value(value) - self.loc
        return 0.5 - 0.5 * away.sign() * ds.expm1(-away.abs() / self.scale)

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        term = self._value(value, inside=False) - 0.5
        return self.loc - self.scale * term.sign() * ds.log1p(-2 * term.abs())

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return 1 + ds.log(2 * self.scale)


class Cauchy(_Placed):
    """The quotient of two normal numbers; it has no mean."""

    @property
    def mean(self) -> Tensor:
        """NaN: there is none."""
        return ds.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        """Infinite."""
        return ds.full_like(self.loc, math.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of the cumulative distribution."""
        u = _open(self._shape(sample_shape), self.loc)
        return self.loc + self.scale * ds.tan(math.pi * (u - 0.5))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        distance = (self._value(value) - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - ds.log1p(distance**2)

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return ds.atan((self._value(value) - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        return ds.tan(math.pi * (self._value(value, inside=False) - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_Placed):
    """The largest of many: what is added to logits to draw from them."""

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return math.pi**2 / 6 * self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of the cumulative distribution."""
        u = _open(self._shape(sample_shape), self.loc)
        return self.loc - self.scale * ds.log(-ds.log(u))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        y = (self.loc - self._value(value)) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return ds.exp(-ds.exp((self.loc - self._value(value)) / self.scale))

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        return self.loc - self.scale * ds.log(-ds.log(self._value(value, inside=False)))

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return self.scale.log() + 1 + EULER


class StudentT(Distribution):
    """Student's t with `df` degrees of freedom, moved by `loc` and stretched by `scale`."""

    arg_constraints = {  # noqa: RUF012
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = together(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)
        if self._checks:
            require(self, "df", self.df, above_zero, "above 0")
            require(self, "scale", self.scale, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """`loc`, for df above 1; NaN for others."""
        return ds.where(self.df > 1, self.loc, ds.full_like(self.loc, math.nan))  # type: ignore[no-any-return]

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance, for df above 2; infinite down to 1, NaN for less."""
        found = self.scale**2 * self.df / (self.df - 2)
        found = ds.where(self.df > 2, found, ds.full_like(found, math.inf))
        return ds.where(self.df > 1, found, ds.full_like(found, math.nan))  # type: ignore[no-any-return]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        t = drawn(shape, self.df.dtype, lambda rng: rng.standard_t(self.df.array, shape))
        return (self.loc + t * self.scale).detach()

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        y = (self._value(value) - self.loc) / self.scale
        constant = (
            self.scale.log()
            + 0.5 * self.df.log()
            + 0.5 * math.log(math.pi)
            + ds.lgamma(0.5 * self.df)
            - ds.lgamma(0.5 * (self.df + 1))
        )
        return -0.5 * (self.df + 1) * ds.log1p(y**2 / self.df) - constant

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = ds.lgamma(half) + 0.5 * math.log(math.pi) - ds.lgamma(more)
        return self.scale.log() + more * (ds.digamma(more) - ds.digamma(half)) + 0.5 * self.df.log() + beta
