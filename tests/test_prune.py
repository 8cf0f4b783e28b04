"""Pruned parameters, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

import engine as ds
from engine.nn.utils import prune

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
their_prune = pytest.importorskip("torch.nn.utils.prune")


def net(lib: Any) -> Any:
    made = lib.nn.Sequential(lib.nn.Linear(4, 3), lib.nn.ReLU(), lib.nn.Linear(3, 2))
    with lib.no_grad():
        for i, p in enumerate(made.parameters()):
            p.copy_(lib.sin(lib.arange(float(p.numel())) + i).view(p.shape))
    return made


def one_after_the_other(lib: Any, p: Any, made: Any) -> None:
    p.l1_unstructured(made[0], "weight", amount=0.5)
    p.ln_structured(made[0], "weight", 0.34, n=2, dim=0)
    p.l1_unstructured(made[0], "weight", 2)


def together(lib: Any, p: Any, made: Any) -> None:
    for amount in (0.4, 3):
        p.global_unstructured([(made[0], "weight"), (made[2], "weight")], p.L1Unstructured, amount=amount)


def given(lib: Any, p: Any, made: Any) -> None:
    p.custom_from_mask(made[2], "bias", lib.tensor([0, 1]))
    p.identity(made[2], "weight")
    p.l1_unstructured(made[2], "weight", 1, importance_scores=lib.arange(6.0).view(2, 3))


def of_ones_own(lib: Any, p: Any, made: Any) -> None:
    class EverySecond(p.BasePruningMethod):  # type: ignore[misc, name-defined]
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t: Any, default_mask: Any) -> Any:
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    for _ in range(2):
        EverySecond.apply(made[0], "weight")


@pytest.mark.parametrize("way", [one_after_the_other, together, given, of_ones_own])
def test_what_is_pruned_and_learns_on(way: Any) -> None:
    found = []
    for lib, p in ((ds, prune), (torch, their_prune)):
        made = net(lib)
        way(lib, p, made)
        optimizer = lib.optim.SGD(made.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            made(lib.ones(2, 4)).square().sum().backward()
            optimizer.step()
        names = list(made.state_dict())
        masks = [b.tolist() for b in made.buffers()]
        assert p.is_pruned(made)
        for layer, name in ((made[0], "weight"), (made[2], "weight"), (made[2], "bias")):
            if hasattr(layer, name + "_mask"):
                p.remove(layer, name)
        assert not p.is_pruned(made)
        found.append((names, masks, [p.tolist() for p in dict(sorted(made.named_parameters())).values()]))
    assert found[0][:2] == found[1][:2]
    for ours, theirs in zip(found[0][2], found[1][2], strict=True):
        assert ours == [pytest.approx(row, abs=1e-5) for row in theirs]


def test_as_many_as_were_asked_for_whichever() -> None:
    layer = ds.nn.Conv2d(2, 4, 3)
    prune.random_structured(layer, "weight", 1, dim=0)
    prune.random_unstructured(layer, "weight", 10)
    mask = layer.weight_mask
    assert sorted((mask.sum((1, 2, 3)) == 0).tolist()) == [False] * 3 + [True]
    assert int((mask == 0).sum()) == 18 + 10


@pytest.mark.parametrize(
    ("amount", "error"), [(1.5, ValueError), (-1, ValueError), (5, ValueError), ("a", TypeError)]
)
def test_an_amount_that_cannot_be(amount: Any, error: type[Exception]) -> None:
    layer = ds.nn.Linear(2, 2)
    with pytest.raises(error, match="amount"):
        prune.l1_unstructured(layer, "weight", amount)
    assert list(layer.state_dict()) == ["weight", "bias"]
    with pytest.raises(ValueError, match="is not pruned"):
        prune.remove(ds.nn.Linear(2, 2), "weight")
