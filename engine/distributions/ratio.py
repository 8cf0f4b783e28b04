"""Ratios, angles and numbers on a line from 0 to 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import engine as ds
from engine.distributions import constraints
from engine.distributions.count import _Tried
from engine.distributions.discrete import one_of
from engine.distributions.distribution import Centred, Distribution, above_zero, drawn, require, together
from engine.grad_mode import no_grad
from engine.tensor import Tensor


class FisherSnedecor(Distribution):
    """The ratio of two chi-squared numbers, each over its degrees of freedom."""

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}  # noqa: RUF012
    support = constraints.positive

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = together(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)
        if self._checks:
            require(self, "df1", self.df1, above_zero, "above 0")
            require(self, "df2", self.df2, above_zero, "above 0")

    @property
    def mean(self) -> Tensor:
        """The mean, for df2 above 2; NaN for others."""
        found = self.df2 / (self.df2 - 2)
        return ds.where(self.df2 > 2, found, ds.full_like(found, math.nan))  # type: ignore[no-any-return]

    @property
    def mode(self) -> Tensor:
        """Where it is densest, for df1 above 2; NaN for others."""
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return ds.where(self.df1 > 2, found, ds.full_like(found, math.nan))  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """The variance, for df2 above 4; NaN for others."""
        a, b = self.df1, self.df2
        found = 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4))
        return ds.where(b > 4, found, ds.full_like(found, math.nan))  # type: ignore[no-any-return]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        a, b = self.df1.array, self.df2.array
        return drawn(shape, self.df1.dtype, lambda rng: rng.f(a, b, shape))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        value = self._value(value)
        a, b = self.df1 * 0.5, self.df2 * 0.5
        ratio = self.df1 / self.df2
        scale = ds.lgamma(a + b) - ds.lgamma(a) - ds.lgamma(b)
        return scale + a * ratio.log() + (a - 1) * value.log() - (a + b) * ds.log1p(ratio * value)  # type: ignore[no-any-return]


class VonMises(Centred, Distribution):
    """Angles from -π to π around `loc`, closer as `concentration` grows."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}  # noqa: RUF012
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = together(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)
        if self._checks:
            require(self, "concentration", self.concentration, above_zero, "above 0")

    @property
    def variance(self) -> Tensor:
        """How far around the circle they lie: 1 - I₁(concentration) / I₀(concentration), from 0 to 1."""
        logs, cosines = _weighed(self.concentration)
        return 1 - (ds.softmax(logs, -1) * cosines).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        shape = self._shape(sample_shape)
        kappa = self.concentration.array
        with no_grad():
            away = drawn(shape, self.loc.dtype, lambda rng: rng.vonmises(0.0, kappa, shape))
            return (away + self.loc + math.pi) % (2 * math.pi) - math.pi

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density: concentration cos(value - loc) - ln(2 π I₀(concentration))."""
        k = self.concentration
        return k * ds.cos(self._value(value) - self.loc) - math.log(2 * math.pi) - log_bessel0(k)


# ∫ exp(k (cos t - 1)) dt / π over [0, π] is I₀(k) exp(-k); the trapezoid rule on a periodic function converges faster
# than any power of its step, for k up to 1000 with this many.
_NODES = 256


def _weighed(k: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of that integral's terms, and the cosines."""
    angles = np.linspace(0, math.pi, _NODES + 1)
    weights = np.full(_NODES + 1, 1 / _NODES)
    weights[[0, -1]] /= 2
    cosines = ds.tensor(np.cos(angles), dtype=k.dtype)
    return k.unsqueeze(-1) * (cosines - 1) + ds.tensor(np.log(weights), dtype=k.dtype), cosines


def log_bessel0(k: Tensor) -> Tensor:
    """ln I₀(k) of k > 0, of which gradients of any order are right."""
    return k + ds.logsumexp(_weighed(k)[0], -1)


class ContinuousBernoulli(_Tried):
    """Numbers from 0 to 1 of a density that is p^x (1 - p)^(1 - x), scaled (Loaiza-Ganem and Cunningham 2019)."""

    has_rsample = True
    support = constraints.unit_interval

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        one_of("ContinuousBernoulli", probs, logits)
        (given,) = together(probs if logits is None else logits)
        self._lims = lims
        self._given(given if logits is None else None, given if logits is not None else None, validate_args)
        eps = float(ds.finfo(self.probs.dtype).eps)
        self.probs = self.probs.clamp(eps, 1 - eps)

    def _apart(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> Tensor:
        """The probabilities, away from 1/2, where the formulas lose all digits."""
        return ds.where(self._apart(), self.probs, ds.full_like(self.probs, self._lims[0]))  # type: ignore[no-any-return]

    def _log_norm(self) -> Tensor:
        p = self._cut()
        below = ds.where(p <= 0.5, p, ds.zeros_like(p))
        above = ds.where(p >= 0.5, p, ds.ones_like(p))
        top = (ds.log1p(-p) - p.log()).abs().log()
        bottom = ds.where(p <= 0.5, ds.log1p(-2.0 * below), (2.0 * above - 1.0).log())
        x = (self.probs - 0.5) ** 2
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return ds.where(self._apart(), top - bottom, taylor)  # type: ignore[no-any-return]

    @property
    def mean(self) -> Tensor:
        """The mean."""
        p = self._cut()
        found = p / (2.0 * p - 1.0) + 1.0 / (ds.log1p(-p) - p.log())
        x = self.probs - 0.5
        taylor = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x**2) * x
        return ds.where(self._apart(), found, taylor)  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """The variance."""
        p = self._cut()
        found = p * (p - 1.0) / (1.0 - 2.0 * p) ** 2 + 1.0 / (ds.log1p(-p) - p.log()) ** 2
        x = (self.probs - 0.5) ** 2
        taylor = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return ds.where(self._apart(), found, taylor)  # type: ignore[no-any-return]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of the cumulative distribution."""
        kind = ds.finfo(self.probs.dtype)
        u = ds.rand(*self._shape(sample_shape), dtype=self.probs.dtype)
        return self.icdf(u.clamp(float(kind.tiny), 1 - float(kind.eps)))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        logits, value = together(self.logits, self._value(value))
        yes = -ds.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return yes + self._log_norm()

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        p, u = self._cut(), self._value(value, inside=False)
        found = (ds.log1p(-p + u * (2.0 * p - 1.0)) - ds.log1p(-p)) / (p.log() - ds.log1p(-p))
        return ds.where(self._apart(), found, u)  # type: ignore[no-any-return]

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        p, value = self._cut(), self._value(value)
        found = (p**value * (1.0 - p) ** (1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        found = ds.where(self._apart(), found, value)
        return found.clamp(0.0, 1.0)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        zero = ds.log1p(-self.probs)
        return self.mean * (zero - self.probs.log()) - self._log_norm() - zero
