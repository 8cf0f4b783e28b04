"""cuDNN by its C interface, where a library for the CUDA that CuPy uses is found; nothing is needed from Python.

The interface is that of version 8 and 9: https://docs.nvidia.com/deeplearning/cudnn/latest/api/overview.html
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.backend import cupy, require_cupy
from engine.backends import cudnn
from engine.shapes import steps

FLOAT, DOUBLE, HALF, BRAIN = 0, 1, 2, 9  # cudnnDataType_t
TYPES = {"f": FLOAT, "d": DOUBLE, "e": HALF, "E": BRAIN}  # E: bfloat16, as ml_dtypes has it


class Unsupported(Exception):  # noqa: N818 - not an error: the caller goes another way
    """cuDNN does not do this."""


class Handles:
    """One of a library's handles for each thread and GPU, put on the stream that CuPy uses whenever that changed."""

    def __init__(self, create: Callable[[], Any], put: Callable[[Any, int], None]) -> None:
        self._create, self._put = create, put
        self._own = threading.local()

    def now(self) -> Any:
        """This thread's for the GPU in use."""
        device, at = require_cupy().cuda.runtime.getDevice(), stream()
        held = self._own.__dict__.setdefault("handles", {})
        found = held.get(device)
        if found is None:
            found = held[device] = [self._create(), None]
        if found[1] != at:
            self._put(found[0], at)
            found[1] = at
        return found[0]


class Library:
    """The loaded library; each thread has a handle of its own for each GPU."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib = lib
        lib.cudnnGetErrorString.restype = ctypes.c_char_p
        lib.cudnnGetVersion.restype = ctypes.c_size_t
        lib.cudnnGetCudartVersion.restype = ctypes.c_size_t
        self.version = int(lib.cudnnGetVersion())
        self._handles = Handles(self._create, self._put)

    def check(self, status: int) -> None:
        """Raise `Unsupported` unless `status` says success."""
        if status:
            raise Unsupported(self.lib.cudnnGetErrorString(status).decode())

    def handle(self) -> ctypes.c_void_p:
        """This thread's handle for the GPU in use, on the stream that CuPy uses."""
        return self._handles.now()  # type: ignore[no-any-return]

    def _create(self) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self.check(self.lib.cudnnCreate(ctypes.byref(made)))
        return made

    def _put(self, handle: ctypes.c_void_p, stream: int) -> None:
        self.check(self.lib.cudnnSetStream(handle, ctypes.c_void_p(stream)))

    def tensor(self, shape: tuple[int, ...], kind: str) -> ctypes.c_void_p:
        """The descriptor of an array whose elements lie in order; fewer than four dimensions get ones at the end."""
        sizes = (*shape, *(1,) * (4 - len(shape)))
        made = ctypes.c_void_p()
        self.check(self.lib.cudnnCreateTensorDescriptor(ctypes.byref(made)))
        self.check(
            self.lib.cudnnSetTensorNdDescriptor(
                made, TYPES[kind], len(sizes), ints(sizes), ints(steps(sizes))
            )
        )
        return made


def stream() -> int:
    """The stream that CuPy launches on."""
    fast = _stream_pointer()
    return int(fast() if fast is not None else require_cupy().cuda.get_current_stream().ptr)


@functools.cache
def _stream_pointer() -> Any:
    try:
        found = importlib.import_module("cupy_backends.cuda.stream")
    except ImportError:
        return None
    return getattr(found, "get_current_stream_ptr", None)


def ints(values: Any) -> Any:
    """Whole numbers as a C array."""
    return (ctypes.c_int * len(values))(*values)


def factor(value: float, kind: str) -> Any:
    """A scale as cuDNN takes it: double for arrays of doubles, else float."""
    return ctypes.byref((ctypes.c_double if kind == "d" else ctypes.c_float)(value))


@functools.cache
def library() -> Library | None:
    """cuDNN, None where there is none for the CUDA that CuPy uses."""
    if not hasattr(require_cupy().cuda.runtime, "runtimeGetVersion"):  # the stand-in of the tests
        return None
    names = ["libcudnn.so.9", "libcudnn.so.8", "cudnn64_9.dll", "cudnn64_8.dll"]
    try:
        spec = importlib.util.find_spec("nvidia.cudnn")
    except (ImportError, ValueError):  # no package `nvidia`, or one that is broken
        spec = None
    folders = [Path(p) for p in (spec.submodule_search_locations or ())] if spec is not None else []
    tried = [str(f / part / name) for f in folders for part in ("lib", "bin") for name in names]
    for path in (*[t for t in tried if Path(t).exists()], *names):
        try:
            found = Library(ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL))
        except (OSError, AttributeError):
            continue
        runtime = require_cupy().cuda.runtime.runtimeGetVersion()
        if found.lib.cudnnGetCudartVersion() // 1000 == runtime // 1000:
            return found
    return None


def where() -> tuple[int, int]:
    """The thread and the GPU that a handle belongs to."""
    return threading.get_ident(), cupy().cuda.runtime.getDevice() if cupy() is not None else 0


def enabled() -> Library | None:
    """cuDNN unless `backends.cudnn.enabled` is off."""
    return library() if cudnn.enabled else None


def pointer(array: Any) -> ctypes.c_void_p:
    """Where an array's elements are."""
    return ctypes.c_void_p(array.data.ptr)


def whole(*arrays: Any) -> bool:
    """Whether all are of one type that cuDNN has, with their elements in order, and not empty."""
    kind = arrays[0].dtype
    for a in arrays:
        if not (a.dtype == kind and a.flags.c_contiguous and a.size):
            return False
    return kind.char in TYPES
