"""Choices made smooth, so that gradients reach their probabilities (Maddison et al. 2016; Jang et al. 2016)."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.discrete import Categorical, Chosen, logits_of, one_of, share
from engine.distributions.distribution import Distribution, require, together
from engine.distributions.transformed_distribution import TransformedDistribution
from engine.distributions.transforms import ExpTransform, SigmoidTransform
from engine.nn import functional as F
from engine.tensor import Tensor


def _temperature(value: Any, like: Tensor) -> Tensor:
    return value.to(like.dtype) if isinstance(value, Tensor) else ds.tensor(float(value), dtype=like.dtype)


def _noise(shape: tuple[int, ...], like: Tensor) -> Tensor:
    kind = ds.finfo(like.dtype)
    return ds.rand(*shape, dtype=like.dtype).clamp(float(kind.eps), 1 - float(kind.eps))


class LogitRelaxedBernoulli(Distribution):
    """The logits of `RelaxedBernoulli`."""

    has_rsample = True
    _for_all = ("temperature",)
    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}  # noqa: RUF012
    support = constraints.real

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of("LogitRelaxedBernoulli", probs, logits)
        (given,) = together(probs if logits is None else logits)
        self.temperature = _temperature(temperature, given)
        self.probs = given if logits is None else ds.sigmoid(given)
        self.logits = logits_of(given) if logits is None else given
        super().__init__(given.shape, validate_args=validate_args)
        if self._checks and logits is None:
            require(self, "probs", given, share, "from 0 to 1")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with a gradient."""
        u = _noise(self._shape(sample_shape), self.logits)
        return (u.log() - ds.log1p(-u) + self.logits) / self.temperature

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        away = self.logits - self._value(value) * self.temperature
        return self.temperature.log() + away - 2 * F.softplus(away)


class _Relaxed(TransformedDistribution):
    """What both share: the parameters are those of what is transformed."""

    has_rsample = True

    @property
    def temperature(self) -> Tensor:
        """How smooth."""
        return self.base_dist.temperature  # type: ignore[attr-defined, no-any-return]

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self.base_dist.probs  # type: ignore[attr-defined, no-any-return]

    @property
    def logits(self) -> Tensor:
        """Their logits, or logarithms."""
        return self.base_dist.logits  # type: ignore[attr-defined, no-any-return]


class RelaxedBernoulli(_Relaxed):
    """Numbers from 0 to 1, near one of both ends as `temperature` goes to 0."""

    arg_constraints = LogitRelaxedBernoulli.arg_constraints
    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)


class ExpRelaxedCategorical(Chosen, Distribution):
    """The logarithms of `RelaxedOneHotCategorical`."""

    has_rsample = True
    _for_all = ("temperature",)
    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}  # noqa: RUF012
    support = constraints.real_vector

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        self.temperature = _temperature(temperature, self.logits)
        super().__init__(self._categorical.batch_shape, self.probs.shape[-1:], validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with a gradient: Gumbel's noise added to the logits."""
        u = _noise(self._shape(sample_shape), self.logits)
        scores = (self.logits - (-(u.log())).log()) / self.temperature
        return scores - ds.logsumexp(scores, -1, keepdim=True)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        k = self.event_shape[0]
        score = self.logits - self._value(value) * self.temperature
        score = (score - ds.logsumexp(score, -1, keepdim=True)).sum(-1)
        kind = self.logits.dtype
        return score + ds.lgamma(ds.tensor(float(k), dtype=kind)) + self.temperature.log() * (k - 1)  # type: ignore[no-any-return]


class RelaxedOneHotCategorical(_Relaxed):
    """Shares that sum to 1, near a one-hot vector as `temperature` goes to 0.

    >>> import engine as ds
    >>> logits = ds.zeros(3, requires_grad=True)
    >>> ds.distributions.RelaxedOneHotCategorical(0.5, logits=logits).rsample().requires_grad
    True
    """

    arg_constraints = ExpRelaxedCategorical.arg_constraints
    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)
