"""Copies what the program prints to the debugger, and leaves the printing itself as it is.

The streams stay the objects they were (type, encoding, `isatty`, `fileno`, `buffer`): only their `write`
and `flush` are shadowed on the instance, so nothing the program can ask of them changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from engine.locks import reentrant

LONGEST = 16_384  # characters of one event; a longer write is cut in the middle
_HOLD = 4_096


class Tee:
    """One stream's copy. `emit(stream, text)` is called with whole lines where it can be."""

    def __init__(self, number: int, stream: TextIO, emit: Callable[[int, str], None]) -> None:
        self.number = number
        self._stream: Any = stream
        self._emit = emit
        self._held: list[str] = []
        self._size = 0
        self._lock = reentrant()
        self._write = stream.write
        self._flush = stream.flush
        # As entries of the instance: the class's own methods stay where they are.
        vars(self._stream).update(write=self.write, flush=self.flush)

    def write(self, text: str) -> int:
        """Write as the stream does, then copy."""
        count = self._write(text)
        with self._lock:
            self._held.append(text if len(text) <= LONGEST else cut(text))
            self._size += len(self._held[-1])
            if self._size >= _HOLD or text.endswith(("\n", "\r")):
                self.tell()
        return count

    def flush(self) -> None:
        """Flush as the stream does, then tell what was held back."""
        self._flush()
        self.tell()

    def tell(self) -> None:
        """Hand over what has been written since the last time."""
        with self._lock:
            if self._held:
                text, self._held, self._size = "".join(self._held), [], 0
                self._emit(self.number, cut(text))

    def close(self, tell: bool = True) -> None:
        """Give the stream its own methods back."""
        if tell:
            self.tell()
        for name in ("write", "flush"):
            vars(self._stream).pop(name, None)


def tee(emit: Callable[[int, str], None]) -> list[Tee]:
    """Copy stdout and stderr, where the program has them."""
    return [
        Tee(number, stream, emit)
        for number, stream in ((1, sys.stdout), (2, sys.stderr))
        if stream is not None
    ]


def cut(text: str) -> str:
    """`text`, its middle left out where it is longer than an event may be."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[... {len(text) - LONGEST} characters left out ...]\n{text[-half:]}"
