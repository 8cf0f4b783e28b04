"""An error that names the person's own line, as those of the ops do."""

from __future__ import annotations

from typing import TypeVar

from engine.location import is_engine_code, user_frame

E = TypeVar("E", bound=Exception)


def located(error: E) -> E:
    """`error` with the line of the person's program that led to it, as the last line of its text.

    To be raised at once: `raise located(ValueError("k has to be 1 or more, got 0"))`. Asked for only when something
    went wrong, so it costs nothing when all is well.
    """
    frame = user_frame(2)
    if not is_engine_code(frame.f_code) and error.args:
        from engine.names import source_line  # errors are rare

        filename, line = frame.f_code.co_filename, frame.f_lineno
        error.args = (f"{error.args[0]}\n  at {filename}:{line}  {source_line(filename, line)}".rstrip(),)
    return error
