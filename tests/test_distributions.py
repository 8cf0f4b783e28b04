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
        for what in ("mean", "variance", "stddev", *(["entropy"] if name != "Binomial" else [])):
            try:
                got = getattr(dist, what)
                found[what] = got() if what == "entropy" else got
            except NotImplementedError:
                continue
        out = {k: v.detach().numpy() for k, v in found.items()}
        sum(v.sum() for k, v in found.items() if k in ("log_prob", "entropy")).backward()
        out.update({f"grad {i}": g.grad.numpy() for i, g in enumerate(made) if g.grad is not None})
        out["shapes"] = np.array([*dist.batch_shape, 99, *dist.event_shape])
        return out

    ours, theirs = run(ds), run(torch)
    for what, found in ours.items():
        if what == "log_prob" or what in theirs:
            np.testing.assert_allclose(found, theirs[what], rtol=1e-8, atol=1e-9, err_msg=what)


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
    "Independent": lambda d, t: (d.Independent(d.Normal(t(ROWS), 1.0), 1), d.Independent(d.Normal(t(ROWS) * 2, 2.0), 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_divergences_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

    def run(lib: Any) -> Any:
        t, _ = tensors(lib)
        return lib.distributions.kl_divergence(*PAIRS[name](lib.distributions, t)).detach().numpy()

    np.testing.assert_allclose(run(ds), run(torch), rtol=1e-9)


@pytest.mark.parametrize("name", [n for n in MADE if n not in ("Cauchy", "StudentT")])
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
        (lambda: D.Cauchy(0.0, 1.0).mean, "Cauchy has no mean"),
        (
            lambda: D.kl_divergence(D.Cauchy(0.0, 1.0), D.Normal(0.0, 1.0)),
            "no divergence of Cauchy from Normal",
        ),
    ],
)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        call()
