"""Counts of trials: until several fail, and of several kinds."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.distributions import constraints
from engine.distributions.count import _Tried
from engine.distributions.discrete import Categorical, Chosen, one_of
from engine.distributions.distribution import Distribution, above_zero, drawn, require, together
from engine.located import located
from engine.nn import functional as F
from engine.tensor import Tensor


class NegativeBinomial(_Tried):
    """How many trials succeed before `total_count` fail.

    >>> import engine as ds
    >>> ds.distributions.NegativeBinomial(2.0, ds.tensor(0.5)).mean.item()
    2.0
    """

    arg_constraints = {  # noqa: RUF012
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of("NegativeBinomial", probs, logits)
        given, self.total_count = together(probs if logits is None else logits, total_count)
        self._given(given if logits is None else None, given if logits is not None else None, validate_args)
        if self._checks:
            require(self, "total_count", self.total_count, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        """The likeliest count."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.mean / ds.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient: Poisson counts at gamma rates."""
        shape = self._shape(sample_shape)
        n, rate = self.total_count.array, np.exp(-self.logits.array)
        return drawn(shape, self.probs.dtype, lambda rng: rng.poisson(rng.gamma(n, 1 / rate, shape)))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        value, n = self._value(value).to(self.probs.dtype), self.total_count
        likely = n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        ways = ds.lgamma(n + value) - ds.lgamma(1.0 + value) - ds.lgamma(n)
        return likely + ways  # type: ignore[no-any-return]


class Multinomial(Chosen, Distribution):
    """How often each of k kinds came up in `total_count` draws.

    >>> import engine as ds
    >>> ds.distributions.Multinomial(4, ds.tensor([1.0, 3.0])).mean.tolist()
    [1.0, 3.0]
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}  # noqa: RUF012

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise located(
                NotImplementedError(
                    f"Multinomial: total_count has to be one int for the whole batch, got {type(total_count).__name__}"
                )
            )
        self.total_count = total_count
        one_of("Multinomial", probs, logits)
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, self.probs.shape[-1:], validate_args)

    @property
    def support(self) -> Any:
        """Counts that sum to at most `total_count`."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        """The variance of each count."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        given = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        choices = self._categorical.sample((self.total_count, *given))
        return F.one_hot(choices, self.event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        value = self._value(value).to(self.logits.dtype)
        ways = ds.lgamma(value.sum(-1) + 1) - ds.lgamma(value + 1).sum(-1)
        lowest = float(ds.finfo(self.logits.dtype).min)
        logits = ds.where((value == 0) & (self.logits <= lowest), ds.zeros_like(self.logits), self.logits)
        return ways + (logits * value).sum(-1)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        n = self.total_count
        counts = ds.arange(n + 1, dtype=self.probs.dtype).reshape(n + 1, *[1] * self.probs.ndim)
        p = self.probs
        ways = ds.lgamma(ds.tensor(n + 1.0, dtype=p.dtype)) - ds.lgamma(counts + 1)
        weights = (ways - ds.lgamma(n - counts + 1) + ds.xlogy(counts, p) + ds.xlogy(n - counts, 1 - p)).exp()
        expected = (weights * ds.lgamma(counts + 1)).sum((0, -1))
        return n * self._categorical.entropy() - ds.lgamma(ds.tensor(n + 1.0, dtype=p.dtype)) + expected
