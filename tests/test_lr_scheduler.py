"""Schedules of learning rates, beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import dsviz as ds
from dsviz import nn, optim

Make = Callable[[Any, Any], Any]  # of the library's lr_scheduler and an optimizer

SCHEDULES: dict[str, Make] = {
    "StepLR": lambda lib, o: lib.StepLR(o, 3, gamma=0.5),
    "MultiStepLR": lambda lib, o: lib.MultiStepLR(o, [2, 5, 5], gamma=0.1),
    "ExponentialLR": lambda lib, o: lib.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda lib, o: lib.CosineAnnealingLR(o, 6, 0.01),
    "LinearLR": lambda lib, o: lib.LinearLR(o, 0.25, total_iters=4),
    "LambdaLR": lambda lib, o: lib.LambdaLR(o, lambda e: 1 / (1 + e)),
    "ConstantLR": lambda lib, o: lib.ConstantLR(o, 0.5, 3),
    "PolynomialLR": lambda lib, o: lib.PolynomialLR(o, 8, 2.0),
    "MultiplicativeLR": lambda lib, o: lib.MultiplicativeLR(o, lambda e: 0.9 if e % 2 else 1.1),
    "warm restarts": lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "one cycle": lambda lib, o: lib.OneCycleLR(o, 0.5, total_steps=12),
    "one cycle, linear": lambda lib, o: lib.OneCycleLR(o, 0.5, None, 3, 4, anneal_strategy="linear"),
    "one cycle, three phases": lambda lib, o: lib.OneCycleLR(o, [0.5], total_steps=12, three_phase=True),
    "cyclic": lambda lib, o: lib.CyclicLR(o, 0.01, 0.1, 3, 2),
    "cyclic, halved": lambda lib, o: lib.CyclicLR(o, 0.01, 0.1, 2, mode="triangular2", cycle_momentum=False),
    "cyclic, by steps": lambda lib, o: lib.CyclicLR(o, 0.01, 0.1, 2, mode="exp_range", gamma=0.9),
    "cyclic, own scale": lambda lib, o: lib.CyclicLR(o, 0.01, 0.1, 2, scale_fn=lambda c: 1 / c),
    "warm-up, then cosine": lambda lib, o: lib.SequentialLR(
        o, [lib.LinearLR(o, 0.1, 1.0, 4), lib.CosineAnnealingLR(o, 8)], [4]
    ),
    "three after each other": lambda lib, o: lib.SequentialLR(
        o, [lib.ConstantLR(o, 0.1, 2), lib.StepLR(o, 2), lib.ExponentialLR(o, 0.9)], [3, 7]
    ),
    "chained": lambda lib, o: lib.ChainedScheduler([lib.ConstantLR(o, 0.1, 4), lib.ExponentialLR(o, 0.9)]),
}  # fmt: skip


def sgd(lib: Any, **options: Any) -> Any:
    return lib.optim.SGD([lib.nn.Parameter(lib.ones(1))], lr=0.2, momentum=0.9, **options)


def state(optimizer: Any) -> list[float]:
    group = optimizer.param_groups[0]
    return [group["lr"], group.get("momentum", 0) or group["betas"][0]]


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_and_momenta_are_pytorchs(torch: Any, name: str) -> None:
    ours, theirs = sgd(ds), sgd(torch)
    here, there = SCHEDULES[name](optim.lr_scheduler, ours), SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    for epoch in range(12):
        assert state(ours) == pytest.approx(state(theirs), rel=1e-12), epoch
        assert here.get_last_lr() == pytest.approx(there.get_last_lr(), rel=1e-12), epoch
        ours.step()
        theirs.step()
        here.step()
        there.step()


def test_schedules_on_one_optimizer_multiply(torch: Any) -> None:
    seen: list[list[float]] = []
    for lib in (ds, torch):
        optimizer = sgd(lib)
        made = lib.optim.lr_scheduler
        schedules = [
            made.LinearLR(optimizer, 0.1, total_iters=3), made.ExponentialLR(optimizer, 0.9),
            made.CosineAnnealingLR(optimizer, 5), made.MultiStepLR(optimizer, [4]),
        ]  # fmt: skip
        rates = []
        for _ in range(10):
            optimizer.step()
            for schedule in schedules:
                schedule.step()
            rates.append(optimizer.param_groups[0]["lr"])
        seen.append(rates)
    assert seen[0] == pytest.approx(seen[1], rel=1e-12)


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "one cycle", "LinearLR", "LambdaLR"])
def test_a_training_continues_at_last_epoch(torch: Any, name: str) -> None:
    seen: list[list[list[float]]] = []
    for lib in (ds, torch):
        first = sgd(lib)
        schedule = SCHEDULES[name](lib.optim.lr_scheduler, first)
        for _ in range(4):
            first.step()
            schedule.step()
        kept, where = first.state_dict(), schedule.state_dict()
        again = sgd(lib)
        schedule = SCHEDULES[name](lib.optim.lr_scheduler, again)
        again.load_state_dict(kept)
        schedule.load_state_dict(where)
        assert schedule.last_epoch == 4
        rates = [state(again)]
        for _ in range(4):
            again.step()
            schedule.step()
            rates.append(state(again))
        last = sgd(lib)
        last.load_state_dict(kept)
        third = lib.optim.lr_scheduler.StepLR(last, 3, 0.5, last_epoch=3)
        rates.append(third.get_last_lr() * 2)
        seen.append(rates)
    for ours, theirs in zip(*seen, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_adams_first_beta_is_its_momentum(torch: Any) -> None:
    seen = []
    for lib in (ds, torch):
        adam = lib.optim.Adam([lib.nn.Parameter(lib.ones(1))], lr=0.1)
        schedule = lib.optim.lr_scheduler.OneCycleLR(adam, 0.5, total_steps=6)
        for _ in range(3):
            adam.step()
            schedule.step()
        seen.append([*state(adam), *adam.param_groups[0]["betas"]])
    assert seen[0] == pytest.approx(seen[1])


def test_schedules_nest() -> None:
    optimizer, made = sgd(ds), optim.lr_scheduler
    inner = made.SequentialLR(optimizer, [made.StepLR(optimizer, 2), made.ExponentialLR(optimizer, 0.5)], [3])
    outer = made.SequentialLR(optimizer, [made.ConstantLR(optimizer, 0.5, 9), inner], [2])
    rates = [outer.get_last_lr()[0]]
    for _ in range(7):
        outer.step()
        rates.append(outer.get_last_lr()[0])
    assert rates == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.02, 0.2, 0.1, 0.05])


def test_a_jump_to_an_epoch_starts_from_the_first_rate() -> None:
    optimizer = sgd(ds)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    schedule.step(3)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2 / 8)


def test_a_plateau_lowers_the_rate_as_pytorchs(torch: Any) -> None:
    losses = [1.0, 0.9, 0.95, 0.93, 0.92, 0.91, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86]
    ours, theirs = sgd(ds), sgd(torch)
    options = {"patience": 2, "cooldown": 1, "factor": 0.5, "min_lr": [0.04]}
    here = optim.lr_scheduler.ReduceLROnPlateau(ours, **options)  # type: ignore[arg-type]
    there = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    assert isinstance(here, optim.lr_scheduler.LRScheduler)
    for loss in losses:
        here.step(loss)
        there.step(loss)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        assert here.get_last_lr() == pytest.approx(there.get_last_lr())


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda m, o: m.ReduceLROnPlateau(o, mode="up"), ValueError, "mode is"),
        (lambda m, o: m.StepLR(o, 0), ValueError, "step_size has to be at least 1, got 0"),
        (lambda m, o: m.StepLR([1], 1), TypeError, "optimizer has to be an Optimizer, got list"),
        (lambda m, o: m.StepLR(o, 1, last_epoch=2), KeyError, "no initial_lr to continue from"),
        (lambda m, o: m.LambdaLR(o, [lambda e: 1, lambda e: 2]), ValueError, "lr_lambda has 2 values for 1 groups"),
        (lambda m, o: m.OneCycleLR(o, 1), ValueError, "needs total_steps"),
        (lambda m, o: m.CyclicLR(o, 0.1, 1, mode="square"), ValueError, "mode is"),
        (lambda m, o: m.SequentialLR(o, [m.StepLR(o, 1)], [1]), ValueError, "1 schedules need 0 milestones"),
        (lambda m, o: m.ChainedScheduler([]), ValueError, "at least one schedule"),
        (lambda m, o: m.ChainedScheduler([m.ReduceLROnPlateau(o)]), TypeError, r"schedulers\[0\]"),
        (lambda m, o: m.ChainedScheduler([m.StepLR(o, 1), m.StepLR(sgd(ds), 1)]), ValueError, "another optimizer"),
        (lambda m, o: m.OneCycleLR(optim.Adagrad([nn.Parameter(ds.ones(1))]), 1, 3), ValueError, "cycle_momentum=False"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(make: Make, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make(optim.lr_scheduler, sgd(ds))


def test_one_cycle_ends_with_its_steps() -> None:
    schedule = optim.lr_scheduler.OneCycleLR(sgd(ds), 0.5, total_steps=3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="step 4 of a schedule of 3 steps"):
        schedule.step()
