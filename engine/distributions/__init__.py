"""Probability distributions under PyTorch's names: sampling, log probabilities, entropies and divergences.

Everything but a draw of numbers is made of the engine's ops, so gradients flow through it and the debugger shows it.
"""

from engine.distributions import constraints, kl, transforms
from engine.distributions.constraint_registry import biject_to, transform_to
from engine.distributions.count import Binomial, Geometric, Poisson
from engine.distributions.discrete import (
    Bernoulli,
    Categorical,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from engine.distributions.distribution import Distribution
from engine.distributions.divergence import kl_divergence, register_kl
from engine.distributions.independent import Independent
from engine.distributions.mixture import MixtureSameFamily
from engine.distributions.multivariate import LowRankMultivariateNormal, MultivariateNormal
from engine.distributions.normal import HalfNormal, Normal
from engine.distributions.positive import Beta, Chi2, Dirichlet, Exponential, Gamma
from engine.distributions.ratio import ContinuousBernoulli, FisherSnedecor, VonMises
from engine.distributions.relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
from engine.distributions.spread import Cauchy, Gumbel, Laplace, StudentT, Uniform
from engine.distributions.transformed import (
    HalfCauchy,
    InverseGamma,
    Kumaraswamy,
    LogisticNormal,
    LogNormal,
    Pareto,
    Weibull,
)
from engine.distributions.transformed_distribution import TransformedDistribution
from engine.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StackTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from engine.distributions.trials import Multinomial, NegativeBinomial

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "biject_to",
    "constraints",
    "identity_transform",
    "kl",
    "kl_divergence",
    "register_kl",
    "transform_to",
    "transforms",
]
