"""What data is to a loader: something with a length and items, or something to iterate over."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from engine import random
from engine.located import located
from engine.random import Generator
from engine.tensor import Tensor

T = TypeVar("T")


class Dataset(Generic[T]):
    """Base class of data with items: subclasses give `__getitem__(index)`, and `__len__` where it has one."""

    def __getitem__(self, index: Any) -> T:
        raise located(NotImplementedError(f"{type(self).__name__} has no __getitem__(index)"))

    def __add__(self, other: Dataset[T]) -> ConcatDataset[T]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T], Iterable[T]):
    """Base class of data that is only iterated over: subclasses give `__iter__`."""

    def __iter__(self) -> Iterator[T]:
        raise located(NotImplementedError(f"{type(self).__name__} has no __iter__()"))

    def __add__(self, other: Dataset[T]) -> Any:
        return ChainDataset([self, other])


def row(tensor: Tensor, index: Any) -> Tensor:
    """`tensor[index]`. Where no gradient flows it is an input of its own, not a node: data is no part of a network."""
    if tensor.requires_grad:
        return tensor[index]
    if isinstance(index, Tensor):
        index = index.array
    return Tensor(tensor.array[index])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Items are rows of several tensors: `(tensors[0][i], tensors[1][i], ...)`.

    Raises `TypeError` for what is no tensor and `ValueError` for tensors of different lengths.

    >>> import engine as ds
    >>> data = TensorDataset(ds.arange(6).reshape(3, 2), ds.tensor([0, 1, 0]))
    >>> [t.tolist() for t in data[1]]
    [[2, 3], 1]
    """

    def __init__(self, *tensors: Tensor) -> None:
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise located(
                    TypeError(f"TensorDataset: argument {i} has to be a tensor, got {type(tensor).__name__}")
                )
            if tensor.ndim == 0:
                raise located(ValueError(f"TensorDataset: argument {i} is a single number; it has no rows"))
        sizes = [t.shape[0] for t in tensors]
        if len(set(sizes)) > 1:
            raise located(ValueError(f"TensorDataset: the tensors have to have as many rows, got {sizes}"))
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(row(t, index) for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class StackDataset(Dataset[Any]):
    """Items of several datasets side by side: a tuple of them, or a dict where they were given by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise located(
                ValueError("StackDataset takes datasets one after the other or by name, and at least one")
            )
        self.datasets: Any = args or kwargs
        sizes = {len(d) for d in (args or kwargs.values())}
        if len(sizes) > 1:
            raise located(ValueError(f"StackDataset: the datasets have to be as long, got {sorted(sizes)}"))
        self._length = sizes.pop()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T]):
    """Several datasets, one after the other."""

    def __init__(self, datasets: Iterable[Dataset[T]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise located(ValueError("ConcatDataset needs at least one dataset, got an empty list"))
        self.cumulative_sizes: list[int] = []
        total = 0
        for i, dataset in enumerate(self.datasets):
            if isinstance(dataset, IterableDataset):
                raise located(
                    TypeError(f"ConcatDataset: dataset {i} is only iterated over; use ChainDataset")
                )
            total += len(dataset)  # type: ignore[arg-type]
            self.cumulative_sizes.append(total)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T:
        if not -len(self) <= index < len(self):
            raise located(IndexError(f"index {index} is out of range: there are {len(self)} items"))
        index %= len(self)
        i = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[i][index - (self.cumulative_sizes[i - 1] if i else 0)]


class ChainDataset(IterableDataset[T]):
    """Several datasets that are iterated over, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[T]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class Subset(Dataset[T]):
    """Those items of a dataset whose numbers are in `indices`, in that order."""

    def __init__(self, dataset: Dataset[T], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> T:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Split a dataset at random into parts of these lengths, or of these shares of it that sum to 1.

    Raises `ValueError` when the lengths do not sum to the dataset's, or a share is not from 0 to 1.
    """
    size = len(dataset)
    given = list(lengths)
    if math.isclose(sum(given), 1):
        for i, share in enumerate(given):
            if not 0 <= share <= 1:
                raise located(ValueError(f"lengths[{i}] has to be from 0 to 1, got {share}"))
        counts = [math.floor(size * share) for share in given]
        for i in range(size - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        if sum(given) != size:
            raise located(ValueError(f"the lengths sum to {sum(given)}, the dataset has {size} items"))
        counts = [int(n) for n in given]
    order = random.generator(*random.draw(size, generator)).permutation(size).tolist()
    parts, at = [], 0
    for count in counts:
        parts.append(Subset(dataset, order[at : at + count]))
        at += count
    return parts
