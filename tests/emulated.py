"""The engine's CUDA kernels on the CPU: compiled as C++, thread by thread, for the stand-in for CuPy.

It shows what they compute and that no thread waits for ever, not how fast they are. It needs a compiler of C++17.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import strict_cupy

HEADER = Path(__file__).with_name("emulated.h")
KERNEL = re.compile(r"__global__ void (\w+)\(")
COMPILER = shutil.which("g++") if sys.platform == "linux" else None


@functools.cache
def has_half() -> bool:
    """Whether the compiler knows float16."""
    if COMPILER is None:
        return False
    words = [COMPILER, "-std=c++17", "-x", "c++", "-fsyntax-only", "-"]
    return not subprocess.run(words, input=b"_Float16 half;", capture_output=True, check=False).returncode


@functools.cache
def _compiled(code: str, options: tuple[str, ...]) -> tuple[ctypes.CDLL, list[str]]:
    defines = [o for o in options if o.startswith("-D")]
    plain = re.sub(r"#ifdef (HALF|BRAIN).*?#endif", "", code, flags=re.S)
    widths = [w for w in re.findall(r"^NORMS\((\d)\)", code, re.M) if w != "8" or "-DHALF" in defines]
    names = [n for n in KERNEL.findall(code) if not n.endswith("_")]
    names += [f"{n}{w}" for n in KERNEL.findall(code.replace("_##V", "_")) if n.endswith("_") for w in widths]
    calls = [f'extern "C" void call_{n}(void** a) {{ emulated::call({n}, a); }}' for n in names]
    folder = Path(tempfile.mkdtemp(prefix="emulated-"))
    try:
        source = folder / "kernels.cc"
        source.write_text("\n".join([HEADER.read_text(encoding="utf-8"), plain, *calls]), encoding="utf-8")
        library = folder / (hashlib.sha256(plain.encode()).hexdigest()[:16] + ".so")
        assert COMPILER is not None
        words = [COMPILER, "-std=c++17", "-O2", "-w", "-fPIC", "-shared", *defines]  # fmt: skip
        subprocess.run([*words, "-o", str(library), str(source)], check=True, capture_output=True, text=True)
        return ctypes.CDLL(str(library)), names
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class RawModule:
    """What CuPy's class of this name does, as far as the engine asks."""

    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        self._library, self._names = _compiled(code, options)

    def get_function(self, name: str) -> Any:
        """The kernel `name`, to be called with a grid, the size of a block and its arguments."""
        call, emulate = getattr(self._library, f"call_{name}"), self._library.emulate

        def launch(grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
            held = [_argument(a) for a in arguments]
            at = (ctypes.c_void_p * len(held))(
                *[ctypes.cast(ctypes.pointer(h), ctypes.c_void_p) for h in held]
            )
            sizes = [(ctypes.c_uint * 3)(*s, *(1,) * (3 - len(s))) for s in (grid, block)]
            assert emulate(call, at, *sizes) == 0, f"{name}: threads wait for ever"

        return launch


def _argument(value: Any) -> Any:
    if isinstance(value, strict_cupy.ndarray):
        return ctypes.c_void_p(value.data.ptr)
    if isinstance(value, np.int32):
        return ctypes.c_int(int(value))
    if isinstance(value, (int, np.int64, np.uint64)):
        return ctypes.c_longlong(int(value))
    if isinstance(value, (float, np.float64)):
        return ctypes.c_double(float(value))
    raise TypeError(f"a kernel is given {value!r}")
