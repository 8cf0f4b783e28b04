"""In what order a loader takes the items of its data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from engine import random
from engine.located import located
from engine.random import Generator

T = TypeVar("T")


def _numbers(count: int, generator: Generator | None) -> np.random.Generator:
    return random.generator(*random.draw(count, generator))


class Sampler(Generic[T]):
    """Base class: subclasses give `__iter__`, the numbers of the items in order, and `__len__`."""

    def __iter__(self) -> Iterator[T]:
        raise located(NotImplementedError(f"{type(self).__name__} has no __iter__()"))


class SequentialSampler(Sampler[int]):
    """The items as they are."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The items in random order, or drawn `num_samples` times with replacement."""

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        if num_samples is not None and num_samples <= 0:
            raise located(ValueError(f"num_samples has to be 1 or more, got {num_samples}"))
        self.data_source, self.replacement = data_source, replacement
        self._count, self.generator = num_samples, generator

    @property
    def num_samples(self) -> int:
        """How many items an epoch has."""
        return len(self.data_source) if self._count is None else self._count

    def __iter__(self) -> Iterator[int]:
        size, count = len(self.data_source), self.num_samples
        if self.replacement:
            while count > 0:  # a program that stops by itself may ask for more than fit in memory
                some = min(count, 1 << 14)
                yield from _numbers(some, self.generator).integers(0, size, some).tolist()
                count -= some
            return
        while count > 0:
            order = _numbers(size, self.generator).permutation(size)[:count]
            yield from order.tolist()
            count -= len(order)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """These items, in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in _numbers(len(self.indices), self.generator).permutation(len(self.indices)):
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` items, each as likely as its weight says."""

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        if num_samples <= 0:
            raise located(ValueError(f"num_samples has to be 1 or more, got {num_samples}"))
        self.weights = np.asarray(getattr(weights, "array", weights), dtype=np.float64)
        if self.weights.ndim != 1 or not len(self.weights):
            raise located(
                ValueError(f"weights has to be a list of numbers, got shape {list(self.weights.shape)}")
            )
        if (self.weights < 0).any() or not self.weights.sum() > 0:
            raise located(ValueError("weights has to be numbers of 0 or more, not all of them 0"))
        if not replacement and num_samples > int((self.weights > 0).sum()):
            raise located(
                ValueError(
                    f"num_samples is {num_samples}, but only {int((self.weights > 0).sum())} items have a weight; "
                    "replacement=True draws an item more than once"
                )
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn = _numbers(self.num_samples, self.generator).choice(
            len(self.weights), self.num_samples, self.replacement, self.weights / self.weights.sum()
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The numbers another sampler gives, in lists of `batch_size`."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise located(ValueError(f"batch_size has to be a whole number of 1 or more, got {batch_size!r}"))
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
