"""Saving a file of the program from the page, so that a mistake is mended where it is seen."""

from __future__ import annotations

import contextlib
import hashlib
import linecache
import os
import tempfile
import tokenize
from typing import Any

LONGEST = 400_000  # characters of a file that can be saved from the page


class NotSaved(ValueError):  # noqa: N818 - an answer, not a fault
    """Why nothing was written; the text is the sentence for the person."""


def digest(text: str) -> str:
    """The hash by which the page names the text it was given."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def save(path: str, seen: str, text: str) -> dict[str, Any]:
    """Write `text` to `path`, unless the file is not the one the page saw (its hash is `seen`).

    Encoding, line ends and permissions stay as they are. Raises NotSaved with a sentence. The answer's `problem`
    says where the new text is no Python; it is saved all the same.
    """
    name = os.path.basename(path)
    try:
        with tokenize.open(path) as file:
            encoding = file.encoding
            before = file.read()
            ends = file.newlines
        mode = os.stat(path).st_mode & 0o7777
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise NotSaved(f"{name} cannot be read any more ({error}), so nothing was written.") from None
    if before and not before.endswith("\n"):
        before += "\n"  # as it was shown
    if digest(before) != seen:
        raise NotSaved(
            f"{name} was changed on disk since the page read it, so nothing was written. Reload the file to see its newest text; your edit can be copied from here."
        )
    end = ends if isinstance(ends, str) else "\n"
    try:
        data = text.replace("\r\n", "\n").replace("\n", end).encode(encoding)
    except UnicodeEncodeError as error:
        raise NotSaved(
            f"{name} is written in {encoding}, which has no {error.object[error.start]!r}."
        ) from None
    _replace(path, data, mode)
    linecache.checkcache(path)
    problem = None
    try:
        compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        problem = f"{name}:{error.lineno} is no Python: {error.msg}."
    except ValueError as error:
        problem = f"{name} is no Python: {error}."
    return {"problem": problem}


def _replace(path: str, data: bytes, mode: int) -> None:
    target = os.path.realpath(path)  # a link stays a link
    temporary = ""
    try:
        number, temporary = tempfile.mkstemp(prefix=".dsviz-", dir=os.path.dirname(target))
        with os.fdopen(number, "wb") as file:
            file.write(data)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise NotSaved(f"{os.path.basename(path)} cannot be written ({error.strerror}).") from None
