"""The loader: items of a dataset in batches, in the order of a sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.located import located
from engine.random import Generator
from engine.utils.data.collate import default_collate, default_convert
from engine.utils.data.dataset import IterableDataset
from engine.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Iterate over a dataset in batches; the arguments are PyTorch's.

    Batches are made in this process when they are asked for, where a debugger can stop in the dataset's own code:
    `num_workers` and what belongs to it are taken and start no processes. `pin_memory` changes nothing.

    Raises `ValueError` for arguments that exclude each other and `TypeError` for data that cannot be loaded.

    >>> import engine as ds
    >>> from engine.utils.data import TensorDataset
    >>> [x.tolist() for (x,) in DataLoader(TensorDataset(ds.arange(5)), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise located(ValueError(f"num_workers has to be 0 or more, got {num_workers}"))
        if timeout < 0:
            raise located(ValueError(f"timeout has to be 0 or more, got {timeout}"))
        iterated = isinstance(dataset, IterableDataset) or (
            not hasattr(dataset, "__getitem__") and hasattr(dataset, "__iter__")
        )
        if not iterated and not hasattr(dataset, "__getitem__"):
            raise located(
                TypeError(
                    f"dataset has to have __getitem__ and __len__, or __iter__; {type(dataset).__name__} has neither"
                )
            )
        if iterated:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value not in (None, False):
                    raise located(
                        ValueError(
                            f"{name} has no meaning for a dataset that is only iterated over, got {value!r}"
                        )
                    )
        if sampler is not None and shuffle:
            raise located(ValueError("sampler and shuffle exclude each other: the sampler decides the order"))
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise located(ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last"))
            batch_size = None
        elif batch_size is None and drop_last:
            raise located(ValueError("drop_last has no meaning without batches (batch_size=None)"))
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        self.worker_init_fn, self.generator = worker_init_fn, generator
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers
        self._iterated = iterated
        if sampler is None and not iterated and batch_sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None:
            # Of data that is iterated over only the size of the batches is used.
            batch_sampler = BatchSampler(sampler if sampler is not None else (), batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        batches = batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if batches else default_convert)

    def __iter__(self) -> Iterator[Any]:
        if self._iterated:
            yield from self._over(iter(self.dataset))
        elif self.batch_sampler is None:
            assert self.sampler is not None
            for index in self.sampler:
                yield self.collate_fn(self.dataset[index])
        else:
            many = getattr(self.dataset, "__getitems__", None)
            for indices in self.batch_sampler:
                yield self.collate_fn(many(indices) if many else [self.dataset[i] for i in indices])

    def _over(self, items: Iterator[Any]) -> Iterator[Any]:
        if self.batch_size is None:
            for item in items:
                yield self.collate_fn(item)
            return
        batch: list[Any] = []
        for item in items:
            batch.append(item)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def __len__(self) -> int:
        """How many batches an epoch has (items, without batches). Raises `TypeError` where the data has no length."""
        if not self._iterated:
            return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)  # type: ignore[arg-type]
        count = len(self.dataset)
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def get_worker_info() -> None:
    """None: batches are made in the program's own process."""
    return
