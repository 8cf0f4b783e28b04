"""Probability distributions under PyTorch's names: sampling, log probabilities, entropies and divergences.

Everything but a draw of numbers is made of the engine's ops, so gradients flow through it and the debugger shows it.
"""

from engine.distributions.count import Binomial, Geometric, Poisson
from engine.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from engine.distributions.distribution import Distribution
from engine.distributions.divergence import kl_divergence, register_kl
from engine.distributions.independent import Independent
from engine.distributions.multivariate import MultivariateNormal
from engine.distributions.normal import HalfNormal, LogNormal, Normal
from engine.distributions.positive import Beta, Chi2, Dirichlet, Exponential, Gamma
from engine.distributions.spread import Cauchy, Gumbel, Laplace, StudentT, Uniform

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfNormal",
    "Independent",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "StudentT",
    "Uniform",
    "kl_divergence",
    "register_kl",
]
