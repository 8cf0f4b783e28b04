"""Large buffers parked when nothing can see them any more, and handed out again instead of asking the allocator.

A large buffer given back to the system costs a page fault for every 4 KiB when the next one is asked for, and a
training loop asks for the same sizes in every turn.

Who owns what is never guessed. An array from here has a `Lease` as its base, and every view of it, the person's own
included, keeps that array and with it the lease alive. When the last of them is gone the lease is finalised, and only
then is its block parked. Whatever anybody can still read is never handed out.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
import os
import tracemalloc
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from engine.config import current
from engine.dnn import loop, product
from engine.locks import reentrant

# The size from which the C library asks the system for each one; smaller ones are cheaper to ask for than to look up.
LARGE = 1 << 17
ALIGNMENT, PAGE = 64, 4096
# What may be parked beyond the peak, so that every size of a loop is there in its next turn: a quarter of it as long
# as that is little, a sixteenth of a large one.
SHARE, LITTLE, LEAST_SHARE = 2, 8 << 20, 4
# What the C library takes of its own heap, and what it keeps when that is given back: NumPy's results of intermediate
# size, which would be given back to the system and asked for again in every turn.
HEAP, KEPT = 32 << 20, 64 << 20
SWEEP, STALE = 256, 4096  # requests between looks for stale blocks, and after which a block is stale


class Block:
    """Memory that was asked of the system once: `size` bytes from `address`, in pages of their own.

    The C library would keep what is given back for others to use, in pieces that fit nobody: a training loop was
    found to hold a tenth more than it used. It also asks for huge pages, by NumPy, which cost more to get than they
    save: a gigabyte of them took 1.8 s where the usual ones take 0.4 s, all of it in a program's first step.
    """

    __slots__ = ("_told", "address", "memory", "parked_at", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.parked_at = 0
        self._told = False
        if _PRIVATE:
            pages = mmap.mmap(-1, size, flags=_PRIVATE)
            if hasattr(mmap, "MADV_NOHUGEPAGE"):
                with contextlib.suppress(OSError):  # a system without huge pages
                    pages.madvise(mmap.MADV_NOHUGEPAGE)
            self.memory: Any = np.frombuffer(pages, np.uint8)
        else:
            self.memory = np.empty(size + ALIGNMENT, np.uint8)
        start = self.memory.__array_interface__["data"][0]
        self.address = start + -start % ALIGNMENT
        if _PRIVATE and tracemalloc.is_tracing():
            # Python sees what it asks the C library for; of this it has to be told.
            self._told = ctypes.pythonapi.PyTraceMalloc_Track(_DOMAIN, _Size(start), _Size(size)) == 0

    def __del__(self) -> None:
        if self._told:
            ctypes.pythonapi.PyTraceMalloc_Untrack(_DOMAIN, _Size(self.address))


_Size = ctypes.c_size_t
_DOMAIN = ctypes.c_uint(0x6473)  # whose memory it is, among the counts of tracemalloc
_PRIVATE = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)


@functools.cache
def settle_heap() -> bool:
    """Have the C library keep large pieces that were given back; False where it cannot, or somebody has told it how.

    Most results of NumPy are not asked of the pool. A self-attention block was found to fault 3,500 pages a step for
    them, a tenth of its time.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        put = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library
        return False
    return bool(put(_MMAP_THRESHOLD, HEAP) == put(_TRIM_THRESHOLD, KEPT) == 1)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers for them


class Lease:
    """The base of an array on a block. When it dies, no array on the block is left."""

    __slots__ = ("__array_interface__", "_back", "block", "reused")

    def __init__(self, block: Block, interface: dict[str, Any], reused: bool, back: Any) -> None:
        self.__array_interface__ = interface
        self.block = block
        self.reused = reused
        self._back = back

    def __del__(self) -> None:
        # Possibly in the middle of anything, in any thread: a deque's append needs no lock.
        self._back(self.block)


class Counts(NamedTuple):
    """What the pool has done: requests served by the allocator and from parked blocks, and bytes now and at most."""

    allocated: int
    reused: int
    dropped: int
    live: int
    parked: int
    peak: int


class Pool:
    """Parked blocks by size. In use and parked together take no more than what was in use at most, and a little."""

    def __init__(self) -> None:
        self._lock = reentrant()
        self._inside = False  # whether a thread is in the middle of what follows
        self._returned: deque[Block] = deque()
        self._parked: dict[int, list[Block]] = {}
        self._requests = 0
        self._reset()

    def _reset(self) -> None:
        self.allocated = self.reused = self.dropped = 0
        self.live = self.parked = self.peak = 0

    def empty(self, shape: tuple[int, ...], dtype: Any, brief: bool = False) -> Any:
        """An array of undefined content: from a parked block where it is large and one fits.

        What is wanted for a `brief` while only takes any block that is large enough.
        """
        kind = np.dtype(dtype)
        nbytes = math.prod(shape) * kind.itemsize
        if nbytes < LARGE or kind.kind not in "fiub" or not current().memory_optimization:
            return np.empty(shape, kind)
        size = rounded(nbytes)
        with self._lock:
            if self._inside:  # a finaliser or a signal's handler, in the middle of this
                return np.empty(shape, kind)
            self._inside = True
            try:
                block, size = self._parked_block(size, brief)
            finally:
                self._inside = False
        reused = block is not None
        if block is None:
            settle_heap()
            block = Block(size)
        interface = {
            "shape": tuple(shape),
            "typestr": kind.str,
            "data": (block.address, False),
            "version": 3,
        }
        return np.asarray(Lease(block, interface, reused, self._returned.append))

    def _parked_block(self, size: int, brief: bool) -> tuple[Block | None, int]:
        """A parked block of `size`, or of the size given beside it; None: one has to be made."""
        self._collect()
        stack = self._parked.get(size)
        if not stack and brief:
            size = min((s for s, blocks in self._parked.items() if s > size and blocks), default=size)
            stack = self._parked.get(size)
        block = stack.pop() if stack else None
        if block is not None:
            self.parked -= size
            self.reused += 1
        else:
            self._make_room(size)
            self.allocated += 1
        self.live += size
        self.peak = max(self.peak, self.live)
        return block, size

    def like(self, array: Any, dtype: Any = None) -> Any:
        """`empty` of the shape and type of `array`, and with its channels last in memory where it has them there."""
        kind = array.dtype if dtype is None else dtype
        return self.last(array.shape, kind) if is_last(array) else self.empty(array.shape, kind)

    def last(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """`empty` of [samples, channels, spatial...] with the channels last in memory."""
        plain = self.empty((shape[0], *shape[2:], shape[1]), dtype)
        turned = plain.transpose(0, plain.ndim - 1, *range(1, plain.ndim - 1))
        if type(plain.base) is not Lease:
            # As an array of its own and not a view, so that it can be taken over.
            return np.empty_like(turned)
        lease = plain.base
        lease.__array_interface__ = {
            **lease.__array_interface__,
            "shape": shape,
            "strides": turned.strides,
        }
        return np.asarray(lease)

    def counts(self) -> Counts:
        """What the pool has done so far."""
        with self._lock:
            if not self._inside:
                self._collect()
            return Counts(self.allocated, self.reused, self.dropped, self.live, self.parked, self.peak)

    def clear(self) -> None:
        """Give every parked block back to the system, and forget the peak."""
        with self._lock:
            if self._inside:
                return
            self._collect()
            self._parked.clear()
            self.parked = 0
            self.peak = self.live

    def _collect(self) -> None:
        """Park what has come back."""
        returned = self._returned
        while returned:
            block = returned.popleft()
            self.live -= block.size
            if self.live + self.parked + block.size > limit(self.peak):
                self.dropped += 1
                continue
            block.parked_at = self._requests
            self._parked.setdefault(block.size, []).append(block)
            self.parked += block.size
        self._requests += 1
        if self._requests % SWEEP == 0:
            self._drop_stale()

    def _make_room(self, size: int) -> None:
        """Give parked blocks back so that a new one of `size` does not raise what is held above the peak and a little."""
        while self.parked and self.live + self.parked + size > limit(self.peak):
            oldest = min((s for s in self._parked.values() if s), key=lambda s: s[0].parked_at)
            self.parked -= oldest.pop(0).size
            self.dropped += 1

    def _drop_stale(self) -> None:
        limit = self._requests - STALE
        for size, stack in list(self._parked.items()):
            fresh = [block for block in stack if block.parked_at > limit]
            self.parked -= size * (len(stack) - len(fresh))
            self.dropped += len(stack) - len(fresh)
            if fresh:
                self._parked[size] = fresh
            else:
                del self._parked[size]


def rounded(nbytes: int) -> int:
    """The size of the block for `nbytes`: whole pages.

    >>> rounded(100_000), rounded(65_536)
    (102400, 65536)
    """
    return -(-nbytes // PAGE) * PAGE


def limit(peak: int) -> int:
    """What may be in use and parked together, for a `peak` of what was in use.

    >>> limit(32 << 20) >> 20, limit(1 << 30) >> 20
    (40, 1088)
    """
    return peak + max(peak >> LEAST_SHARE, min(peak >> SHARE, LITTLE))


pool = Pool()


def is_last(array: Any) -> bool:
    """Whether an array of images has its channels last in memory, and is not in order as well."""
    if array.ndim != 4 or array.flags.c_contiguous:
        return False
    _, channels, height, width = array.shape
    size = array.itemsize
    return bool(
        array.strides == (height * width * channels * size, size, width * channels * size, channels * size)
    )


def channels_last(array: Any) -> Any:
    """An array [samples, channels, spatial...] with its channels last in memory."""
    rank = array.ndim
    made = array.transpose(0, *range(2, rank), 1)
    if made.flags.c_contiguous:
        return array
    return np.ascontiguousarray(made).transpose(0, rank - 1, *range(1, rank - 1))


def owns(array: Any) -> bool:
    """Whether `array` is the one its memory belongs to, and not a view: its own, or from the pool."""
    base = array.base
    return base is None or type(base) is Lease


def compute(ufunc: Any, first: Any, *others: Any) -> Any:
    """`ufunc(first, *others)` into a pooled buffer, where the result is large and surely like `first`.

    For ufuncs that give floats for floats. Results and their layout are the same either way.
    """
    if first.nbytes < LARGE or first.dtype.kind != "f":
        return ufunc(first, *others)
    if ufunc is product.plain:
        return stacked(first, others[0])
    plain = first.flags.c_contiguous
    if not plain and not is_last(first):
        return ufunc(first, *others)
    for other in others:
        kind = type(other)
        if kind is float or kind is int:
            continue
        if kind is not np.ndarray or (other.dtype != first.dtype and other.dtype.kind != "b"):
            return ufunc(first, *others)
        if plain:
            if (
                other.shape != first.shape and other.shape != first.shape[len(first.shape) - other.ndim :]
            ) or not other.flags.c_contiguous:
                return ufunc(first, *others)
        elif other.shape != first.shape or not is_last(other):
            return ufunc(first, *others)
    made = pool.like(first)
    if ufunc is np.add and type(others[0]) is np.ndarray and loop.add(first, others[0], made):
        return made
    return ufunc(first, *others, out=made)


def matmul(a: Any, b: Any, out: Any = None) -> Any:
    """`a @ b` of a [..., n, k] and b [k, m] in floats, into `out` or a pooled buffer where the result is large."""
    if out is not None:
        times(a, b)(a, b, out)
        return out
    if b.ndim != 2 or a.ndim < 2 or a.dtype != b.dtype or a.shape[-1] != b.shape[0]:
        return product.plain(a, b)
    if a.ndim == 2 and a.shape[0] * b.size < product.ENOUGH and a.shape[0] * b.shape[1] * a.itemsize < LARGE:
        return product.plain(a, b)  # the usual case, of little
    shape = (*a.shape[:-1], b.shape[1])
    if a.ndim > 2 and a.size * b.shape[1] >= product.ENOUGH:
        a = np.ascontiguousarray(a)
    if a.ndim > 2 and a.flags.c_contiguous:  # one product of many rows is faster than many of few
        made = pool.empty(shape, a.dtype)
        matmul(a.reshape(-1, a.shape[-1]), b, made.reshape(-1, shape[-1]))
        return made
    large = math.prod(shape) * a.itemsize >= LARGE and a.dtype.kind == "f"
    if product.worth(a, b):
        made = pool.empty(shape, a.dtype)
        if product.multiply(a, b, made):
            return made
        return np.matmul(a, b, out=made)
    return product.plain(a, b, pool.empty(shape, a.dtype) if large else None)


def stacked(a: Any, b: Any) -> Any:
    """`a @ b` of any arrays, those of many matrices by oneDNN."""
    if type(b) is not np.ndarray or not product.stackable(a, b):
        return product.plain(a, b)
    made = np.empty((*a.shape[:-1], b.shape[-1]), np.float32)
    return made if product.multiply_all(a, b, made) else product.plain(a, b, made)


def times(a: Any, b: Any) -> Any:
    """The function that puts the product of matrices like these into a third: `times(a, b)(a, b, out)`.

    A loop over many alike asks once.
    """
    return product.multiplied if product.worth(a, b) else product.plain
