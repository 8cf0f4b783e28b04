"""How much the C library of this process keeps of what it frees: little.

A server answers in a dozen threads, and glibc gives each a heap of its own, in which large pieces that came and went leave
holes: after a million nodes a quarter of the server was such holes, and they grew.
"""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # numbers of malloc.h
LARGE = 128 << 10  # bytes: what is as large is asked of the system, and given back to it


def keep_little() -> bool:
    """From here on. False where the C library is none that can be told so. To be called before there are threads."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # Said once, the threshold stays where it is; else it rises with every large piece that is freed.
    return bool(tell(_MMAP_THRESHOLD, LARGE)) and bool(tell(_ARENA_MAX, 1))
