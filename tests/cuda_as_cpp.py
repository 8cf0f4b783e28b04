"""CUDA on a machine without a GPU: kernels compiled as C++, their threads run one after another up to where they meet.

Each thread of a block is a coroutine. At `__syncthreads` it waits for the block, at a shuffle for its warp, as on a GPU;
what would wait for ever is an error. So a kernel is run as it is written, launched as it is launched, only slowly.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import fake_cublas
import numpy as np
import pytest
import strict_cupy

from engine import backend

COMPILER = shutil.which("c++") or shutil.which("g++")

SHIM = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __shared__ static
#define __launch_bounds__(threads)
static inline float __int_as_float(unsigned i) { float f; memcpy(&f, &i, 4); return f; }
static inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
static inline float rsqrt(float x) { return 1 / __builtin_sqrtf(x); }
#define ONE(name) static inline float name(float x) { return __builtin_##name##f(x); } static inline double name(double x) { return __builtin_##name(x); }
ONE(exp) ONE(expm1) ONE(log) ONE(log1p) ONE(tanh) ONE(erf) ONE(sqrt) ONE(fabs) ONE(sin) ONE(cos)
static inline float pow(float x, float y) { return __builtin_powf(x, y); }
static inline double pow(double x, double y) { return __builtin_pow(x, y); }
template <class V> static inline V min(V a, V b) { return b < a ? b : a; }
template <class V> static inline V max(V a, V b) { return a < b ? b : a; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned __int128)a * b >> 64; }
struct Place { int x, y, z; };
static Place threadIdx, blockIdx, blockDim, gridDim;

struct __half {
  uint16_t bits;
  __half() {}
  __half(float f) {
    uint32_t u; memcpy(&u, &f, 4);
    uint32_t sign = u >> 16 & 0x8000, mantissa = u & 0x7fffff; int e = (int)(u >> 23 & 255) - 112;
    if ((u & 0x7fffffff) > 0x7f800000) { bits = sign | 0x7e00; return; }
    if (e >= 31) { bits = sign | 0x7c00; return; }
    uint32_t whole, rest, halfway;
    if (e <= 0) {
      if (e < -10) { bits = sign; return; }
      mantissa |= 0x800000;
      whole = mantissa >> (14 - e); rest = mantissa & ((1u << (14 - e)) - 1); halfway = 1u << (13 - e);
    } else { whole = e << 10 | mantissa >> 13; rest = mantissa & 0x1fff; halfway = 0x1000; }
    if (rest > halfway || (rest == halfway && whole & 1)) whole++;
    bits = sign | whole;
  }
  __half(double d) : __half((float)d) {}
  operator float() const {
    uint32_t sign = (bits & 0x8000u) << 16, e = bits >> 10 & 31, m = bits & 1023, u; float f;
    if (e == 31) u = sign | 0x7f800000 | m << 13;
    else if (e) u = sign | (e + 112) << 23 | m << 13;
    else { f = m * 5.9604644775390625e-8f; memcpy(&u, &f, 4); u |= sign; }
    memcpy(&f, &u, 4); return f;
  }
};

enum State { RUNS, IN_WARP, IN_BLOCK, DONE };
static ucontext_t scheduler, contexts[1024];
static State states[1024];
static char *stacks;
static int now;
static void (*running)(void **);
static void **given;
static int number() { return threadIdx.y * blockDim.x + threadIdx.x; }
static void meet(State where) { Place own = threadIdx; int t = number(); states[t] = where; swapcontext(&contexts[t], &scheduler); threadIdx = own; }
#define __syncthreads() meet(IN_BLOCK)
static char slots[1024 * 8];
template <class V> static V __shfl(V v, int from) {
  memcpy(slots + 8 * number(), &v, sizeof v);
  meet(IN_WARP);
  V w; memcpy(&w, slots + 8 * from, sizeof w);
  meet(IN_WARP);
  return w;
}
template <class V> static V __shfl_xor_sync(unsigned, V v, int o) { return __shfl(v, number() ^ o); }
template <class V> static V __shfl_down_sync(unsigned, V v, int o) { int t = number(); return __shfl(v, t % 32 + o < 32 ? t + o : t); }
static void body() { running(given); states[now] = DONE; }

static int block(int threads) {
  for (int t = 0; t < threads; t++) {
    states[t] = RUNS;
    getcontext(&contexts[t]);
    contexts[t].uc_stack.ss_sp = stacks + (size_t)t * 32768;
    contexts[t].uc_stack.ss_size = 32768;
    contexts[t].uc_link = &scheduler;
    makecontext(&contexts[t], body, 0);
  }
  for (;;) {
    int left = 0, moved = 0;
    for (now = 0; now < threads; now++) {
      if (states[now] == RUNS) {
        threadIdx = {now % blockDim.x, now / blockDim.x, 0};
        moved = 1;
        swapcontext(&scheduler, &contexts[now]);
      }
      left += states[now] != DONE;
    }
    if (!left) return 0;
    int all = 1;
    for (int t = 0; t < threads; t++) all &= states[t] == IN_BLOCK || states[t] == DONE;
    for (int w = 0; w < threads; w += 32) {
      int whole = 1;
      for (int t = w; t < w + 32 && t < threads; t++) whole &= states[t] == IN_WARP || states[t] == DONE;
      for (int t = w; t < w + 32 && t < threads; t++)
        if (states[t] != DONE && ((states[t] == IN_WARP && whole) || all)) { states[t] = RUNS; moved = 1; }
    }
    if (!moved) return 1;
  }
}

extern "C" int launch(void (*kernel)(void **), void **args, const int *grid, const int *threads, int meets) {
  running = kernel; given = args;
  gridDim = {grid[0], grid[1], grid[2]}; blockDim = {threads[0], threads[1], threads[2]};
  if (meets && !stacks) stacks = (char *)malloc(1024 * 32768);
  if (threads[2] != 1) return 2;
  for (int z = 0; z < grid[2]; z++) for (int y = 0; y < grid[1]; y++) for (int x = 0; x < grid[0]; x++) {
    blockIdx = {x, y, z};
    if (meets) { if (block(threads[0] * threads[1])) return 1; continue; }
    for (int v = 0; v < threads[1]; v++) for (int u = 0; u < threads[0]; u++) { threadIdx = {u, v, 0}; kernel(args); }
  }
  return 0;
}
"""
KERNEL = re.compile(r"__global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\)")
FUNCTION = re.compile(r"\b(\w+)\([^;{}()]*\)\s*{")
MEETS = ["__syncthreads", "__shfl_xor_sync", "__shfl_down_sync"]


class Compiled:
    """The kernels of a file: each with a function beside it that takes its arguments as CUDA does, an address for each.

    `meeting` are those whose threads wait for each other.
    """

    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            plain = re.sub(r"#include <cuda_\w+\.h>", "", code)
            expanded = self._run(folder, plain, "-E", "-P", *options)
            beside = ""
            for name, given in KERNEL.findall(expanded):
                kinds = [
                    re.sub(r"\s*\w+$", "", one.strip()).replace("__restrict__", "")
                    for one in given.split(",")
                ]
                values = ", ".join(f"*({kind} *)a[{n}]" for n, kind in enumerate(kinds))
                beside += f'extern "C" void run_{name}(void **a) {{ {name}({values}); }}\n'
            self._run(
                folder, SHIM + expanded + beside, "-std=c++17", "-O0", "-ffp-contract=off", "-fPIC", "-shared", "-o", "kernel.so"
            )  # fmt: skip
            self.library = ctypes.CDLL(str(folder / "kernel.so"))
        finally:
            shutil.rmtree(folder)
        starts = [(found.start(), found[1]) for found in FUNCTION.finditer(expanded)]
        ends = [start for start, _ in starts[1:]] + [len(expanded)]
        self.meeting, known = set(MEETS), 0
        while known < len(self.meeting):
            known = len(self.meeting)
            words = re.compile(rf"\b({'|'.join(self.meeting)})\b")
            self.meeting |= {
                name for (start, name), end in zip(starts, ends, strict=True) if words.search(expanded, start + 1 + len(name), end)
            }  # fmt: skip

    @staticmethod
    def _run(folder: Path, text: str, *words: str) -> str:
        (folder / "kernel.cpp").write_text(text, encoding="utf-8")
        made = subprocess.run(
            [str(COMPILER), "-w", *words, "kernel.cpp"], cwd=folder, capture_output=True, text=True
        )
        if made.returncode:
            raise RuntimeError(made.stderr)
        return made.stdout


compiled = functools.cache(Compiled)


def value_of(given: Any) -> Any:
    """An argument as CuPy passes it on."""
    if isinstance(given, strict_cupy.ndarray):
        return ctypes.c_void_p(given.host.ctypes.data)
    if isinstance(given, float):
        return ctypes.c_double(given)
    if isinstance(given, int):
        return ctypes.c_longlong(given)
    if isinstance(given, np.generic):
        return np.ctypeslib.as_ctypes_type(given.dtype)(given)
    raise TypeError(f"Unsupported type {type(given)}")


class RawModule:
    """CuPy's class of that name."""

    def __init__(self, code: str, options: tuple[str, ...] = ()) -> None:
        self.code = code
        self.options = tuple(option for option in options if option.startswith("-D"))

    def get_function(self, name: str) -> Any:
        """The kernel `name`."""
        made = compiled(self.code, self.options)
        run = getattr(made.library, f"run_{name}")

        def kernel(grid: Any, block: Any, args: tuple[Any, ...]) -> None:
            if (tape := strict_cupy.Tape.now) is not None:
                tape.add(lambda: kernel(grid, block, args))
                return
            values = [value_of(a) for a in args]
            places = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
            sizes = [(ctypes.c_int * 3)(*(*each, 1, 1)[:3]) for each in (grid, block)]
            if wrong := made.library.launch(run, places, *sizes, int(name in made.meeting)):
                raise RuntimeError(
                    f"the threads of {name} "
                    + (
                        "wait for each other for ever"
                        if wrong == 1
                        else "lie in three dimensions, which is not written here"
                    )
                )

        return kernel


class Stream:
    """A stream that can record."""

    ptr = 0
    used: ClassVar[list[Stream]] = []

    def __init__(self, non_blocking: bool = False) -> None:
        self.tape: strict_cupy.Tape | None = None

    def __enter__(self) -> Stream:
        self.used.append(self)
        strict_cupy.Tape.now = self.tape
        return self

    def __exit__(self, *_: object) -> None:
        self.used.pop()
        strict_cupy.Tape.now = self.used[-1].tape if self.used else None

    def synchronize(self) -> None:
        """Nothing: all is done."""

    def begin_capture(self) -> None:
        """What follows is recorded."""
        self.tape = strict_cupy.Tape.now = strict_cupy.Tape()

    def end_capture(self) -> strict_cupy.Tape:
        """What was recorded."""
        made, self.tape, strict_cupy.Tape.now = self.tape, None, None
        if made is None:
            raise RuntimeError("nothing is recorded")
        made.end()
        return made


class Blas(fake_cublas.Blas):
    """A stand-in for cuBLAS that can be recorded."""

    def product(self, *given: Any) -> int:
        """By NumPy, now or at each launch."""
        if strict_cupy.Tape.now is None:
            return super().product(*given)
        strict_cupy.Tape.now.add(lambda: super(Blas, self).product(*given))
        return 0

    def products(self, *given: Any) -> int:
        """The same of stacks."""
        if strict_cupy.Tape.now is None:
            return super().products(*given)
        strict_cupy.Tape.now.add(lambda: super(Blas, self).products(*given))
        return 0


REAL = backend.cupy() is not None
needed = pytest.mark.skipif(not (REAL or COMPILER), reason="no GPU and no C++ compiler")


@contextlib.contextmanager
def available() -> Iterator[None]:
    """CuPy where there is a GPU, else `installed`, for a block."""
    with contextlib.nullcontext() if REAL else installed():
        yield


@contextlib.contextmanager
def installed() -> Iterator[types.ModuleType]:
    """The stand-in for CuPy with a compiler, for a block."""
    from engine.gpu import blas, launch, pointwise, product

    multiply = Blas()
    caches = (launch.compiled, launch.kernel, launch._module)
    with strict_cupy.installed() as cupy, contextlib.ExitStack() as patched:
        for module in (blas, product, pointwise):
            patched.enter_context(mock.patch.object(module, "blas", return_value=multiply))
        cupy.RawModule = RawModule  # type: ignore[attr-defined]
        cupy.cuda.Stream, cupy.cuda.get_current_stream = Stream, Stream
        cupy.cuda.MemoryPool = lambda: types.SimpleNamespace(malloc=None)
        cupy.cuda.using_allocator = lambda _: contextlib.nullcontext()
        for cache in caches:
            cache.cache_clear()
        try:
            yield cupy
        finally:
            del cupy.RawModule  # type: ignore[attr-defined]
            for cache in caches:
                cache.cache_clear()
