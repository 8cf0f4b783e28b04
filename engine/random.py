"""Random numbers that can be drawn again: a generator is a seed and a counter, and each draw notes both.

Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") gives any part of its stream at once,
so a node that keeps seed and counter can be recomputed and replayed to the same bits.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine.locks import reentrant


def _drawn() -> int:
    """A seed nobody chose, 63 bits from the system."""
    return int.from_bytes(os.urandom(8), "little") >> 1


class Generator:
    """A stream of random numbers: `seed`, and how far it has been used."""

    __slots__ = ("_lock", "counter", "seed")

    def __init__(self, seed: int | None = None) -> None:
        self._lock = reentrant()
        self.seed = _drawn() if seed is None else int(seed) & ((1 << 64) - 1)
        self.counter = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""
        with self._lock:
            self.seed = int(seed) & ((1 << 64) - 1)
            self.counter = 0
        return self

    def initial_seed(self) -> int:
        """The seed."""
        return self.seed

    def get_state(self) -> tuple[int, int]:
        """Seed and counter, for `set_state`."""
        return self.seed, self.counter

    def set_state(self, state: tuple[int, int]) -> None:
        """Continue where `get_state` was taken."""
        with self._lock:
            self.seed, self.counter = state

    def __getstate__(self) -> tuple[int, int]:
        return self.get_state()

    def __setstate__(self, state: tuple[int, int]) -> None:
        self._lock = reentrant()
        self.set_state(state)

    def draw(self, count: int) -> tuple[int, int]:
        """Reserve `count` numbers; returns the seed and the counter they start at."""
        # One block of four words for each number: more than any distribution takes of the stream.
        count = max(1, count)
        with self._lock:
            start = self.counter
            self.counter = start + count
            return self.seed, start


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that the engine draws from by default."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.seed


def seed() -> int:
    """Seed the default generator with a random number, and return it."""
    return default_generator.manual_seed(_drawn()).seed


def get_rng_state() -> tuple[int, int]:
    """Seed and counter of the default generator, for `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(state: tuple[int, int]) -> None:
    """Continue the default generator where `get_rng_state` was taken."""
    default_generator.set_state(state)


# Told of each draw, and of its generator and count, while a step is recorded on a GPU.
watching: Callable[[tuple[int, int], Generator, int], None] | None = None


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cuda") -> Iterator[None]:
    """Inside the `with` statement the default generator is used as usual; afterwards it is where it was before.

    There is one generator for all devices, so `devices` and `device_type`, which are PyTorch's, change nothing.

    >>> import engine as ds
    >>> with fork_rng():
    ...     first = ds.rand(1).item()
    >>> first == ds.rand(1).item()
    True
    """
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)


def draw(count: int, generator: Generator | None = None) -> tuple[int, int]:
    """Reserve `count` numbers of a generator: (seed, counter)."""
    source = generator or default_generator
    found = source.draw(count)
    if watching is not None:
        watching(found, source, count)
    return found


def generator(seed: int, counter: int) -> np.random.Generator:
    """NumPy's generator at `counter` of the stream of `seed`."""
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


def uniform(seed: int, counter: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniform numbers in [0, 1)."""
    kind = np.dtype(dtype)
    drawn = generator(seed, counter).random(shape, np.float64 if kind == np.float64 else np.float32)
    return (
        drawn if kind.itemsize >= 4 else np.minimum(drawn.astype(kind), kind.type(1) - np.finfo(kind).epsneg)
    )


def normal(seed: int, counter: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Normal numbers, mean 0 and variance 1."""
    kind = np.dtype(dtype)
    drawn = generator(seed, counter).standard_normal(shape, np.float64 if kind == np.float64 else np.float32)
    return drawn.astype(kind, copy=False)
