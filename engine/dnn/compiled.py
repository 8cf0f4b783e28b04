"""Loops in C for what oneDNN does not do, compiled once on a machine that has a compiler.

Nobody waits for the compiler where NumPy's results have the same bits: it runs beside the program, at the least priority,
and NumPy serves until what it made is there. `engine.native` keeps it for the programs to come.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Any

from engine.dnn import library as dnn
from engine.locks import reentrant
from engine.threads import resting

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math")
ASK = 64  # calls between looks whether the compiler is done


class Compiled:
    """One C file beside this one, as a library once it is compiled.

    `functions` gives the types of the arguments of each, as `ctypes` takes them; all of them return nothing.
    Unless it may come `late`, a program that did not find it compiled when it first asked goes without it; if it is
    `waited` for, the first program on a machine waits at its first call.
    """

    def __init__(
        self, name: str, flags: tuple[str, ...], functions: dict[str, list[Any]], late: bool = True,
        waited: bool = False,
    ) -> None:  # fmt: skip
        self.source: str | Path = os.path.join(os.path.dirname(__file__), name)
        self.flags = (*FLAGS, *flags)
        self._functions = functions
        self._late = late
        self._waited = waited
        self._lock = reentrant()
        self._found: Any = None
        self._calls = 0
        self._begun = self._hopeless = False

    def ready(self) -> Any:
        """The opened library, or None as long as there is none. Starts the compiler at the first call."""
        if dnn.library() is None:
            return None
        if self._found is not None or self._hopeless:
            return self._found
        if self._waited:
            with self._lock:
                if self._waited and self._found is None:
                    with contextlib.suppress(OSError):  # no processes to be had, or a full disk
                        self.build()
                    self._hopeless, self._waited = self._found is None, False
            return self._found
        self._calls += 1
        if self._calls % ASK == 1:
            self._look()
        return self._found

    def build(self) -> Any:
        """The opened library, waited for; None where there is no compiler or it failed."""
        from engine.native import cache, compiler

        name = self.name()
        for _ in range(2):  # another program may be taking what was made, and have it in hand just now
            if name is None or cache.find(name)[0] is not None:
                break
            self._begun = True
            compiler.leave(name, str(self.source), self.flags, wait=True)
        self._hopeless, self._calls = name is None, 0
        if name is not None:
            self._look()
        return self._found

    def name(self) -> str | None:
        """What the library is called, None where there is no compiler."""
        from engine.native import compiler  # slow to load, and `import dsviz` compiles nothing

        if compiler.compiler() is None:
            return None
        with open(self.source, encoding="utf-8") as file:
            return compiler.name_of(file.read(), self.flags)

    def _look(self) -> None:
        from engine.native import cache, compiler

        name = self.name()
        path = None if name is None else cache.find(name)[0]
        if name is None:
            self._hopeless = True
        elif path is not None:
            self._hopeless = not self._open(path)
        elif not self._begun:
            self._begun, self._hopeless = True, not self._late
            compiler.leave(name, str(self.source), self.flags, wait=False)

    def _open(self, path: Path) -> bool:
        try:
            with resting():
                found = ctypes.CDLL(str(path))
            for name, types in self._functions.items():
                function = getattr(found, name)
                function.argtypes, function.restype = types, None
        except (OSError, AttributeError):
            return False
        self._found = found
        return True
