"""What cuDNN chose for a convolution, kept on disk: the next program that wants the same asks it nothing.

Asking takes two to four milliseconds a convolution and gradient, reading a tenth of one. There is one file for each
version of cuDNN and each kind of GPU, in a folder of the user's own; it has a seal in front, a hash of what follows, and
one whose seal does not fit is not used. It is written when the program ends, under another name and renamed, with what
other programs have put there meanwhile. What is chosen by its time is not kept: it is taken anew each time.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import json
import os
from pathlib import Path

from engine.backend import require_cupy
from engine.gpu.library import Library, Unsupported
from engine.gpu.plan import Prepared, Wanted, restore, text
from engine.native.cache import folder, own

MAGIC = b"dsviz-cudnn-1\n"
PLANS = 2048  # that a file keeps

_new: dict[Path, dict[str, str]] = {}  # what this program adds to each file


def real(lib: Library) -> bool:
    """Whether it is the library itself and not a stand-in of the tests."""
    return isinstance(lib.lib, ctypes.CDLL)


@functools.cache
def _place(version: int, device: int) -> Path | None:
    """The file for a version of cuDNN and a GPU; None where there is no folder that is the user's own."""
    runtime = require_cupy().cuda.runtime
    if not hasattr(os, "getuid"):  # whose a folder is cannot be told here
        return None
    told = runtime.getDeviceProperties(device)
    what = f"{version} {runtime.runtimeGetVersion()} {told['name']!r} {told.get('multiProcessorCount')}"
    where = folder("cudnn")
    return where / f"{hashlib.sha256(what.encode()).hexdigest()[:24]}.plans" if own(where) else None


@functools.cache
def _held(path: Path) -> dict[str, str]:
    """What a file says; nothing where it is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    size = len(MAGIC) + hashlib.sha256().digest_size
    head, body = content[:size], content[size:]
    if head != MAGIC + hashlib.sha256(body).digest():
        return {}
    found = json.loads(body)
    return found if isinstance(found, dict) else {}


def _file(lib: Library) -> Path | None:
    return _place(lib.version, require_cupy().cuda.runtime.getDevice()) if real(lib) else None


def find(lib: Library, wanted: Wanted) -> Prepared | None:
    """The computation that was chosen for this before; None where none was, or it is of no use."""
    path = _file(lib)
    said = None if path is None else _held(path).get(repr(wanted))
    if said is None:
        return None
    try:
        return restore(lib, wanted, said)
    except Unsupported:
        return None


def add(lib: Library, wanted: Wanted, chosen: Prepared) -> None:
    """Keep a computation that was chosen for what was wanted."""
    path = _file(lib)
    if path is None:
        return
    with contextlib.suppress(Unsupported):  # a way of computing that has no text
        if not _new:
            atexit.register(write)
        _new.setdefault(path, {})[repr(wanted)] = text(chosen)


def write() -> None:
    """Put what is new into the files."""
    for path, plans in _new.items():
        _held.cache_clear()
        every = {**_held(path), **plans}
        body = json.dumps(dict(list(every.items())[-PLANS:])).encode()
        beside = path.with_name(f"{path.name}-{os.getpid()}.tmp")
        with contextlib.suppress(OSError):  # a full disk: it is asked again next time
            beside.write_bytes(MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(beside, path)
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    _new.clear()
