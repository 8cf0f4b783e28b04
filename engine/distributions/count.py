"""Distributions of counts."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.discrete import listed, logits_of, one_of, share
from engine.distributions.distribution import Distribution, drawn, require, together
from engine.located import located
from engine.tensor import Tensor


class Poisson(Distribution):
    """How many events there are at `rate`."""

    arg_constraints = {"rate": constraints.nonnegative}  # noqa: RUF012
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)
        if self._checks:
            require(self, "rate", self.rate, lambda a: a >= 0, "0 or more")

    @property
    def mean(self) -> Tensor:
        """The rate."""
        return self.rate

    @property
    def mode(self) -> Tensor:
        """The likeliest count."""
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        """The rate."""
        return self.rate

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        return drawn(shape, self.rate.dtype, lambda rng: rng.poisson(self.rate.array, shape))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        value = self._value(value).to(self.rate.dtype)
        return ds.xlogy(value, self.rate) - self.rate - ds.lgamma(value + 1)


class _Tried(Distribution):
    """A distribution over trials that succeed with `probs`, or sigmoid of `logits`."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}  # noqa: RUF012
    probs: Tensor
    logits: Tensor

    def _given(self, probs: Any, logits: Any, validate_args: bool | None) -> None:
        self.probs = probs if logits is None else ds.sigmoid(logits)
        self.logits = logits_of(probs) if logits is None else logits
        super().__init__(self.probs.shape, validate_args=validate_args)
        if self._checks and logits is None:
            require(self, "probs", self.probs, share, "from 0 to 1")


class Binomial(_Tried):
    """How many of `total_count` trials succeed."""

    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of("Binomial", probs, logits)
        given, self.total_count = together(probs if logits is None else logits, total_count)
        self._given(given if logits is None else None, given if logits is not None else None, validate_args)

    @property
    def support(self) -> Any:
        """From 0 to `total_count`."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """The likeliest count."""
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        n, p = self.total_count.array.astype(int), self.probs.array
        return drawn(shape, self.probs.dtype, lambda rng: rng.binomial(n, p, shape))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        value, n = self._value(value).to(self.probs.dtype), self.total_count
        ways = ds.lgamma(n + 1) - ds.lgamma(value + 1) - ds.lgamma(n - value + 1)
        return ways + value * self.logits - n * ds.nn.functional.softplus(self.logits)  # type: ignore[no-any-return]

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0, 1, ... `total_count`, which has to be one number for all. Raises `NotImplementedError` where it is not."""
        most = int(self.total_count.array.max())
        if not most == int(self.total_count.array.min()):
            raise located(
                NotImplementedError("Binomial: enumerate_support needs one total_count for the whole batch")
            )
        return listed(self, ds.arange(most + 1, dtype=self.probs.dtype), expand)

    def entropy(self) -> Tensor:
        """The entropy, in nats, over all counts; one total_count for all, as for `enumerate_support`."""
        found = self.log_prob(self.enumerate_support(False))
        return -(found.exp() * found).sum(0)


class Geometric(_Tried):
    """How many trials fail before the first succeeds."""

    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Geometric", probs, logits)
        (given,) = together(probs if logits is None else logits)
        self._given(given if logits is None else None, given if logits is not None else None, validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        """0."""
        return ds.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        return drawn(shape, self.probs.dtype, lambda rng: rng.geometric(self.probs.array, shape) - 1)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        value = self._value(value).to(self.probs.dtype)
        return value * ds.log1p(-self.probs) + self.probs.log()  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        yes = ds.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        found: Tensor = yes / self.probs
        return found
