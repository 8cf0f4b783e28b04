"""How many threads a matrix product takes, and a loop in C: those of the BLAS library that NumPy brings along, and OpenMP's."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.located import located
from engine.locks import reentrant

__all__ = ["get_num_interop_threads", "get_num_threads", "set_num_interop_threads", "set_num_threads"]

# The names OpenBLAS's functions go by in NumPy's wheels, new and old, and in a system's library.
_PREFIXES, _SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "")


@functools.cache
def openblas() -> list[Any]:
    """The libraries of that name that came with NumPy, opened."""
    from pathlib import Path  # slow to load, and not every program asks

    base = Path(np.__file__).parent
    found = [
        path
        for folder in (base.parent / "numpy.libs", base / ".dylibs", base / ".libs")
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if "openblas" in path.name.lower()
    ]
    return [ctypes.CDLL(str(path)) for path in found]


@functools.cache
def _library() -> tuple[Any, Any] | None:
    """OpenBLAS's (set, get), None for a NumPy built on something else."""
    for library in openblas():
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                if put is not None and get is not None:
                    return put, get
    return None


def get_num_threads() -> int:
    """Threads of a matrix product; 1 where NumPy's library does not tell."""
    library = _library()
    return 1 if library is None else alone.before or int(library[1]())


def set_num_threads(threads: int) -> None:
    """Set the threads of a matrix product and of other kernels. Raises `ValueError` below 1, `TypeError` for what is no whole number.

    oneDNN's kernels follow in the Python thread that calls this. Where NumPy comes with another library than OpenBLAS, its
    products do not; set OMP_NUM_THREADS there.
    """
    global _asked
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise located(TypeError(f"set_num_threads takes a whole number, got {type(threads).__name__}"))
    if threads < 1:
        raise located(ValueError(f"set_num_threads takes 1 or more, got {threads}"))
    library = _library()
    if library is not None:
        with alone.lock:
            if alone.before:
                alone.before = threads
            else:
                library[0](threads)
    _asked = threads
    for put in _followers:
        put(threads)


class Alone:
    """Within this, NumPy's library for products keeps to the thread that calls it, whichever threads come in.

    Its others are woken for 5 us of work and spin for 26 ms after it. On cores that do something else, those of OpenMP and
    of other programs included, each product waits until all of them have been on: a step of 0.6 ms was found to take 30.
    """

    def __init__(self) -> None:
        self.lock = reentrant()
        self.inside = 0
        self.before = 0  # the threads there are outside, as long as somebody is inside and there are several

    def __enter__(self) -> None:
        library = _library()
        if library is None:
            return
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                put, get = library
                found = int(get())
                if found > 1:
                    self.before = found
                    put(1)

    def __exit__(self, *_: object) -> None:
        library = _library()
        if library is None:
            return
        with self.lock:
            self.inside -= 1
            if self.inside <= 0 and self.before:
                before, self.before = self.before, 0
                library[0](before)


alone = Alone()
_asked: int | None = None  # what was set last
_followers: list[Callable[[int], object]] = []


def follow(put: Callable[[int], object]) -> None:
    """Have `put` set the threads of another library, too, whenever somebody sets them."""
    _followers.append(put)
    if _asked is not None:
        put(_asked)


@contextmanager
def resting() -> Iterator[None]:
    """Within this, a library of OpenMP that is opened lets its threads sleep between kernels instead of spinning.

    Spinning threads of this library and of NumPy's take the cores from each other, and both from other programs: a
    small network was found a hundred times as slow. Whoever set a policy of his own keeps it.
    """
    policy = "OMP_WAIT_POLICY"
    if policy in os.environ or "GOMP_SPINCOUNT" in os.environ:
        yield
        return
    os.environ[policy] = "PASSIVE"
    try:
        yield
    finally:
        del os.environ[policy]


# A child process has none of its parent's threads, and a library of OpenMP would wait for them forever.
_forked = False


def _leave() -> None:
    global _forked
    _forked = True
    alone.inside = min(alone.inside, 1)  # whoever else was inside is not in this process
    alone.__exit__()
    alone.inside = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)


def forked() -> bool:
    """Whether this process is a child made by fork, where threads of OpenMP cannot be had."""
    return _forked


def team() -> int:
    """Threads that a loop in C may take: as many as a product, but one in a child made by fork."""
    return 1 if _forked else get_num_threads()


def get_num_interop_threads() -> int:
    """1: ops run one after the other, in the order they are written."""
    return 1


def set_num_interop_threads(threads: int) -> None:
    """Taken for PyTorch's sake; ops run one after the other."""
