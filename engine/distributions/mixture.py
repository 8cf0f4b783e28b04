"""A choice among distributions of one family."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.distributions.discrete import Categorical
from engine.distributions.distribution import Distribution
from engine.grad_mode import no_grad
from engine.located import located
from engine.tensor import Tensor


class MixtureSameFamily(Distribution):
    """One of the `component_distribution`s, along the last dimension of their batch, as `mixture_distribution` chooses.

    Raises `ValueError` where the one is not categorical, or has another number of choices than there are components.

    >>> import engine as ds
    >>> D = ds.distributions
    >>> mix = D.Categorical(ds.tensor([0.5, 0.5]))
    >>> D.MixtureSameFamily(mix, D.Normal(ds.tensor([-1.0, 1.0]), 1.0)).mean.item()
    0.0
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise located(
                ValueError(
                    "MixtureSameFamily: mixture_distribution has to be Categorical, got "
                    f"{type(mixture_distribution).__name__}"
                )
            )
        if not isinstance(component_distribution, Distribution):
            raise located(
                ValueError(
                    "MixtureSameFamily: component_distribution has to be a Distribution, got "
                    f"{type(component_distribution).__name__}"
                )
            )
        batch = tuple(component_distribution.batch_shape)
        choices = mixture_distribution.probs.shape[-1]
        if not batch or batch[-1] != choices:
            raise located(
                ValueError(
                    f"MixtureSameFamily: the last dimension of the components' batch_shape {list(batch)} has to be the "
                    f"{choices} choices of the mixture"
                )
            )
        self._mixture_distribution = mixture_distribution.expand(batch[:-1])
        self._component_distribution = component_distribution
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same mixture for a larger batch."""
        component = self._component_distribution
        new = tuple(batch_shape)
        return type(self)(
            self._mixture_distribution.expand(new),
            component.expand((*new, component.batch_shape[-1])),
            self._validate_args,
        )

    @property
    def mixture_distribution(self) -> Categorical:
        """How likely each component is."""
        return self._mixture_distribution  # type: ignore[no-any-return]

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @property
    def support(self) -> Any:
        """That of the components."""
        return self._component_distribution.support

    def _chances(self) -> Tensor:
        probs = self._mixture_distribution.probs
        return probs.reshape(*probs.shape, *[1] * len(self.event_shape))  # type: ignore[no-any-return]

    @property
    def _dim(self) -> int:
        return -1 - len(self.event_shape)

    @property
    def mean(self) -> Tensor:
        """The mean of the components' means."""
        return (self._chances() * self._component_distribution.mean).sum(self._dim)

    @property
    def variance(self) -> Tensor:
        """The components' variances and that of their means."""
        inner, p = self._component_distribution, self._chances()
        away = inner.mean - self.mean.unsqueeze(self._dim)
        return (p * inner.variance).sum(self._dim) + (p * away**2).sum(self._dim)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or of the probability."""
        value = self._value(value).unsqueeze(self._dim)
        of_each = self._component_distribution.log_prob(value)
        return ds.logsumexp(of_each + ds.log_softmax(self._mixture_distribution.logits, -1), -1)

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        value = self._value(value).unsqueeze(self._dim)
        return (self._component_distribution.cdf(value) * self._mixture_distribution.probs).sum(-1)  # type: ignore[no-any-return]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient: of a component that is drawn first."""
        with no_grad():
            choice = self._mixture_distribution.sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            event = len(self.event_shape)
            index = choice.reshape(*choice.shape, *[1] * (event + 1))
            index = index.expand(*choice.shape, 1, *self.event_shape)
            return ds.gather(drawn, drawn.ndim + self._dim, index).squeeze(self._dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution!r},\n  {self._component_distribution!r})"
