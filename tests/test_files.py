"""Tensors in files that are open already, and in pickles."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

import engine as ds
from engine import nn
from engine.files import FileFormatError


def test_an_open_file_serves_as_a_path_does() -> None:
    file = io.BytesIO()
    file.write(b"before")
    ds.save({"w": ds.ones(2), "epoch": 3}, file)
    end = file.tell()
    file.seek(6)
    found = ds.load(file)
    assert found["w"].tolist() == [1, 1]
    assert found["epoch"] == 3
    with pytest.raises(FileFormatError, match="BytesIO"):
        ds.load(io.BytesIO(file.getvalue()[6 : end - 1]))


def test_what_a_program_holds_can_be_pickled() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.LSTM(2, 3))
    x = ds.randn(4, 2)
    optimizer = ds.optim.Adam(net.parameters())
    schedule = ds.optim.lr_scheduler.StepLR(optimizer, 2)
    net(x)[0].sum().backward()
    optimizer.step()
    draws = ds.Generator().manual_seed(3)
    ds.rand(2, generator=draws)
    again, steps, plan, drawn = pickle.loads(pickle.dumps((net, optimizer, schedule, draws)))
    assert steps.param_groups[0]["params"][0] is again[0].weight
    assert plan.optimizer is steps
    assert ds.equal(ds.rand(3, generator=drawn), ds.rand(3, generator=draws))
    for one, other in ((net, optimizer), (again, steps)):
        other.zero_grad()
        one(x)[0].sum().backward()
        other.step()
    assert all(ds.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True))


def test_a_pickled_tensor_arrives_as_a_leaf_and_a_copied_one_stays_in_the_graph() -> None:
    made = ds.ones(2, requires_grad=True) * 2
    leaf = pickle.loads(pickle.dumps(made))
    assert (leaf.tolist(), leaf.requires_grad, leaf.is_leaf) == ([2.0, 2.0], True, True)
    copied = copy.copy(made)
    assert copied.grad_fn is made.grad_fn
    assert copied.array is made.array
    assert not pickle.loads(pickle.dumps(nn.Buffer(ds.ones(1), persistent=False))).persistent
