"""Text on its way out: letters that the output's encoding lacks, and a reader that has gone away.

A tree is drawn with lines that Latin-1 and the code pages of Windows do not have, and names of files may hold bytes
that are no text at all. What cannot be written is stood in for; nobody's program ends because of it.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any

PLAIN = "dsviz.plain"  # the name of the error handler
UNWRITTEN = 2  # nothing was wrong but the place the answer goes to
CLOSED = 128 + 13  # as a shell tells SIGPIPE
TAKES_ALL = {PLAIN, "replace", "backslashreplace", "xmlcharrefreplace", "namereplace", "ignore"}
STANDS = {"├": "|", "│": "|", "└": "`", "─": "-", "×": "x", "…": "...", "·": "."}


def stand_in(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encoding: a letter that looks alike, or the character's number.

    >>> "└─ relu ×3 é".encode("ascii", "dsviz.plain")
    b'`- relu x3 \\\\xe9'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    made = []
    for letter in error.object[error.start : error.end]:
        number = ord(letter)
        escaped = (
            f"\\x{number:02x}"
            if number < 256
            else f"\\u{number:04x}"
            if number < 65536
            else f"\\U{number:08x}"
        )
        made.append(STANDS.get(letter, escaped))
    return "".join(made), error.end


codecs.register_error(PLAIN, stand_in)


class Fitted:
    """A stream that takes any text: what its encoding lacks is stood in for. All else is the stream's own."""

    def __init__(self, stream: IO[str], encoding: str) -> None:
        self._stream, self._encoding = stream, encoding

    def write(self, text: str) -> int:
        """Write `text`, or what stands in for it."""
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            text = text.encode(self._encoding, PLAIN).decode(self._encoding)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def fitted(stream: IO[str]) -> IO[str]:
    """The stream itself, or one in front of it where its encoding may lack a letter."""
    encoding = getattr(stream, "encoding", None)
    if not isinstance(encoding, str) or getattr(stream, "errors", None) in TAKES_ALL:
        return stream
    return Fitted(stream, encoding)  # type: ignore[return-value]


@contextlib.contextmanager
def standard() -> Iterator[None]:
    """For a command: its standard streams take any text, and are written to the end within the block."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


def until_closed(carry_out: Callable[[], int]) -> int:
    """Carry out a command; its status, or `CLOSED` where nobody reads its output any more (`| head`)."""
    try:
        with standard():
            return carry_out()
    except OSError as error:
        gone = isinstance(error, BrokenPipeError)
        if not (_gone(sys.stdout) if gone else _full(sys.stdout)):
            raise
        # Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if gone:
            return CLOSED
        print(f"dsviz: standard output cannot be written to: {error.strerror}.", file=sys.stderr)
        return UNWRITTEN


def _full(stream: IO[str] | None) -> bool:
    """Whether what is written to the stream cannot be stored. What was written and could not be is forgotten by then."""
    try:
        if stream is not None:
            stream.flush()
            os.write(stream.fileno(), b"\n")
    except OSError:
        return True
    return False


def _gone(stream: IO[str] | None) -> bool:
    """Whether what is written to the stream reaches nobody."""
    if stream is None:
        return False
    try:
        stream.flush()
    except OSError:
        return True
    import select

    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
