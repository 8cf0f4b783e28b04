"""cuBLAS by its C interface: CuPy's own calls of it take four times as long, and refuse to be recorded as a CUDA graph.

https://docs.nvidia.com/cuda/cublas/ describes the functions; the library is the one that CuPy loads.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from engine.backend import require_cupy
from engine.gpu.library import Handles

ROOM = 1 << 25  # bytes cuBLAS works in, what NVIDIA advises for a Hopper

_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
MATRIX = (_P, _I, _I)  # address, type, length of a line
STACK = (*MATRIX, _L)  # and how far apart they lie


class Blas:
    """The loaded library; each thread has a handle of its own for each GPU, with room of its own."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib = lib
        self._handles = Handles(self._create, self._put)
        self.product = lib.cublasGemmEx
        self.product.argtypes = (_P, _I, _I, _I, _I, _I, _P, *MATRIX, *MATRIX, _P, *MATRIX, _I, _I)
        self.products = lib.cublasGemmStridedBatchedEx
        self.products.argtypes = (_P, _I, _I, _I, _I, _I, _P, *STACK, *STACK, _P, *STACK, _I, _I, _I)

    def handle(self) -> Any:
        """This thread's handle for the GPU in use, on the stream that CuPy uses."""
        return self._handles.now()[0]

    def _create(self) -> tuple[Any, Any]:
        made = _P()
        check(self.lib.cublasCreate_v2(ctypes.byref(made)))
        return made, require_cupy().cuda.alloc(ROOM)

    def _put(self, held: tuple[Any, Any], stream: int) -> None:
        handle, room = held
        check(self.lib.cublasSetStream_v2(handle, _P(stream)))
        # Another stream makes it forget its room; without one it takes some while it works.
        check(self.lib.cublasSetWorkspace_v2(handle, _P(room.ptr), ctypes.c_size_t(ROOM)))


def check(status: int) -> None:
    """Raise `RuntimeError` unless `status` says success."""
    if status:
        raise RuntimeError(f"cuBLAS could not multiply: its status is {status}")


@functools.cache
def blas() -> Blas | None:
    """cuBLAS, None where it is not found."""
    runtime = require_cupy().cuda.runtime
    if not hasattr(runtime, "runtimeGetVersion"):  # the stand-in of the tests
        return None
    major = runtime.runtimeGetVersion() // 1000
    one = require_cupy().ones((1, 1), "float32")
    one @ one  # CuPy finds and loads it wherever it is; under its name it is there from then on
    for name in (f"libcublas.so.{major}", f"cublas64_{major}.dll"):
        try:
            return Blas(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    return None
