"""What can be set at any time: the trace level, trace switches and breakpoints."""

from __future__ import annotations

import os
from typing import Any

from dsviz import saved
from dsviz.debuggee.breakpoints import Breakpoint, checked
from dsviz.session.names import unseen
from dsviz.session.refused import Refused
from dsviz.session.watches import Watches


class Settings(Watches):
    """The part of a session that says what is traced and where the program stops."""

    _sample: int
    _value_budget: int

    def set_level(self, level: int) -> None:
        """Trace level 0 (off), 1 (operations) or 2 (with statistics), at once."""
        self.level = checked_level(level)
        self._forward({"t": "level", "level": level})
        self._tell("settings")

    @property
    def sample(self) -> int:
        """Of so many iterations one is traced."""
        return self._sample

    @property
    def value_budget(self) -> int:
        """Bytes of arrays that are kept at trace level 2."""
        return self._value_budget

    def set_sample(self, every: int) -> None:
        """Trace every `every`-th iteration (those whose number it divides), from the next one on; 1 traces all.

        Of the others only their beginning, their loss and the memory are told. Breakpoints hold in all.
        """
        self._sample = checked_sample(every)
        self._forward({"t": "sample", "every": every})
        self._tell("settings")

    def set_value_budget(self, bytes: int) -> None:
        """Keep at most so many bytes of arrays at trace level 2, from here on; 0 keeps none."""
        self._value_budget = checked_budget(bytes)
        if self._recorder is not None:
            self._recorder.resize(bytes)
        self._forward({"t": "budget", "bytes": bytes})
        self._tell("settings")

    def switch(self, target: str, name: str, on: bool) -> None:
        """Trace or do not trace a module ("net.cell"), an op ("relu") or a place ("/path/model.py:31")."""
        if target not in ("module", "op", "place"):
            raise Refused(f"There is no switch for {target!r}; there are module, op and place.")
        if target == "place" and not (name.rpartition(":")[0] and name.rpartition(":")[2].isdigit()):
            raise Refused(f"A place is FILE:LINE, not {name!r}.")
        with self._changed:
            self._switches[target, name] = on
        self._forward({"t": "switch", "target": target, "name": name, "on": on})
        self._tell("settings")

    def add_breakpoint(self, kind: str, **fields: Any) -> Breakpoint:
        """Add a breakpoint: "line" (file, line), "op" or "module" (name), "node" (node), "shape mismatch",
        "type mismatch", "exception", "nan", "if" (any op for which `condition` holds), "shape predicate" (any
        op for whose result's `shape` the `condition` holds), "branch" (an `if` that goes another way than in the
        iteration before; any, or that at file and line), "gradient", "gradient zero", "gradient missing" (of the
        parameter that expression `name` gives, or any), "memory" (limit, in bytes) or "data" (the tensor that
        expression `name` gives).

        `condition` is a Python expression over the frame's names and the op's `args`, `out`, `op`, `shape`,
        `module`, `phase`, `iteration` (of a gradient: `grad`, `norm`, `zero`; of a branch: `taken`). One that names
        `out` is asked once the op or the module ran. A line's condition that names `phase` is asked of the
        backward nodes of its forward ops too. `hit` counts, as "3", ">= 5" or
        "% 10"; `log` is told instead of pausing: "loss {loss.item():.3f}". Raises `Refused` with a sentence.
        """
        with self._changed:
            try:
                new = checked(self._next_breakpoint + 1, kind, fields)
            except ValueError as error:
                raise Refused(str(error)) from None
            for old in self._breakpoints.values():
                if old.kind == kind and old.label == new.label:
                    old.enabled = True
                    new = old
            self._next_breakpoint = max(self._next_breakpoint, new.id)
            self._breakpoints[new.id] = new
            new.problem = new.problem or self._unseen(new)
        self._breakpoints_changed()
        return new

    def remove_breakpoint(self, id: int) -> None:
        """Remove breakpoint `id`."""
        with self._changed:
            self._breakpoint(id)
            del self._breakpoints[id]
        self._breakpoints_changed()

    def enable_breakpoint(self, id: int, on: bool = True) -> None:
        """Enable or disable breakpoint `id`."""
        with self._changed:
            self._breakpoint(id).enabled = on
        self._breakpoints_changed()

    def edit_breakpoint(self, id: int, **fields: Any) -> Breakpoint:
        """Change what is given (condition, hit, log, name, line ...) of breakpoint `id`; "" takes it away."""
        with self._changed:
            old = self._breakpoint(id)
            names = ("file", "line", "name", "node", "condition", "enabled", "hit", "log", "limit")
            try:
                new = checked(
                    id, old.kind, {**{name: getattr(old, name) or None for name in names}, **fields}
                )
            except ValueError as error:
                raise Refused(str(error)) from None
            new.enabled, new.hits = bool(fields.get("enabled", old.enabled)), old.hits
            self._breakpoints[id] = new
        self._breakpoints_changed()
        return new

    def save_breakpoints(self, path: str | os.PathLike[str]) -> None:
        """Keep the breakpoints and watches in a file; those on lines with the line's text, by which it is found again."""
        with self._changed:
            saved.save(os.fspath(path), list(self._breakpoints.values()), self._watched())

    def load_breakpoints(self, path: str | os.PathLike[str]) -> list[Breakpoint]:
        """Add the breakpoints and watches that `save_breakpoints` kept. A line that has moved is followed to where its
        text is now. Raises `Refused` with a sentence where the file is none of ours.
        """
        try:
            items, watches = saved.load(os.fspath(path))
        except ValueError as error:
            raise Refused(str(error)) from None
        return self._set_again(items, watches)

    def breakpoints_text(self) -> str:
        """What `save_breakpoints` would write beside the script."""
        with self._changed:
            folder = os.path.dirname(os.path.realpath(self.script))
            return saved.written(list(self._breakpoints.values()), folder, self._watched())

    def breakpoints_of(self, text: str) -> list[Breakpoint]:
        """Add the breakpoints of such a text; `load_breakpoints` says how."""
        try:
            items, watches = saved.read(text, os.path.dirname(os.path.realpath(self.script)), "The text")
        except ValueError as error:
            raise Refused(str(error)) from None
        return self._set_again(items, watches)

    def _watched(self) -> list[str]:
        return [watch.text for watch in self._watches.values()]

    def _set_again(self, items: list[dict[str, Any]], watches: list[str]) -> list[Breakpoint]:
        added = []
        for text in watches:
            self.add_watch(text)
        for fields in items:
            on = fields.pop("enabled", True)
            new = self.add_breakpoint(**fields)
            if not on:
                self.enable_breakpoint(new.id, False)
            added.append(new)
        return added

    def _unseen(self, breakpoint: Breakpoint) -> str:
        foreign = "command" in self._popen  # a framework of its own, with names of its own
        return "" if foreign else unseen(breakpoint, self._present)

    def _breakpoint(self, id: int) -> Breakpoint:
        if id not in self._breakpoints:
            raise Refused(f"There is no breakpoint {id}.")
        return self._breakpoints[id]

    def _breakpoints_changed(self) -> None:
        self._forward({"t": "breakpoints", "items": self._breakpoint_records()})
        self._tell("settings")


def checked_level(level: int) -> int:
    """The trace level itself. Raises `Refused` where there is no such level."""
    if level not in (0, 1, 2):
        raise Refused(f"The trace level is 0, 1 or 2, not {level!r}.")
    return level


def checked_sample(every: int) -> int:
    """The number itself. Raises `Refused` where it is none that iterations can be counted by."""
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise Refused(f"Every n-th iteration is traced, n being 1 or more, not {every!r}.")
    return every


def checked_budget(bytes: int) -> int:
    """The number itself. Raises `Refused` where it is no number of bytes."""
    if not isinstance(bytes, int) or isinstance(bytes, bool) or bytes < 0:
        raise Refused(f"The byte budget for values is a whole number, 0 or more, not {bytes!r}.")
    return bytes
