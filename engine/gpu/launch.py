"""Launches of the kernels in `kernels.cu` and `images.cu`, compiled when one is first wanted for an element type."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from engine.backend import cupy, require_cupy

# What arrays hold, and what sums are made in.
KINDS = {
    "f": ("float", "float"), "d": ("double", "double"), "e": ("__half", "float"), "E": ("__nv_bfloat16", "float"),
}  # fmt: skip
HEADERS = {"e": "-DHALF", "E": "-DBRAIN"}
THREADS, BLOCKS = 256, 4096
FIRST = {"kernels": "relu", "images": "turn"}  # a kernel of each file


@functools.cache
def _module(kind: str, file: str) -> Any:
    holds, sums = KINDS[kind]
    options = ["-std=c++17", f"-DELEMENT={holds}", f"-DSUM={sums}"]
    if kind in HEADERS:
        options.append(HEADERS[kind])
    code = (Path(__file__).parent / f"{file}.cu").read_text(encoding="utf-8")
    return require_cupy().RawModule(code=code, options=tuple(options))


@functools.cache
def kernel(name: str, kind: str, file: str = "kernels") -> Any:
    """The function `name` of a file for arrays of dtype character `kind`."""
    return bare(_module(kind, file).get_function(name))


def bare(function: Any) -> Any:
    """A kernel without the wrapper in which CuPy looks for the one of the GPU in use: where there is only one GPU."""
    return getattr(function, "kernel", function) if cupy().cuda.runtime.getDeviceCount() == 1 else function


@functools.cache
def compiled(kind: str, file: str = "kernels") -> bool:
    """Whether a file's kernels can be had for this type; where they cannot, a warning says why and CuPy does the work."""
    if not hasattr(cupy(), "RawModule"):  # the stand-in of the tests compiles nothing
        return False
    try:
        kernel(FIRST[file], kind, file)
    except Exception as error:  # noqa: BLE001 - a compiler or headers that are not there show up as one of many
        reason = str(error).strip().splitlines()
        warnings.warn(
            f"kernels for a GPU cannot be compiled, CuPy serves: {reason[0] if reason else error!r}",
            stacklevel=2,
        )
        return False
    return True


def in_order(array: Any) -> bool:
    """Whether an array's elements lie in order. CuPy takes half a microsecond to make what `flags` gives."""
    quick = getattr(array, "_c_contiguous", None)
    return bool(array.flags.c_contiguous if quick is None else quick)


def serves(*arrays: Any) -> bool:
    """Whether these are arrays of one type that there are kernels for, with their elements in order; None passes."""
    kind = arrays[0].dtype
    for a in arrays:  # called for every op: a loop is half the price of `all`
        if a is not None and not ((a.dtype is kind or a.dtype == kind) and in_order(a)):
            return False
    return kind.char in KINDS and compiled(kind.char)


def ordered(array: Any) -> Any:
    """The array with its elements in order: itself where they are; None stays None."""
    if array is None or in_order(array):
        return array
    from engine.gpu.layout import lie  # made of this

    return lie(array, False)


def each(name: str, kind: str, count: int, *arguments: Any, file: str = "kernels") -> None:
    """Launch a kernel whose threads stride over `count` elements; whole numbers are given in the width it takes."""
    blocks = min(BLOCKS, -(-count // THREADS))
    kernel(name, kind, file)((blocks,), (THREADS,), arguments)


def rows(name: str, kind: str, count: int, columns: int, *arguments: Any) -> None:
    """Launch a kernel that gives a block to each of `count` rows."""
    kernel(name, kind)((count,), (min(1024, max(32, -(-columns // 128) * 32)),), arguments)


int32, int64 = np.int32, np.int64
