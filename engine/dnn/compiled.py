"""Loops in C for what oneDNN does not do, compiled once on a machine that has a compiler.

Nobody waits for the compiler: it runs beside the program, at the least priority, and NumPy serves until what it made
is there. That lies in the person's own cache folder under a name made of all it depends on, for the programs to come.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import stat
from typing import TYPE_CHECKING, Any

from engine.dnn import library as dnn

if TYPE_CHECKING:
    from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math")
ASK = 64  # calls between looks whether the compiler is done


class Compiled:
    """One C file beside this one, as a library once it is compiled.

    `functions` gives the types of the arguments of each, as `ctypes` takes them; all of them return nothing.
    Unless it may come `late`, a program that did not find it compiled when it first asked goes without it.
    """

    def __init__(
        self, name: str, flags: tuple[str, ...], functions: dict[str, list[Any]], late: bool = True
    ) -> None:
        self.source: str | Path = os.path.join(os.path.dirname(__file__), name)
        self.flags = (*FLAGS, *flags)
        self._functions = functions
        self._late = late
        self._found: Any = None
        self._calls = 0
        self._begun = self._hopeless = False

    def ready(self) -> Any:
        """The opened library, or None as long as there is none. Starts the compiler at the first call."""
        if dnn.library() is None:
            return None
        if self._found is not None or self._hopeless:
            return self._found
        self._calls += 1
        if self._calls % ASK == 1:
            self._look()
        return self._found

    def build(self) -> Any:
        """The opened library, waited for; None where there is no compiler or it failed."""
        path = self.path()
        if path is not None and not path.exists():
            self._begun = True
            os.waitpid(self._start(path, wait=True), 0)
        self._hopeless, self._calls = False, 0
        return self.ready()

    def path(self) -> Path | None:
        """Where the library is kept, None where it cannot be."""
        folder, compiler = _folder(), _compiler()
        if folder is None or compiler is None:
            return None
        on = "\n".join((compiler, *self.flags, platform.machine(), _processor()))
        import hashlib  # slow to load, as pathlib is, and `import dsviz` compiles nothing

        with open(self.source, "rb") as file:
            key = hashlib.sha256(on.encode() + file.read()).hexdigest()[:24]
        return folder / f"{os.path.splitext(os.path.basename(self.source))[0]}-{key}.so"

    def _look(self) -> None:
        path = self.path()
        if path is None:
            self._hopeless = True
        elif path.exists():
            self._hopeless = not self._open(path)
        elif not self._begun:
            self._begun, self._hopeless = True, not self._late
            os.waitpid(self._start(path, wait=False), 0)

    def _start(self, path: Path, wait: bool) -> int:
        """The shell that runs the compiler, or that leaves it running beside this process."""
        compiler = _compiler()
        assert compiler is not None
        # What is half written has another name, so whoever finds the library finds it whole.
        script = '"$@" -o "$0.$$" </dev/null >/dev/null 2>&1 && mv -f "$0.$$" "$0" || rm -f "$0.$$"'
        script = script if wait else f"(nice -n 19 {script}) &"
        words = ["sh", "-c", script, str(path), compiler, *self.flags, str(self.source)]
        return os.posix_spawn("/bin/sh", words, os.environ)

    def _open(self, path: Path) -> bool:
        if not _mine(path.lstat()):
            return False
        try:
            found = ctypes.CDLL(str(path))
            for name, types in self._functions.items():
                function = getattr(found, name)
                function.argtypes, function.restype = types, None
        except (OSError, AttributeError):
            return False
        self._found = found
        return True


def _mine(entry: os.stat_result) -> bool:
    """Whether a file or folder is the person's own, and nobody else can write to it."""
    return entry.st_uid == os.getuid() and not entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@functools.cache
def _folder() -> Path | None:
    """The folder for what was compiled, None where there can be none that only the person can write to."""
    if not hasattr(os, "posix_spawn") or not hasattr(os, "getuid"):
        return None
    import tempfile
    from pathlib import Path

    named = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(named if os.path.isabs(named) else os.path.expanduser("~/.cache"))
    for folder in (home / "dsviz", Path(tempfile.gettempdir()) / f"dsviz-{os.getuid()}"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _mine(folder.lstat()) and os.access(folder, os.W_OK | os.X_OK):
                return folder
        except OSError:
            continue
    return None


@functools.cache
def _compiler() -> str | None:
    import shutil

    return next((found for found in map(shutil.which, COMPILERS) if found), None)


@functools.cache
def _processor() -> str:
    """What the processor can do: code made for one is not for another."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return platform.processor()
    return next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
