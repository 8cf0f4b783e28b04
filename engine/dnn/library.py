"""oneDNN's C library through ctypes: found, opened, and its objects wrapped.

Only version 3.2 is used, whose numbers for kinds, flags and arguments are below; the wheel `onednn-cpu-gomp`
2023.2 has it. `library()` is None where it is missing, another version, or not to be used.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.config import current
from engine.locks import reentrant
from engine.threads import follow, forked, resting

PACKAGE = "onednn-cpu-gomp"
VERSION = (3, 2)

FORWARD, BACKWARD, BACKWARD_DATA = 64, 128, 160
FLOAT32, CPU, IN_ORDER = 3, 1, 1
ANY = 1
CONVOLUTION = 3  # the library chooses the algorithm
SCALE, SHIFT = 2, 4
(
    SRC, DST, WEIGHTS, BIAS, MEAN, VARIANCE, SCALES, SHIFTS,
    DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_SCALES, DIFF_SHIFTS, WORKSPACE,
) = 1, 17, 33, 41, 49, 50, 51, 52, 129, 145, 161, 255, 256, 64  # fmt: skip
_NAME = 8
QUERY_WEIGHTS, QUERY_DIFF_WEIGHTS, QUERY_WORKSPACE = 131, 132, 135

_Handle = ctypes.c_void_p
_Dims = ctypes.c_int64 * 12


class _Argument(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("memory", _Handle)]


class _Version(ctypes.Structure):
    _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int)]


class Refused(Exception):  # noqa: N818 - it never reaches the person
    """oneDNN does not do this; NumPy does."""


class Library:
    """The opened library with an engine and a stream of its own; one thread at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        with resting():
            self.lib = lib = ctypes.CDLL(path)
        lib.dnnl_version.restype = ctypes.POINTER(_Version)
        version = lib.dnnl_version().contents
        self.version = (version.major, version.minor)
        if self.version != VERSION:
            raise OSError(f"{path} is oneDNN {version.major}.{version.minor}, not {VERSION[0]}.{VERSION[1]}")
        lib.dnnl_primitive_desc_query_md.restype = _Handle
        lib.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        lib.dnnl_memory_set_data_handle.argtypes = [_Handle, _Handle]
        lib.dnnl_primitive_execute.argtypes = [_Handle, _Handle, ctypes.c_int, _Handle]
        char, size, real = ctypes.c_char, ctypes.c_int64, ctypes.c_float
        lib.dnnl_sgemm.argtypes = [
            char, char, size, size, size, real, _Handle, size, _Handle, size, real, _Handle, size,
        ]  # fmt: skip
        self.engine, self.stream = _Handle(), _Handle()
        self.check(lib.dnnl_engine_create(ctypes.byref(self.engine), CPU, ctypes.c_size_t(0)))
        self.check(lib.dnnl_stream_create(ctypes.byref(self.stream), self.engine, IN_ORDER))
        self.lock = reentrant()
        threads = getattr(lib, "omp_set_num_threads", None)  # of the library of OpenMP it is linked with
        if threads is not None:
            follow(threads)

    @staticmethod
    def check(status: int) -> None:
        """Raise `Refused` unless a call went well."""
        if status:
            raise Refused(status)

    def layout(self, shape: Sequence[int], strides: Sequence[int] | None) -> Any:
        """How an array of float32 lies in memory (strides in elements); None: as the library likes it."""
        made = _Handle()
        dims = _Dims(*shape)
        if strides is None:
            status = self.lib.dnnl_memory_desc_create_with_tag(
                ctypes.byref(made), len(shape), dims, FLOAT32, ANY
            )
        else:
            status = self.lib.dnnl_memory_desc_create_with_strides(
                ctypes.byref(made), len(shape), dims, FLOAT32, _Dims(*strides)
            )
        self.check(status)
        return made

    def describe(self, kind: str, *arguments: Any) -> Any:
        """A primitive's description: `dnnl_<kind>_primitive_desc_create` of these arguments."""
        made = _Handle()
        self.check(
            getattr(self.lib, f"dnnl_{kind}_primitive_desc_create")(
                ctypes.byref(made), self.engine, *arguments
            )
        )
        return made

    def asked(self, description: Any, what: int) -> Any:
        """The layout a description settled on for an argument."""
        return _Handle(self.lib.dnnl_primitive_desc_query_md(description, what, 0))

    def implementation(self, description: Any) -> str:
        """What a description would be computed by."""
        name = ctypes.c_char_p()
        self.check(self.lib.dnnl_primitive_desc_query(description, _NAME, 0, ctypes.byref(name)))
        return (name.value or b"").decode()

    def reorder(self, source: Any, target: Any) -> Primitive | None:
        """From one layout to another, None where they are the same."""
        if self.lib.dnnl_memory_desc_equal(source, target):
            return None
        made = _Handle()
        self.check(
            self.lib.dnnl_reorder_primitive_desc_create(
                ctypes.byref(made), source, self.engine, target, self.engine, None
            )
        )
        return Primitive(self, made, (SRC, DST), (source, target))

    def size(self, layout: Any) -> int:
        """Bytes an array takes in a layout."""
        return int(self.lib.dnnl_memory_desc_get_size(layout))


class Primitive:
    """One prepared computation: called with arrays (or addresses) in the order of its argument kinds."""

    __slots__ = ("_arguments", "_count", "_execute", "_handle", "_lib", "_memories", "_set")

    def __init__(
        self, owner: Library, description: Any, kinds: Sequence[int], layouts: Sequence[Any]
    ) -> None:
        self._lib = owner
        self._handle = _Handle()
        owner.check(owner.lib.dnnl_primitive_create(ctypes.byref(self._handle), description))
        self._memories = []
        for layout in layouts:
            memory = _Handle()
            owner.check(owner.lib.dnnl_memory_create(ctypes.byref(memory), layout, owner.engine, None))
            self._memories.append(memory)
        pairs = [_Argument(kind, memory) for kind, memory in zip(kinds, self._memories, strict=True)]
        self._count = len(pairs)
        self._arguments = (_Argument * self._count)(*pairs)
        self._set = owner.lib.dnnl_memory_set_data_handle
        self._execute = owner.lib.dnnl_primitive_execute

    def __call__(self, *arrays: Any) -> None:
        """Run. The arrays have to lie as the layouts say; the caller holds the library's lock."""
        for memory, array in zip(self._memories, arrays, strict=True):
            self._set(memory, address(array))
        status = self._execute(self._handle, self._lib.stream, self._count, self._arguments)
        if status:
            raise RuntimeError(f"oneDNN could not run a kernel (status {status})")


def dims(sizes: Sequence[int]) -> Any:
    """Sizes as the library takes them."""
    return _Dims(*sizes)


_HEAD = object.__basicsize__
_read = ctypes.c_size_t.from_address


@functools.cache
def _laid_open() -> bool:
    """Whether the address is found where NumPy's public array object has it, right behind the head of all objects."""
    if sys.implementation.name != "cpython":
        return False
    whole = np.arange(3, dtype=np.float32)
    return all(_read(id(a) + _HEAD).value == a.__array_interface__["data"][0] for a in (whole, whole[1:]))


def address(array: Any) -> int:
    """Where an array begins; the caller holds on to it. Read off the object it takes a tenth of the time."""
    if type(array) is np.ndarray and _laid_open():
        return _read(id(array) + _HEAD).value
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


class Cache:
    """Prepared computations by what they depend on; the least recently used go first."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is kept for `key`, or None where `make` was refused; the caller holds the library's lock."""
        try:
            found = self._kept[key]
            self._kept.move_to_end(key)
        except KeyError:
            try:
                found = make()
            except Refused:
                found = None
            self._kept[key] = found
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found

    def __len__(self) -> int:
        return len(self._kept)


def _places() -> list[str]:
    """Where the package may have put its library."""
    name = "libdnnl.so.3"
    found = [os.path.join(sys.prefix, "lib", name)]
    if not os.path.exists(found[0]):
        import importlib.metadata  # slow to load, and seldom needed

        try:
            files = importlib.metadata.files(PACKAGE) or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        found += [str(file.locate()) for file in files if file.name == name]
    return [os.path.realpath(path) for path in found if os.path.exists(path)]


@functools.cache
def _opened() -> Library | None:
    for path in _places():
        try:
            return Library(path)
        except (OSError, AttributeError, Refused):  # another version, or another machine's
            continue
    return None


def library() -> Library | None:
    """The library where it is installed and `ds.graph_config(cpu_fast=...)` allows it, else None.

    None as well for what a finaliser or a signal's handler computes while its thread is in the middle of a kernel.
    """
    found = None if forked() or not current().cpu_fast else _opened()
    return None if found is None or found.lock._is_owned() else found


def serves(*arrays: Any) -> bool:
    """Whether these are what the kernels take: float32 in main memory, with something in them."""
    return all(type(a) is np.ndarray and a.dtype == np.float32 and a.size for a in arrays)
