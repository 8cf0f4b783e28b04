"""Distributions beside PyTorch's: log probabilities, entropies, divergences, moments, draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds

POSITIVE = [0.5, 1.5, 3.0]
PLACE = [-1.0, 0.25, 2.0]
SHARE = [0.2, 0.5, 0.9]
ROWS = [[0.1, 0.6, 0.3], [2.0, 1.0, 1.0]]
LOWER = [[1.0, 0.0], [0.5, 2.0]]

# For each: how to make it of a framework's tensors, and a value it can have.
MADE: dict[str, tuple[Any, Any]] = {
    "Normal": (lambda d, t: d.Normal(t(PLACE), t(POSITIVE)), [0.1, -0.3, 4.0]),
    "LogNormal": (lambda d, t: d.LogNormal(t(PLACE), t(POSITIVE)), [0.1, 0.3, 4.0]),
    "HalfNormal": (lambda d, t: d.HalfNormal(t(POSITIVE)), [0.1, 0.3, 4.0]),
    "Uniform": (lambda d, t: d.Uniform(t(PLACE), t(PLACE) + t(POSITIVE)), [-0.9, 1.0, 2.5]),
    "Laplace": (lambda d, t: d.Laplace(t(PLACE), t(POSITIVE)), [0.1, -0.3, 4.0]),
    "Cauchy": (lambda d, t: d.Cauchy(t(PLACE), t(POSITIVE)), [0.1, -0.3, 4.0]),
    "Gumbel": (lambda d, t: d.Gumbel(t(PLACE), t(POSITIVE)), [0.1, -0.3, 4.0]),
    "StudentT": (lambda d, t: d.StudentT(t(POSITIVE), t(PLACE), t(POSITIVE)), [0.1, -0.3, 4.0]),
    "Exponential": (lambda d, t: d.Exponential(t(POSITIVE)), [0.1, 0.3, 4.0]),
    "Gamma": (lambda d, t: d.Gamma(t(POSITIVE), t([1.0, 2.0, 0.5])), [0.1, 0.3, 4.0]),
    "Chi2": (lambda d, t: d.Chi2(t(POSITIVE)), [0.1, 0.3, 4.0]),
    "Beta": (lambda d, t: d.Beta(t(POSITIVE), t([1.0, 2.0, 0.5])), [0.1, 0.3, 0.9]),
    "Dirichlet": (lambda d, t: d.Dirichlet(t(ROWS)), [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]),
    "Bernoulli": (lambda d, t: d.Bernoulli(t(SHARE)), [1.0, 0.0, 1.0]),
    "Bernoulli logits": (lambda d, t: d.Bernoulli(logits=t(PLACE)), [1.0, 0.0, 1.0]),
    "Categorical": (lambda d, t: d.Categorical(t(ROWS)), [2, 0]),
    "Categorical logits": (lambda d, t: d.Categorical(logits=t(ROWS)), [2, 0]),
    "OneHotCategorical": (lambda d, t: d.OneHotCategorical(t(ROWS)), [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    "Poisson": (lambda d, t: d.Poisson(t(POSITIVE)), [0.0, 2.0, 5.0]),
    "Binomial": (lambda d, t: d.Binomial(5, t(SHARE)), [0.0, 2.0, 5.0]),
    "Geometric": (lambda d, t: d.Geometric(t(SHARE)), [0.0, 2.0, 5.0]),
    "Independent": (lambda d, t: d.Independent(d.Normal(t(ROWS), 1.0), 1), ROWS),
    "MultivariateNormal": (lambda d, t: d.MultivariateNormal(t(PLACE[:2]), scale_tril=t(LOWER)), [[0.5, 1.0]]),
    "MultivariateNormal cov": (
        lambda d, t: d.MultivariateNormal(t(PLACE[:2]), t([[2.0, 0.5], [0.5, 1.0]])),
        [[0.5, 1.0]],
    ),
    "HalfCauchy": (lambda d, t: d.HalfCauchy(t(POSITIVE)), [0.1, 0.3, 4.0]),
    "Pareto": (lambda d, t: d.Pareto(t(POSITIVE), t([1.5, 6.0, 5.0])), [0.7, 1.6, 4.0]),
    "Weibull": (lambda d, t: d.Weibull(t(POSITIVE), t([1.0, 2.0, 1.5])), [0.1, 0.3, 4.0]),
    "InverseGamma": (lambda d, t: d.InverseGamma(t([5.0, 6.0, 9.0]), t(POSITIVE)), [0.1, 0.3, 4.0]),
    "Kumaraswamy": (lambda d, t: d.Kumaraswamy(t(POSITIVE), t([1.0, 2.0, 0.5])), [0.1, 0.3, 0.9]),
    "LogisticNormal": (lambda d, t: d.LogisticNormal(t(PLACE[:2]), t(POSITIVE[:2])), [0.1, 0.3, 0.6]),
    "RelaxedBernoulli": (lambda d, t: d.RelaxedBernoulli(t(0.5), t(SHARE)), [0.1, 0.3, 0.9]),
    "RelaxedOneHot": (lambda d, t: d.RelaxedOneHotCategorical(t(0.5), t(ROWS)), [[0.2, 0.3, 0.5]] * 2),
    "StraightThrough": (lambda d, t: d.OneHotCategoricalStraightThrough(t(ROWS)), [[0.0, 1.0, 0.0]] * 2),
    "NegativeBinomial": (lambda d, t: d.NegativeBinomial(t(POSITIVE), t(SHARE)), [0.0, 2.0, 5.0]),
    "Multinomial": (lambda d, t: d.Multinomial(4, t(ROWS)), [[1.0, 2.0, 1.0], [4.0, 0.0, 0.0]]),
    "FisherSnedecor": (lambda d, t: d.FisherSnedecor(t(POSITIVE), t([9.0, 12.0, 30.0])), [0.1, 0.3, 4.0]),
    "VonMises": (lambda d, t: d.VonMises(t(PLACE), t([0.5, 20.0, 300.0])), [0.1, 0.3, 1.9]),
    "ContinuousBernoulli": (lambda d, t: d.ContinuousBernoulli(t([0.2, 0.5, 0.9])), [0.1, 0.3, 0.9]),
    "LowRank": (
        lambda d, t: d.LowRankMultivariateNormal(t(PLACE), t([[1.0], [0.5], [-2.0]]), t(POSITIVE)),
        [0.5, 1.0, -1.0],
    ),
    "Mixture": (
        lambda d, t: d.MixtureSameFamily(d.Categorical(t(SHARE)), d.Normal(t(PLACE), t(POSITIVE))),
        [0.3, -2.0],
    ),
    "Mixture of vectors": (
        lambda d, t: d.MixtureSameFamily(
            d.Categorical(logits=t([0.3, 0.7])), d.Independent(d.Normal(t(ROWS), t([1.0, 2.0, 0.5])), 1)
        ),
        [0.3, 2.0, 1.0],
    ),
    "tanh of normal": (
        lambda d, t: d.TransformedDistribution(d.Normal(t(PLACE), t(POSITIVE)), [d.transforms.TanhTransform()]),
        [0.3, -0.9, 0.0],
    ),
    "affine, sigmoid, power": (
        lambda d, t: d.TransformedDistribution(
            d.Normal(t(PLACE), 1.0),
            [
                d.AffineTransform(t(PLACE), -t(POSITIVE)),
                d.SigmoidTransform(),
                d.PowerTransform(t(2.0)),
                d.SoftplusTransform().inv,
            ],
        ),
        [0.3, -1.9, -0.1],
    ),
    "stick of independent": (
        lambda d, t: d.TransformedDistribution(
            d.Independent(d.Normal(t(ROWS), 1.0), 1), [d.AffineTransform(1.0, 2.0, event_dim=1), d.StickBreakingTransform()]
        ),
        [[0.1, 0.2, 0.3, 0.4]] * 2,
    ),
    "reshaped": (
        lambda d, t: d.TransformedDistribution(
            d.Independent(d.Normal(t([0.0, 1.0, 2.0, 3.0]), 1.0), 1), d.ReshapeTransform((4,), (2, 2))
        ),
        [[0.1, 0.2], [0.3, 0.4]],
    ),
    "of cdf": (
        lambda d, t: d.TransformedDistribution(
            d.Normal(t(PLACE), 1.0), d.CumulativeDistributionTransform(d.Normal(0.0, t(2.0)))
        ),
        [0.2, 0.5, 0.9],
    ),
}  # fmt: skip


def tensors(lib: Any) -> tuple[Any, list[Any]]:
    made: list[Any] = []

    def t(value: Any) -> Any:
        made.append(lib.tensor(value, dtype=lib.float64, requires_grad=True))
        return made[-1]

    return t, made


@pytest.mark.parametrize("name", MADE)
def test_what_they_say_and_its_gradients_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    make, value = MADE[name]

    def run(lib: Any) -> dict[str, Any]:
        t, made = tensors(lib)
        dist = make(lib.distributions, t)
        kind = lib.int64 if name.startswith("Cat") else lib.float64
        found = {"log_prob": dist.log_prob(lib.tensor(value, dtype=kind))}
        for what in ("mean", "variance", "stddev", "mode", "entropy", "cdf"):
            try:
                got = getattr(dist, what)
                if what == "cdf":
                    if name in ("Gamma", "Chi2", "InverseGamma"):
                        continue  # no incomplete gamma function here, and no gradient of it there
                    got = got(lib.tensor(value, dtype=kind))
                found[what] = got() if what == "entropy" else got
            except (NotImplementedError, AttributeError):
                continue
        out = {k: v.detach().numpy() for k, v in found.items()}
        sum(v.sum() for k, v in found.items() if k in ("log_prob", "entropy", "cdf")).backward()
        out.update({f"grad {i}": g.grad.numpy() for i, g in enumerate(made) if g.grad is not None})
        out["shapes"] = np.array([*dist.batch_shape, 99, *dist.event_shape])
        return out

    ours, theirs = run(ds), run(torch)
    if name == "Kumaraswamy":
        del theirs["mode"]  # a NaN where there is one
    assert set(theirs) <= set(ours)
    # PyTorch's Bessel functions, and the constants in this entropy, have few digits.
    close = {"Multinomial": 2e-6, "VonMises": 5e-4}.get(name, 1e-8)
    for what, found in ours.items():
        if what in theirs:
            np.testing.assert_allclose(found, theirs[what], rtol=close, atol=1e-9, err_msg=what)


PAIRS: dict[str, Any] = {
    "Normal": lambda d, t: (d.Normal(t(PLACE), t(POSITIVE)), d.Normal(t([0.0] * 3), t([1.0, 2.0, 0.5]))),
    "Bernoulli": lambda d, t: (d.Bernoulli(t(SHARE)), d.Bernoulli(logits=t(PLACE))),
    "Categorical": lambda d, t: (d.Categorical(t(ROWS)), d.Categorical(logits=t(ROWS))),
    "OneHot": lambda d, t: (d.OneHotCategorical(t(ROWS)), d.OneHotCategorical(logits=t(ROWS))),
    "Exponential": lambda d, t: (d.Exponential(t(POSITIVE)), d.Exponential(t(SHARE))),
    "Gamma": lambda d, t: (d.Gamma(t(POSITIVE), t(SHARE)), d.Gamma(t(SHARE), t(POSITIVE))),
    "Beta": lambda d, t: (d.Beta(t(POSITIVE), t(SHARE)), d.Beta(t(SHARE), t(POSITIVE))),
    "Dirichlet": lambda d, t: (d.Dirichlet(t(ROWS)), d.Dirichlet(t([[1.0, 1.0, 1.0]] * 2))),
    "Laplace": lambda d, t: (d.Laplace(t(PLACE), t(POSITIVE)), d.Laplace(t(POSITIVE), t(SHARE))),
    "Uniform": lambda d, t: (d.Uniform(t(PLACE), t(PLACE) + 1), d.Uniform(t(PLACE) - 1, t([0.5, 2.0, 9.0]))),
    "Multivariate": lambda d, t: (
        d.MultivariateNormal(t(PLACE[:2]), scale_tril=t(LOWER)),
        d.MultivariateNormal(t(POSITIVE[:2]), t([[2.0, 0.5], [0.5, 1.0]])),
    ),
    "LogNormal": lambda d, t: (d.LogNormal(t(PLACE), t(POSITIVE)), d.LogNormal(t(POSITIVE), t(SHARE))),
    "HalfNormal": lambda d, t: (d.HalfNormal(t(SHARE)), d.HalfNormal(t(POSITIVE))),
    "Poisson": lambda d, t: (d.Poisson(t(SHARE)), d.Poisson(t(POSITIVE))),
    "Geometric": lambda d, t: (d.Geometric(t(SHARE)), d.Geometric(t(SHARE) / 2)),
    "Binomial": lambda d, t: (d.Binomial(5, t(SHARE)), d.Binomial(5, t(SHARE) / 2)),
    "Gumbel": lambda d, t: (d.Gumbel(t(PLACE), t(POSITIVE)), d.Gumbel(t(POSITIVE), t(SHARE))),
    "Cauchy": lambda d, t: (d.Cauchy(t(PLACE), t(POSITIVE)), d.Cauchy(t(POSITIVE), t(SHARE))),
    "Pareto": lambda d, t: (d.Pareto(t(POSITIVE), t(POSITIVE)), d.Pareto(t(SHARE), t(SHARE))),
    "Normal Laplace": lambda d, t: (d.Laplace(t(PLACE), t(POSITIVE)), d.Normal(t(POSITIVE), t(SHARE))),
    "Uniform Normal": lambda d, t: (d.Uniform(t(PLACE), t(PLACE) + 1), d.Normal(t(POSITIVE), t(SHARE))),
    "Exponential Gamma": lambda d, t: (d.Exponential(t(SHARE)), d.Gamma(t(SHARE), t(POSITIVE))),
    "Independent": lambda d, t: (d.Independent(d.Normal(t(ROWS), 1.0), 1), d.Independent(d.Normal(t(ROWS) * 2, 2.0), 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_divergences_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

    def run(lib: Any) -> Any:
        t, _ = tensors(lib)
        return lib.distributions.kl_divergence(*PAIRS[name](lib.distributions, t)).detach().numpy()

    np.testing.assert_allclose(run(ds), run(torch), rtol=1e-9)


# Those without a mean and a variance, or with a tail too heavy for 4000 draws to show them.
NO_SPREAD = {
    "Cauchy", "HalfCauchy", "StudentT", "FisherSnedecor", "Pareto", "VonMises", "LogisticNormal", "RelaxedBernoulli",
    "RelaxedOneHot", "tanh of normal", "affine, sigmoid, power", "stick of independent", "reshaped", "of cdf",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in MADE if n not in NO_SPREAD])
def test_draws_have_the_mean_and_the_spread_they_say(name: str) -> None:
    ds.manual_seed(7)
    dist = MADE[name][0](ds.distributions, lambda v: ds.tensor(v, dtype=ds.float64))
    draws = dist.sample((4000,))
    assert tuple(draws.shape) == (4000, *dist.batch_shape, *dist.event_shape)
    assert not draws.requires_grad
    if name.startswith("Categorical"):
        counts = np.stack([(draws.array == k).mean(0) for k in range(3)], -1)
        np.testing.assert_allclose(counts, dist.probs.array, atol=0.04)
        return
    mean, spread = dist.mean.array, np.sqrt(dist.variance.array)
    if name == "LogNormal":  # its tail is too heavy for 4000 draws to show the mean
        draws, mean, spread = draws.log(), dist.loc.array, dist.scale.array
    assert (np.abs(draws.array.mean(0) - mean) < 5 * spread / np.sqrt(4000) + 1e-9).all()
    np.testing.assert_allclose(draws.array.std(0), spread, rtol=0.25)
    ds.manual_seed(7)
    again = dist.sample((4000,))
    np.testing.assert_array_equal(again.array if name != "LogNormal" else again.log().array, draws.array)


def test_gradients_flow_through_rsample_and_not_through_sample() -> None:
    loc, scale = ds.zeros(3, requires_grad=True), ds.ones(3, requires_grad=True)
    dist = ds.distributions.Normal(loc, scale)
    assert not dist.sample().requires_grad
    dist.rsample((5,)).sum().backward()
    assert loc.grad is not None
    assert loc.grad.tolist() == [5.0] * 3
    assert scale.grad is not None


def test_a_policy_gradient_as_people_write_it() -> None:
    ds.manual_seed(0)
    policy = ds.nn.Linear(4, 2)
    adam = ds.optim.Adam(policy.parameters(), lr=0.1)
    state = ds.ones(4)
    for _ in range(40):
        dist = ds.distributions.Categorical(logits=policy(state))
        action = dist.sample()
        reward = 1.0 if action.item() == 1 else -1.0
        adam.zero_grad()
        (-dist.log_prob(action) * reward).backward()
        adam.step()
    assert ds.distributions.Categorical(logits=policy(state)).probs[1].item() > 0.9


@pytest.mark.parametrize("name", MADE)
def test_a_larger_batch_has_the_same_numbers(name: str) -> None:
    make, value = MADE[name]
    dist = make(ds.distributions, lambda v: ds.tensor(v, dtype=ds.float64))
    value = ds.tensor(value, dtype=ds.int64 if name.startswith("Cat") else ds.float64)
    wide = dist.expand((2, *dist.batch_shape))
    assert tuple(wide.batch_shape) == (2, *dist.batch_shape)
    assert wide.event_shape == dist.event_shape
    assert type(wide) is type(dist)
    one = dist.log_prob(value).numpy()
    np.testing.assert_allclose(
        wide.log_prob(value).numpy(),
        np.broadcast_to(one, (2, *one.shape[-len(dist.batch_shape) or 9 :])),
        rtol=1e-12,
    )
    ds.manual_seed(3)
    draws = wide.sample((5,))
    assert tuple(draws.shape) == (5, 2, *dist.batch_shape, *dist.event_shape)
    assert not draws.requires_grad
    assert dist.support.check(draws).all()
    if dist.has_rsample:
        assert wide.rsample().shape == draws.shape[1:]
    if dist.has_enumerate_support and name != "Binomial":
        values = dist.enumerate_support()
        np.testing.assert_allclose(dist.log_prob(values).exp().sum(0).numpy(), 1, rtol=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "Normal",
        "Laplace",
        "Cauchy",
        "Gumbel",
        "Uniform",
        "Exponential",
        "LogNormal",
        "HalfNormal",
        "HalfCauchy",
        "Weibull",
        "Pareto",
        "Kumaraswamy",
        "ContinuousBernoulli",
    ],
)
def test_icdf_is_the_inverse_of_cdf(name: str) -> None:
    dist = MADE[name][0](ds.distributions, lambda v: ds.tensor(v, dtype=ds.float64))
    share = ds.tensor([0.1, 0.5, 0.8], dtype=ds.float64)
    np.testing.assert_allclose(dist.cdf(dist.icdf(share)).numpy(), share.numpy(), rtol=1e-8)


def test_a_transform_of_the_persons_own_keeps_what_it_made() -> None:
    D = ds.distributions

    class Tanh(D.Transform):
        domain = D.constraints.real
        codomain = D.constraints.interval(-1.0, 1.0)
        bijective = True
        sign = +1

        def __init__(self, cache_size: int = 1) -> None:
            super().__init__(cache_size=cache_size)

        def _call(self, x: Any) -> Any:
            return x.tanh()

        def _inverse(self, y: Any) -> Any:
            raise AssertionError("the cache has it")

        def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
            return 2.0 * (0.6931471805599453 - x - ds.nn.functional.softplus(-2.0 * x))

    mean = ds.tensor([30.0, -1.0], requires_grad=True)
    dist = D.Independent(D.TransformedDistribution(D.Normal(mean, 1.0), [Tanh()]), 1)
    action = dist.rsample()
    dist.log_prob(action).backward()
    assert mean.grad is not None
    assert np.isfinite(mean.grad.numpy()).all()


@pytest.mark.parametrize(
    "name",
    [
        "real",
        "positive",
        "unit_interval",
        "simplex",
        "lower_cholesky",
        "interval",
        "less_than",
        "independent",
    ],
)
def test_transforms_lead_into_their_constraints(name: str) -> None:
    D = ds.distributions
    found = getattr(D.constraints, name)
    given = {"interval": (-2.0, 3.0), "less_than": (2.0,), "independent": (D.constraints.positive, 1)}
    region = found(*given[name]) if name in given else found
    x = ds.linspace(-2, 2, 9, dtype=ds.float64).reshape(3, 3)
    for registry in (D.transform_to, D.biject_to):
        assert region.check(registry(region)(x)).all()
        back = registry(region)
        y = back(x)
        np.testing.assert_allclose(back(back.inv(y)).numpy(), y.numpy(), rtol=1e-7, atol=1e-9)


def test_they_print_their_parameters() -> None:
    normal = ds.distributions.Normal(ds.zeros(2), 1.0)
    assert repr(normal) == "Normal(loc: (2,), scale: (2,))"
    assert repr(ds.distributions.Exponential(2.0)) == "Exponential(rate: 2.0)"
    assert repr(ds.distributions.Independent(normal, 1)) == "Independent(Normal(loc: (2,), scale: (2,)), 1)"


def test_a_divergence_of_the_persons_own() -> None:
    D = ds.distributions

    class Mine(D.Normal):
        pass

    @D.kl.register_kl(Mine, D.Cauchy)
    def _(p: Any, q: Any) -> Any:
        return p.loc - q.loc

    assert D.kl_divergence(Mine(3.0, 1.0), D.Cauchy(1.0, 1.0)).item() == 2.0


D = ds.distributions


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: D.Normal(0.0, 0.0), "Normal: scale has to be above 0, got 0"),
        (lambda: D.Normal(0.0, float("nan")), "scale has to be above 0, got nan"),
        (lambda: D.Uniform(1.0, 0.0), "low has to be below high"),
        (lambda: D.Bernoulli(1.5), "from 0 to 1, got 1.5"),
        (lambda: D.Bernoulli(), "probs or logits, one of the two"),
        (lambda: D.Categorical(0.5), "at least one dimension"),
        (lambda: D.Categorical(ds.ones(3)).log_prob(3), "0 to 2, got 3"),
        (
            lambda: D.Normal(ds.zeros(3), 1.0).log_prob(ds.zeros(4)),
            r"shape \[4\] does not fit .* batch_shape \[3\]",
        ),
        (lambda: D.Independent(D.Normal(ds.zeros(3), 1.0), 2), "from 0 to 1"),
        (lambda: D.MultivariateNormal(ds.zeros(2)), "got 0"),
        (lambda: D.MultivariateNormal(ds.zeros(3), ds.eye(2)), "loc has 3 elements, its matrix is for 2"),
        (lambda: D.Gamma(1.0, 1.0).rsample(), "Gamma has no rsample"),
        (lambda: D.Poisson(1.0).entropy(), "Poisson has no entropy"),
        (lambda: D.Exponential(1.0).log_prob(-1.0), r"a value has to be in GreaterThanEq.*got -1"),
        (lambda: D.Normal(ds.zeros(3), 1.0).expand((2,)), r"batch of \[3\] cannot be expanded to \[2\]"),
        (
            lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), [abs]),
            r"transforms\[0\] has to be a Transform",
        ),
        (
            lambda: D.MixtureSameFamily(D.Categorical(ds.ones(3)), D.Normal(ds.zeros(2), 1.0)),
            r"batch_shape \[2\] has to be the 3 choices",
        ),
        (lambda: D.Multinomial(2.5, ds.ones(2)), "one int for the whole batch, got float"),
        (lambda: D.ReshapeTransform((2, 3), (5,)), "have other sizes"),
        (lambda: D.Independent(D.Bernoulli(SHARE), 1).enumerate_support(), "no enumeration"),
        (lambda: D.transform_to(D.constraints.boolean), r"no transform to Boolean\(\)"),
        (
            lambda: D.kl_divergence(D.Cauchy(0.0, 1.0), D.Normal(0.0, 1.0)),
            "no divergence of Cauchy from Normal",
        ),
    ],
)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        call()
