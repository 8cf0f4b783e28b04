"""The Kullback-Leibler divergence of two distributions, by their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import engine as ds
from engine.distributions.count import Binomial, Geometric, Poisson
from engine.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from engine.distributions.distribution import Distribution
from engine.distributions.independent import Independent
from engine.distributions.multivariate import MultivariateNormal
from engine.distributions.normal import LOG_TWO_PI, HalfNormal, Normal
from engine.distributions.positive import Beta, Dirichlet, Exponential, Gamma
from engine.distributions.spread import EULER, Cauchy, Gumbel, Laplace, Uniform
from engine.distributions.transformed import Pareto
from engine.distributions.transformed_distribution import TransformedDistribution
from engine.located import located
from engine.tensor import Tensor

Rule = Callable[[Any, Any], Tensor]
_RULES: dict[tuple[type, type], Rule] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Decorate the function that computes `kl_divergence` for these two types."""

    def keep(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        return rule

    return keep


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """How much `p` differs from `q`, in nats, for each of a batch. Raises `NotImplementedError` for an unknown pair.

    >>> import engine as ds
    >>> D = ds.distributions
    >>> D.kl_divergence(D.Normal(1.0, 1.0), D.Normal(0.0, 1.0)).item()
    0.5
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            rule = _RULES.get((a, b))
            if rule is not None:
                return rule(p, q)
    raise located(
        NotImplementedError(
            f"there is no divergence of {type(p).__name__} from {type(q).__name__}; register_kl adds one"
        )
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    softplus = ds.nn.functional.softplus
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    return yes + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    return (p.probs * (p.logits - q.logits)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    return (
        q.concentration * (p.rate / q.rate).log()
        + ds.lgamma(q.concentration)
        - ds.lgamma(p.concentration)
        + (p.concentration - q.concentration) * ds.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    a, b = p.concentration1, p.concentration0
    c, d = q.concentration1, q.concentration0
    return (
        q._log_norm()
        - p._log_norm()
        + (a - c) * ds.digamma(a)
        + (b - d) * ds.digamma(b)
        + (c + d - a - b) * ds.digamma(a + b)
    )


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    spread = ds.digamma(a) - ds.digamma(total).unsqueeze(-1)
    return (
        ds.lgamma(total)
        - ds.lgamma(b.sum(-1))
        - (ds.lgamma(a) - ds.lgamma(b)).sum(-1)
        + ((a - b) * spread).sum(-1)
    )


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio = p.scale / q.scale
    away = (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    outside = (q.low > p.low) | (q.high < p.high)
    return ds.where(outside, ds.full_like(found, float("inf")), found)  # type: ignore[no-any-return]


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    solved = ds.linalg.solve(q.scale_tril, p.scale_tril)
    away = ds.linalg.solve(q.scale_tril, (q.loc - p.loc).unsqueeze(-1)).squeeze(-1)
    size = p.event_shape[0]
    spread = (solved**2).sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (spread + (away**2).sum(-1) - size)  # type: ignore[no-any-return]


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise located(NotImplementedError("kl_divergence: the two are transformed in different ways"))
    found = kl_divergence(p.base_dist, q.base_dist)
    more = found.ndim - len(p.batch_shape)
    return found.sum(tuple(range(-more, 0))) if more > 0 else found


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - ds.log1p(-q.probs) / p.probs - q.logits


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count.array < q.total_count.array).any()):
        raise located(NotImplementedError("kl_divergence: Binomial of a larger total_count than the other's"))
    found = p.total_count * (p.probs * (p.logits - q.logits) + ds.log1p(-p.probs) - ds.log1p(-q.probs))
    more = p.total_count > q.total_count
    return ds.where(more, ds.full_like(found, float("inf")), found)  # type: ignore[no-any-return]


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    at = q.loc / q.scale
    moved = p.loc / q.scale
    gap = ds.exp(at - moved + ds.lgamma(ratio + 1))
    return -ratio.log() + ratio * EULER - at + moved + gap - (1 + EULER)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    both = ((p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2).log()
    return both - (4 * p.scale * q.scale).log()


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale.log() - q.scale.log()) - ratio.log() + ratio - 1
    return ds.where(p.scale < q.scale, ds.full_like(found, float("inf")), found)  # type: ignore[no-any-return]


def _to_normal(entropy: Tensor, variance: Tensor, away: Tensor, q: Normal) -> Tensor:
    """Less an entropy, and what a normal says of numbers of that variance at that distance."""
    return -entropy + 0.5 * LOG_TWO_PI + q.scale.log() + (variance + away**2) / (2 * q.scale**2)


@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Gamma, Normal)
@register_kl(Exponential, Normal)
def _any_to_normal(p: Distribution, q: Normal) -> Tensor:
    return _to_normal(p.entropy(), p.variance, p.mean - q.loc, q)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio = q.rate / p.rate
    a = q.concentration
    return -a * ratio.log() + ratio + ds.lgamma(a) + a * EULER - (1 + EULER)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise located(
            NotImplementedError("kl_divergence: the two take different numbers of dimensions together")
        )
    return p._summed(kl_divergence(p.base_dist, q.base_dist))
