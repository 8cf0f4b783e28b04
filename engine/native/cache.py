"""Compiled C on disk, by what it was compiled of, so that the next run of the program need not compile.

A file is a shared library with a seal behind it: a hash of its name and content. It is written under another name and
renamed, so two processes can do it at once; one whose seal does not fit is removed and compiled anew. The folder has
to be the user's own and closed to others, else a private one serves for this process alone.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import stat
import threading
import time
from pathlib import Path

MAGIC = b"dsviz-native-1"
FILES = 512  # that are kept; the ones used longest ago are removed
ABANDONED = 3600.0  # seconds after which an unfinished file of another process is removed


@functools.cache
def folder(name: str = "native") -> Path:
    """Where things of a kind are: `$XDG_CACHE_HOME/dsviz/native`, `~/.cache/dsviz/native`, or a private folder."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = named if os.path.isabs(named) else os.path.join(os.path.expanduser("~"), ".cache")
    wanted = Path(base) / "dsviz" / name
    try:
        if os.path.isabs(base):
            wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
            if own(wanted) and os.access(wanted, os.W_OK | os.X_OK):
                if name == "native":
                    trim(wanted)
                return wanted
    except OSError:
        pass  # read-only, full, or no home at all: the private folder serves
    import shutil  # both slow to load, and seldom needed
    import tempfile

    private = Path(tempfile.mkdtemp(prefix=f"dsviz-{name}-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private


def own(path: Path) -> bool:
    """Whether `path` is a folder, no link, that belongs to this user and nobody else may write to or read."""
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def seal(name: str, content: bytes) -> bytes:
    """What stands behind the library called `name`."""
    return MAGIC + hashlib.sha256(name.encode() + b"\0" + content).digest()


def find(name: str) -> tuple[Path | None, bool]:
    """The library called `name` where there is a whole one; and whether one was there that was not whole."""
    path = folder() / f"{name}.so"
    try:
        content = path.read_bytes()
    except OSError:
        return _adopted(name), False
    size = len(MAGIC) + hashlib.sha256().digest_size
    if len(content) > size and content[-size:] == seal(name, content[:-size]):
        with contextlib.suppress(OSError):
            os.utime(path)  # used now, so that it is not the first to be removed
        return path, False
    with contextlib.suppress(OSError):
        path.unlink()
    return None, True


def made(name: str) -> Path:
    """Where a compiler that nobody waits for leaves the library called `name`, whole, until somebody looks for it."""
    return folder() / f"{name}.made"


def _adopted(name: str) -> Path | None:
    """The library that such a compiler left, sealed; None where there is none, or somebody else could have written it."""
    left, mine = made(name), folder() / f"{name}-{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        found = os.lstat(left)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            return None
        os.rename(left, mine)  # of several that look at once only one finds it
        return store(name, mine)
    except OSError:
        return None


def store(name: str, ready: Path) -> Path:
    """Seal the library at `ready` and give it its name."""
    content = ready.read_bytes()
    with open(ready, "ab") as file:
        file.write(seal(name, content))
    path = folder() / f"{name}.so"
    os.chmod(ready, 0o600)
    os.replace(ready, path)
    return path


def trim(path: Path) -> None:
    """Remove the oldest files above `FILES`, and what other processes left unfinished."""
    libraries = []
    for entry in os.scandir(path):
        try:
            when = entry.stat(follow_symlinks=False).st_mtime
            if entry.name.endswith(".so"):
                libraries.append((when, entry.path))
            elif time.time() - when > ABANDONED:
                os.unlink(entry.path)
        except OSError:
            continue  # another process was faster
    for _, old in sorted(libraries)[: max(len(libraries) - FILES, 0)]:
        with contextlib.suppress(OSError):
            os.unlink(old)
