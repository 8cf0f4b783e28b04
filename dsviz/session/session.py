"""A session, whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from dsviz.debuggee.breakpoints import EXCEPTION, SHAPE_MISMATCH
from dsviz.process import LaunchError
from dsviz.recording.writer import DEFAULT_BUDGET
from dsviz.session.commands import Commands
from dsviz.session.looking import Looking
from dsviz.session.messages import Messages
from dsviz.session.program import Program
from dsviz.session.settings import Settings, checked_budget, checked_level, checked_sample
from dsviz.session.stalls import Stalls


class Session(Commands, Stalls, Looking, Settings, Messages, Program):
    """Runs a script under the debugger. Every method may be called from any thread."""

    def __init__(
        self,
        script: str | os.PathLike[str],
        args: Sequence[str] = (),
        trace_level: int = 1,
        *,
        pause_at_entry: bool = True,
        capacity: int | None = None,
        record: str | os.PathLike[str] | None = None,
        value_budget: int = DEFAULT_BUDGET,
        sample: int = 1,
        breakpoints: bool = True,
        config: dict[str, Any] | None = None,
        **popen: Any,
    ) -> None:
        self._prepare(_checked_script(os.fspath(script)), args, checked_level(trace_level))
        self._pause_at_entry = pause_at_entry
        self._capacity = capacity
        self._record = None if record is None else os.path.abspath(os.fspath(record))
        self._value_budget, self._sample = checked_budget(value_budget), checked_sample(sample)
        self._config = dict(config or {})
        self._popen = popen
        self._halts = breakpoints
        if breakpoints:
            self.add_breakpoint(SHAPE_MISMATCH)
            self.add_breakpoint(EXCEPTION)
        self._start()

    @classmethod
    def launch(
        cls, script: str | os.PathLike[str], args: Sequence[str] = (), trace_level: int = 1, **options: Any
    ) -> Session:
        """Start `script` with `args`, paused before its first node; use it as a context manager.

        `options`: `pause_at_entry=False` runs on at once; `stdin`, `stdout`, `stderr`, `cwd` and `env` are
        those of `subprocess.Popen` (the program has this process's own streams where they are left out); `python` is
        another interpreter, `command` a program of any kind that speaks `dsviz/protocol.md`. `record` is the file the run is recorded to (without it a temporary one, removed
        by `close`; a restart records beside it, `run-2.dsviz`), with at most `value_budget` bytes of arrays. `sample=10` traces every tenth iteration only.
        `breakpoints=False` starts with none, not even those for mismatches and exceptions, and passes by the
        source's own `breakpoint()`. `config` are keys of `ds.graph_config` that are in force from the start.
        Raises `LaunchError` with a sentence where the script cannot be run.
        """
        return cls(script, args, trace_level, **options)

    @classmethod
    def attach(cls, target: int | str, trace_level: int = 1, **options: Any) -> Session:
        """Follow a program that runs already and called `ds.listen()`: `target` is its process number or address.

        `options`: `pause=True` pauses it before its next node; `record`, `value_budget`, `breakpoints` as for `launch`.
        The program runs on when the session ends. Raises `LaunchError` with a sentence where it cannot be attached to.
        """
        from dsviz.attached import Attached

        return Attached(target, trace_level, **options)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked_script(name: str) -> str:
    path = os.path.abspath(name)
    if os.path.isdir(path):
        raise LaunchError(f"{name} is a folder, but a Python script was expected. Name a file in it.")
    try:
        with open(path, "rb"):
            return path
    except FileNotFoundError:
        raise LaunchError(
            f"There is no file {path}. Check the name, or give the script's full path."
        ) from None
    except OSError as error:
        raise LaunchError(f"{path} cannot be read ({error.strerror}).") from None
