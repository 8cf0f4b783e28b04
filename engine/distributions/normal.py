"""Normal numbers, their exponentials and their sizes."""

from __future__ import annotations

import math
from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.distribution import Centred, Distribution, above_zero, require, together
from engine.tensor import Tensor

LOG_TWO_PI = math.log(2 * math.pi)


class Normal(Centred, Distribution):
    """Normal numbers of mean `loc` and standard deviation `scale`. Raises `ValueError` for a scale not above 0.

    >>> import engine as ds
    >>> round(ds.distributions.Normal(0.0, 1.0).log_prob(0.0).item(), 4)
    -0.9189
    """

    has_rsample = True
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)
        if self._checks:
            require(self, "scale", self.scale, above_zero, "above 0")

    @property
    def stddev(self) -> Tensor:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """`scale` squared."""
        return self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """`loc + noise * scale`."""
        noise = ds.randn(*self._shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        value = self._value(value)
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - 0.5 * LOG_TWO_PI  # type: ignore[no-any-return]

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return 0.5 * (1 + ds.erf((self._value(value) - self.loc) / self.scale / math.sqrt(2)))

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        return self.loc + self.scale * ds.erfinv(2 * self._value(value, inside=False) - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return 0.5 + 0.5 * LOG_TWO_PI + self.scale.log()


class Folded:
    """What those share that are the sizes of numbers that lie alike on both sides of 0, of `base_dist`."""

    base_dist: Any
    _value: Any  # of Distribution

    @property
    def scale(self) -> Tensor:
        """That of the numbers whose sizes these are."""
        return self.base_dist.scale  # type: ignore[no-any-return]

    @property
    def mode(self) -> Tensor:
        """0."""
        return ds.zeros_like(self.scale)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density; minus infinity below 0, where values are not checked."""
        value = self._value(value)
        found = self.base_dist.log_prob(value) + math.log(2)
        return ds.where(value >= 0, found, ds.full_like(found, -math.inf))  # type: ignore[no-any-return]

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return 2 * self.base_dist.cdf(self._value(value)) - 1  # type: ignore[no-any-return]

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        return self.base_dist.icdf((self._value(value, inside=False) + 1) / 2)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return self.base_dist.entropy() - math.log(2)  # type: ignore[no-any-return]


class HalfNormal(Folded, Distribution):
    """The sizes of normal numbers of mean 0."""

    has_rsample = True
    arg_constraints = {"scale": constraints.positive}  # noqa: RUF012
    support = constraints.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self.base_dist = Normal(0.0, scale, validate_args)
        super().__init__(self.base_dist.batch_shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.scale**2 * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The sizes of normal draws."""
        return self.base_dist.rsample(sample_shape).abs()  # type: ignore[no-any-return]
