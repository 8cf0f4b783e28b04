"""Choices among a few: yes or no, or one of several."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import engine as ds
from engine.distributions import constraints
from engine.distributions.distribution import Distribution, drawn, require, together
from engine.located import located
from engine.nn import functional as F
from engine.tensor import Tensor


def share(array: Any) -> Any:
    """The constraint of probabilities."""
    return (array >= 0) & (array <= 1)


def one_of(owner: str, probs: Any, logits: Any) -> None:
    """Raise `ValueError` unless exactly one of the two is given."""
    if (probs is None) == (logits is None):
        raise located(ValueError(f"{owner} takes probs or logits, one of the two"))


def logits_of(probs: Tensor) -> Tensor:
    """The logits of probabilities of yes; none is infinite."""
    eps = float(ds.finfo(probs.dtype).eps)
    safe = probs.clamp(eps, 1 - eps)
    return safe.log() - ds.log1p(-safe)


def listed(owner: Distribution, values: Tensor, expand: bool) -> Tensor:
    """`values` [n, *event] as what `enumerate_support` gives: [n, *batch, *event], the batch 1 unless `expand`."""
    event = tuple(values.shape[1:])
    batch = tuple(owner.batch_shape)
    values = values.reshape(values.shape[0], *[1] * len(batch), *event)
    return values.expand(values.shape[0], *batch, *event) if expand else values


class Bernoulli(Distribution):
    """1 with probability `probs` (or sigmoid of `logits`), else 0."""

    has_enumerate_support = True
    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}  # noqa: RUF012
    support = constraints.boolean

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Bernoulli", probs, logits)
        (given,) = together(probs if logits is None else logits)
        self.probs = given if logits is None else ds.sigmoid(given)
        self.logits = logits_of(given) if logits is None else given
        super().__init__(given.shape, validate_args=validate_args)
        if self._checks and logits is None:
            require(self, "probs", given, share, "from 0 to 1")

    @property
    def mean(self) -> Tensor:
        """The probability of 1."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The likelier; NaN where both are as likely."""
        found = (self.probs >= 0.5).to(self.probs.dtype)
        return ds.where(self.probs == 0.5, ds.full_like(found, math.nan), found)  # type: ignore[no-any-return]

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1."""
        return listed(self, ds.arange(2, dtype=self.probs.dtype), expand)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        p = self.probs.detach().expand(*self._shape(sample_shape))
        return ds.bernoulli(p).detach()

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        value = self._value(value).to(self.logits.dtype)
        logits, value = together(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Categorical(Distribution):
    """One of the numbers 0 to k-1, as likely as `probs` (which are scaled to sum to 1) or `logits` say.

    >>> import engine as ds
    >>> ds.distributions.Categorical(ds.tensor([1.0, 3.0])).probs.tolist()
    [0.25, 0.75]
    """

    has_enumerate_support = True
    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}  # noqa: RUF012

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Categorical", probs, logits)
        (given,) = together(probs if logits is None else logits)
        name = "probs" if logits is None else "logits"
        if given.ndim < 1:
            raise located(ValueError(f"Categorical: {name} has to have at least one dimension, got a number"))
        super().__init__(given.shape[:-1], validate_args=validate_args)
        if logits is None:
            if self._checks:
                require(self, "probs", given, lambda a: a >= 0, "0 or more")
            self.probs = given / given.sum(-1, keepdim=True)
            eps = float(ds.finfo(given.dtype).eps)
            self.logits = self.probs.clamp(eps, 1 - eps).log()
        else:
            if self._checks:
                require(self, "logits", given, lambda a: ~np.isnan(a), "numbers")
            self.logits = given - ds.logsumexp(given, -1, keepdim=True)
            self.probs = ds.softmax(self.logits, -1)

    @property
    def support(self) -> Any:
        """0 to k-1."""
        return constraints.integer_interval(0, self.probs.shape[-1] - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of `probs`."""
        return ds.Size(self.probs.shape)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0, 1, ... k-1."""
        return listed(self, ds.arange(self.probs.shape[-1]), expand)

    @property
    def mode(self) -> Tensor:
        """The likeliest."""
        return self.probs.argmax(-1)

    @property
    def mean(self) -> Tensor:
        """Not a number: there is none."""
        return ds.full(tuple(self.batch_shape), math.nan, dtype=self.probs.dtype)

    @property
    def variance(self) -> Tensor:
        """Not a number: there is none."""
        return self.mean

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient, as int64."""
        shape = self._shape(sample_shape)
        p = self.probs.array.astype(np.float64)
        edges = np.cumsum(p, -1)
        edges /= edges[..., -1:]

        def draw(rng: np.random.Generator) -> Any:
            u = rng.random(shape)
            return (u[..., None] >= edges).sum(-1)

        return drawn(shape, np.int64, draw)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability. Raises `ValueError` for a number that is none of them."""
        value = self._value(value, inside=False)
        k = self.logits.shape[-1]
        if self._checks:
            require(self, "value", value, lambda a: (a >= 0) & (a < k) & (a == np.floor(a)), f"0 to {k - 1}")
        shape = np.broadcast_shapes(tuple(value.shape), tuple(self.batch_shape))
        logits = self.logits.expand(*shape, k)
        return ds.gather(logits, -1, value.to(ds.int64).expand(*shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        lowest = float(ds.finfo(self.logits.dtype).min)
        return -(self.logits.clamp(min=lowest) * self.probs).sum(-1)


class Chosen:
    """What those share that are made of a choice between k."""

    _categorical: Categorical

    @property
    def probs(self) -> Tensor:
        """The probabilities, which sum to 1."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits


class OneHotCategorical(Chosen, Distribution):
    """One of k, as a vector of zeros and one 1."""

    has_enumerate_support = True
    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}  # noqa: RUF012
    support = constraints.one_hot

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, self.probs.shape[-1:], validate_args)

    @property
    def mode(self) -> Tensor:
        """The likeliest."""
        return F.one_hot(self._categorical.mode, self.event_shape[0]).to(self.probs.dtype)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The k vectors."""
        return listed(self, ds.eye(self.event_shape[0], dtype=self.probs.dtype), expand)

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """The variance of each element."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        index = self._categorical.sample(sample_shape)
        return F.one_hot(index, self.event_shape[0]).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability."""
        return self._categorical.log_prob(self._value(value).argmax(-1))

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        return self._categorical.entropy()


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A one-hot choice whose draws pass gradients to `probs` as if they were `probs` (Bengio et al. 2013).

    >>> import engine as ds
    >>> logits = ds.zeros(3, requires_grad=True)
    >>> ds.distributions.OneHotCategoricalStraightThrough(logits=logits).rsample().requires_grad
    True
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A draw, with the gradient of the probabilities."""
        drawn_now = self.sample(sample_shape)
        return drawn_now + (self.probs - self.probs.detach())
