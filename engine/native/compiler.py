"""The system's C compiler, run beside the program: nothing here waits for it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import os
import platform
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.native import cache
from engine.threads import resting

if TYPE_CHECKING:
    import subprocess

_numbers = count()
_running: dict[int, Compilation] = {}


def _program(name: str) -> str | None:
    """Where a program is, as `shutil.which` finds it: that takes 4 ms to load, in a program's first step."""
    folders = [""] if os.path.dirname(name) else os.get_exec_path()
    found = (os.path.join(folder, name) for folder in folders)
    return next((path for path in found if os.path.isfile(path) and os.access(path, os.X_OK)), None)


@functools.cache
def compiler() -> str | None:
    """The path of `$CC`, cc, gcc or clang, None where there is none (and on Windows, whose compilers differ)."""
    if os.name != "posix":
        return None
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        path = _program(name) if name else None
        if path:
            return os.path.realpath(path)
    return None


@functools.cache
def machine() -> str:
    """What code made here depends on beside its source and the flags: the compiler and the processor."""
    path = compiler() or ""
    about = os.stat(path) if path else None
    processor = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features", "model name")):
                processor += line
                if line.startswith(("flags", "Features")):
                    break
    parts = (
        path, str(about and (about.st_size, about.st_mtime_ns)), processor, platform.machine(), platform.system(),
    )  # fmt: skip
    return "\0".join(parts)


def name_of(text: str, flags: tuple[str, ...]) -> str:
    """What the library of C `text` is called: a hash of it and of all else it depends on."""
    return hashlib.sha256("\0".join((machine(), *flags, text)).encode()).hexdigest()[:40]


def leave(name: str, source: str, flags: tuple[str, ...], wait: bool) -> None:
    """Compile the file `source` to what `cache.find(name)` finds then.

    Unless it is waited for, the compiler is left running beside this process, at the least priority, and goes on when
    this one ends.
    """
    # What is half written has another name, so whoever finds the library finds it whole.
    script = '"$@" -o "$0.$$" </dev/null >/dev/null 2>&1 && mv -f "$0.$$" "$0" || rm -f "$0.$$"'
    script = script if wait else f"(nice -n 19 {script}) &"
    words = ["sh", "-c", script, str(cache.made(name)), str(compiler()), *flags, source]
    os.waitpid(os.posix_spawn("/bin/sh", words, os.environ), 0)


class Compilation:
    """A compiler at work on `text`, or a library that was there already. `poll()` says how far it is."""

    def __init__(self, text: str, flags: tuple[str, ...]) -> None:
        self.name = name_of(text, flags)
        self.cached = False
        self.error = ""
        self.library: Any = None
        path, self.damaged = cache.find(self.name)
        self._process: subprocess.Popen[bytes] | None = None
        if path is not None and self._open(path):
            self.cached = True
            return
        self._stem = str(cache.folder() / f"{self.name}-{os.getpid()}-{next(_numbers)}")
        self._owner = os.getpid()
        import subprocess  # slow to load, and most programs compile nothing

        source = Path(self._stem + ".c")
        try:
            source.write_text(text, encoding="ascii")
            with open(Path(self._stem + ".log"), "wb") as log:
                self._process = subprocess.Popen(
                    [*_politely(), str(compiler()), *flags, "-o", str(Path(self._stem + ".tmp")), str(source), "-lm"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self.error = f"the compiler did not start: {error}"
            self._clean()
            return
        _running[id(self)] = self

    def poll(self) -> bool:
        """Whether it has ended, well (`library`) or not (`error`). Never waits."""
        process = self._process
        if process is None:
            return True
        if self._owner != os.getpid():  # a child of the program after fork: the compiler is its parent's
            self.error = "the process was forked while it compiled"
            self._process = None
            return True
        if process.poll() is None:
            return False
        _running.pop(id(self), None)
        self._process = None
        made = Path(self._stem + ".tmp")
        try:
            if process.returncode == 0 and made.exists():
                if not self._open(cache.store(self.name, made)):
                    self.error = self.error or "what the compiler made could not be opened"
            else:
                log = Path(self._stem + ".log").read_text(errors="replace").strip().splitlines()
                self.error = (
                    f"{compiler()} ended with {process.returncode}: {log[0] if log else 'it said nothing'}"
                )
        except OSError as error:
            self.error = f"{error}"
        self._clean()
        return True

    def wait(self) -> None:
        """Wait for the end, for tests and for who asks for it."""
        if self._process is not None and self._owner == os.getpid():
            self._process.wait()
        self.poll()

    def stop(self) -> None:
        """End the compiler, at the end of the program."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
            self._process = None
            self._clean()

    def _open(self, path: Path) -> bool:
        try:
            with resting():
                self.library = ctypes.CDLL(str(path))
        except OSError as error:
            self.error = str(error)
            return False
        return True

    def _clean(self) -> None:
        for suffix in (".c", ".log", ".tmp"):
            with contextlib.suppress(OSError):
                Path(self._stem + suffix).unlink()


@functools.cache
def _politely() -> tuple[str, ...]:
    """What runs the compiler behind the program, where there is such a thing."""
    nice = _program("nice")
    return (nice, "-n", "10") if nice else ()


def _stop_all() -> None:
    for running in list(_running.values()):
        running.stop()


atexit.register(_stop_all)
