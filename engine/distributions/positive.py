"""Distributions of positive numbers, and of shares that sum to 1."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.distribution import Distribution, above_zero, drawn, require, together
from engine.located import located
from engine.tensor import Tensor


class Exponential(Distribution):
    """Waiting times at `rate` events in one unit of time."""

    has_rsample = True
    arg_constraints = {"rate": constraints.positive}  # noqa: RUF012
    support = constraints.nonnegative

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)
        if self._checks:
            require(self, "rate", self.rate, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.rate.reciprocal()

    @property
    def mode(self) -> Tensor:
        """0."""
        return ds.zeros_like(self.rate)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of the cumulative distribution."""
        u = ds.rand(*self._shape(sample_shape), dtype=self.rate.dtype)
        return -ds.log1p(-u) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        return self.rate.log() - self.rate * self._value(value)

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return 1 - ds.exp(-self.rate * self._value(value))

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        return -ds.log1p(-self._value(value, inside=False)) / self.rate

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return 1 - self.rate.log()


class Gamma(Distribution):
    """Gamma numbers of shape `concentration` and `rate`."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}  # noqa: RUF012
    support = constraints.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)
        if self._checks:
            require(self, "concentration", self.concentration, above_zero, "above 0")
            require(self, "rate", self.rate, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """Where it is densest."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.concentration / self.rate**2

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        a, rate = self.concentration.array, self.rate.array
        return drawn(shape, self.rate.dtype, lambda rng: rng.gamma(a, 1 / rate, shape))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        value, a = self._value(value), self.concentration
        return ds.xlogy(a, self.rate) + ds.xlogy(a - 1, value) - self.rate * value - ds.lgamma(a)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        a = self.concentration
        return a - self.rate.log() + ds.lgamma(a) + (1.0 - a) * ds.digamma(a)


class Chi2(Gamma):
    """The sum of the squares of `df` normal numbers."""

    arg_constraints = {"df": constraints.positive}  # noqa: RUF012

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = together(df)
        super().__init__(0.5 * df, 0.5, validate_args)

    @property
    def df(self) -> Tensor:
        """How many normal numbers."""
        return self.concentration * 2


class Dirichlet(Distribution):
    """Shares that sum to 1, of the weights `concentration` (the last dimension)."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}  # noqa: RUF012
    support = constraints.simplex

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        (self.concentration,) = together(concentration)
        if self.concentration.ndim < 1:
            raise located(
                ValueError("Dirichlet: concentration has to have at least one dimension, got a number")
            )
        shape = self.concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args)
        if self._checks:
            require(self, "concentration", self.concentration, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        """Where it is densest."""
        past = (self.concentration - 1).clamp(min=0.0)
        found = past / past.sum(-1, keepdim=True)
        none = (self.concentration < 1).all(-1)
        corner = ds.nn.functional.one_hot(found.argmax(-1), self.event_shape[0]).to(found.dtype)
        return ds.where(none.unsqueeze(-1), corner, found)  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """The variance of each share."""
        a = self.concentration
        total = a.sum(-1, keepdim=True)
        return a * (total - a) / (total**2 * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        a = self.concentration.array
        gammas = drawn(shape, self.concentration.dtype, lambda rng: rng.standard_gamma(a, shape)).array
        return Tensor(gammas / gammas.sum(-1, keepdims=True))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        a = self.concentration
        return ds.xlogy(a - 1.0, self._value(value)).sum(-1) + ds.lgamma(a.sum(-1)) - ds.lgamma(a).sum(-1)

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        return (
            ds.lgamma(a).sum(-1)
            - ds.lgamma(total)
            - (k - total) * ds.digamma(total)
            - ((a - 1.0) * ds.digamma(a)).sum(-1)
        )


class Beta(Distribution):
    """Numbers from 0 to 1."""

    arg_constraints = {  # noqa: RUF012
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)
        if self._checks:
            require(self, "concentration1", self.concentration1, above_zero, "above 0")
            require(self, "concentration0", self.concentration0, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """Where it is densest; 1 where it is so at both ends."""
        a, b = (self.concentration1 - 1).clamp(min=0.0), (self.concentration0 - 1).clamp(min=0.0)
        ends = (self.concentration1 < 1) & (self.concentration0 < 1)
        return ds.where(ends, ds.ones_like(a), a / (a + b))  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """The variance."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        a, b = self.concentration1.array, self.concentration0.array
        return drawn(shape, self.concentration1.dtype, lambda rng: rng.beta(a, b, shape))

    def _log_norm(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return ds.lgamma(a) + ds.lgamma(b) - ds.lgamma(a + b)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        value = self._value(value)
        a, b = self.concentration1, self.concentration0
        return ds.xlogy(a - 1.0, value) + ds.xlogy(b - 1.0, 1 - value) - self._log_norm()

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        a, b = self.concentration1, self.concentration0
        total = a + b
        return (
            self._log_norm()
            - (a - 1.0) * ds.digamma(a)
            - (b - 1.0) * ds.digamma(b)
            + (total - 2.0) * ds.digamma(total)
        )
