"""Datasets, samplers and the loader, beside PyTorch's."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.utils import data

Pair = namedtuple("Pair", "x y")


def plain(value: Any) -> Any:
    """A batch as plain Python, so that both frameworks' can be compared."""
    if hasattr(value, "detach"):
        return (str(value.dtype).replace("torch.", ""), value.tolist())
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *map(plain, value)]
    return value


class Squares:
    def __len__(self) -> int:
        return 7

    def __getitem__(self, i: int) -> Any:
        if i >= 7:
            raise IndexError(i)
        return i, float(i * i)


CASES = {
    "tensors": lambda lib, d: d.DataLoader(d.TensorDataset(lib.arange(10).reshape(5, 2), lib.arange(5)), batch_size=2),
    "drop_last": lambda lib, d: d.DataLoader(Squares(), batch_size=3, drop_last=True),
    "a list": lambda lib, d: d.DataLoader([1, 2, 3], batch_size=2),
    "no batches": lambda lib, d: d.DataLoader(Squares(), batch_size=None),
    "arrays": lambda lib, d: d.DataLoader([np.ones(2, np.float32) * i for i in range(3)], batch_size=2),
    "numpy numbers": lambda lib, d: d.DataLoader([np.float64(2), np.float64(3)], batch_size=2),
    "bools": lambda lib, d: d.DataLoader([True, False], batch_size=2),
    "dicts": lambda lib, d: d.DataLoader([{"a": i, "b": "text"} for i in range(3)], batch_size=2),
    "named": lambda lib, d: d.DataLoader([Pair(i, 0.5) for i in range(3)], batch_size=3),
    "nested": lambda lib, d: d.DataLoader([((lib.ones(2), 1), [2, 3]) for _ in range(2)], batch_size=2),
    "own collate": lambda lib, d: d.DataLoader(Squares(), batch_size=3, collate_fn=lambda items: items),
    "sampler": lambda lib, d: d.DataLoader(Squares(), batch_size=2, sampler=[4, 2, 0]),
    "batch_sampler": lambda lib, d: d.DataLoader(Squares(), batch_sampler=[[0, 6], [3]]),
    "subset": lambda lib, d: d.DataLoader(d.Subset(Squares(), [5, 1]), batch_size=2),
    "concat": lambda lib, d: d.DataLoader(d.ConcatDataset([[1, 2], [3, 4, 5]]), batch_size=2),
    "stack": lambda lib, d: d.DataLoader(d.StackDataset(a=[1, 2, 3], b=[4.0, 5.0, 6.0]), batch_size=2),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_batches_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours, theirs = CASES[name](ds, data), CASES[name](torch, torch.utils.data)
    assert [plain(b) for b in ours] == [plain(b) for b in theirs]
    assert len(ours) == len(theirs)


class Stream(data.IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(5))


def test_data_that_is_only_iterated_over() -> None:
    batches = list(data.DataLoader(Stream(), batch_size=2))
    assert [b.tolist() for b in batches] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in data.DataLoader(Stream() + Stream(), batch_size=4, drop_last=True)] == [
        [0, 1, 2, 3],
        [4, 0, 1, 2],
    ]
    with pytest.raises(TypeError):
        len(data.DataLoader(Stream(), batch_size=2))


def test_shuffling_takes_each_once_in_another_order_each_epoch_and_again_by_its_seed() -> None:
    loader = data.DataLoader(range(50), batch_size=8, shuffle=True)

    def epochs() -> list[list[int]]:
        ds.manual_seed(4)
        return [[i for b in loader for i in b.tolist()] for _ in range(2)]

    first = epochs()
    assert all(sorted(epoch) == list(range(50)) for epoch in first)
    assert first[0] != first[1]
    assert epochs() == first


def test_samplers() -> None:
    few = data.RandomSampler(range(3), num_samples=7)
    assert len(list(few)) == 7
    assert set(list(few)[:3]) == {0, 1, 2}
    assert set(data.RandomSampler(range(4), replacement=True, num_samples=100)) == {0, 1, 2, 3}
    assert next(iter(data.RandomSampler(range(4), replacement=True, num_samples=10**12))) in range(4)
    assert sorted(data.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    ds.manual_seed(0)
    drawn = list(data.WeightedRandomSampler([0.0, 1.0, 3.0], 4000))
    assert 0 not in drawn
    assert 2.5 < drawn.count(2) / drawn.count(1) < 3.6


def test_random_split_by_lengths_and_by_shares() -> None:
    for lengths, sizes in (([7, 3], [7, 3]), ([0.7, 0.3], [7, 3]), ([0.55, 0.45], [6, 4])):
        parts = data.random_split(range(10), lengths)
        assert [len(p) for p in parts] == sizes
        assert sorted(p[i] for p in parts for i in range(len(p))) == list(range(10))


def test_rows_of_data_are_no_nodes_of_the_network() -> None:
    loader = data.DataLoader(data.TensorDataset(ds.randn(6, 3), ds.arange(6)), batch_size=3, shuffle=True)
    with ds.trace() as graph:
        for x, _ in loader:
            ds.relu(x)
    assert [n.label for n in graph.nodes if n.op is not None] == ["relu", "relu"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: data.DataLoader([1], batch_size=0),
            "batch_size has to be a whole number of 1 or more, got 0",
        ),
        (lambda: data.DataLoader([1], batch_size=2.5), r"got 2\.5"),
        (lambda: data.DataLoader([1], sampler=[0], shuffle=True), "exclude each other"),
        (lambda: data.DataLoader([1], batch_sampler=[[0]], batch_size=3), "batch_sampler excludes"),
        (lambda: data.DataLoader(Stream(), shuffle=True), "shuffle has no meaning"),
        (lambda: data.DataLoader(3), "int has neither"),
        (lambda: data.DataLoader([1], num_workers=-1), "num_workers"),
        (lambda: data.TensorDataset(ds.ones(3), ds.ones(4)), r"as many rows, got \[3, 4\]"),
        (lambda: data.TensorDataset([1, 2]), "argument 0 has to be a tensor, got list"),
        (lambda: data.random_split(range(10), [3, 3]), "sum to 6, the dataset has 10"),
        (lambda: data.ConcatDataset([]), "at least one"),
        (lambda: data.ConcatDataset([[1]])[4], "index 4 is out of range"),
        (lambda: data.WeightedRandomSampler([1.0, 0.0], 2, replacement=False), "only 1 items have a weight"),
        (lambda: data.WeightedRandomSampler([-1.0], 2), "0 or more"),
        (lambda: list(data.DataLoader([ds.ones(2), ds.ones(3)], batch_size=2)), r"one shape .*\[2\], \[3\]"),
        (lambda: list(data.DataLoader([[1], [1, 2]], batch_size=2)), r"as long, got lengths \[1, 2\]"),
        (lambda: list(data.DataLoader([object()], batch_size=1)), "got a list of object"),
        (lambda: data.Dataset()[0], "Dataset has no __getitem__"),
    ],
)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, IndexError, NotImplementedError), match=message):
        call()
