"""What a page may ask, one function a verb: commands go to the session, questions to the queries.

A request is text from a browser. Every field is checked here, files are named by their number in the
store (never by a path), and a request that makes no sense is refused with a sentence.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from dsviz import saved
from dsviz.contrast import Contrast
from dsviz.query import (
    dot,
    engine,
    events,
    iterations,
    marks,
    memory,
    parameters,
    peak,
    settings,
    source,
    stack,
    variables,
)
from dsviz.query import node as nodes
from dsviz.recording.format import RecordingError
from dsviz.session import Refused
from dsviz.stop import PAUSED
from dsviz.web import editing
from dsviz.web.live import Json, Refusal
from dsviz.web.pages import Page

if TYPE_CHECKING:
    from dsviz.session import Session
    from dsviz.store import GraphStore

MOVES = frozenset(
    {
        *("continue", "pause", "next", "into", "over", "out", "restart", "stop"),
        *("next_line", "next_iteration", "run_to_node", "run_to_line"),
        *("step_back", "reverse_continue", "go_to", "present"),
    }
)
TEXT_LIMIT = 10_000  # characters of a console line, a condition or a name

_BREAKPOINT: tuple[tuple[str, type[int | str | bool]], ...] = (
    *(("line", int), ("name", str), ("node", int), ("condition", str)),
    *(("hit", str), ("log", str), ("limit", int)),
)

T = TypeVar("T")
_REQUIRED: Any = object()


class Verbs:
    """Answers the pages of one session. `answer` may be called from any thread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        session.contrast = Contrast(session)
        self._verbs: dict[str, Callable[[Json], Any]] = {
            "level": self._level,
            "sample": lambda request: self.session.set_sample(field(request, "every", int)),
            "value_budget": lambda request: self.session.set_value_budget(field(request, "bytes", int)),
            "switch": self._switch,
            "breakpoint": self._breakpoint,
            "watch": self._watch,
            "memory": self._memory,
            "alive": self._alive,
            "contrast": self._contrast,
            "peak": lambda _request: self._ask(peak.explain),
            "turn": self._turn,
            "evaluate": self._evaluate,
            "variables": lambda request: self.session.variables(field(request, "frame", int, 0)),
            "complete": self._complete,
            "engine": self._engine,
            "configure": self._configure,
            "why": self._why,
            "output": self._output,
            "node": self._node,
            "look": self._look,
            "set_value": self._set_value,
            "supply": self._supply,
            "source": self._source,
            "save": self._save,
            "lines": self._lines,
            "variable": self._variable,
            "stack": self._stack,
            "events": self._events,
            "iterations": self._iterations,
            "compare": self._compare,
            "parameters": self._parameters,
            "marks": lambda _request: self._ask(marks.marks),
            "html": self._html,
            "dot": lambda _request: {"text": dot.dot(self._store)},
        }

    @property
    def _store(self) -> GraphStore:
        return self.session.store

    def open_stream(self) -> Page:
        """A cursor for a page that was just opened."""
        return Page(self.session)

    def moves(self, verb: str) -> bool:
        """Whether the verb moves the program."""
        return verb in MOVES

    def answer(self, request: Json) -> Any:
        """Do what a page asked and give the reply's data. Raises Refusal with a sentence."""
        verb: str = request["do"]
        try:
            if verb in MOVES:
                return self._move(verb, request)
            handler = self._verbs.get(verb)
            if handler is None:
                near = difflib.get_close_matches(verb[:40], [*sorted(MOVES), *self._verbs], 5, 0.4)
                hint = f" Near it there are: {', '.join(near)}." if near else ""
                raise Refusal(f"There is no verb {verb[:40]!r}.{hint}")
            return handler(request)
        except Refused as refused:
            raise Refusal(str(refused)) from None
        except (FutureTimeout, TimeoutError) as slow:
            raise Refusal(
                str(slow) or "The program has not answered within 10 s; it may be busy in that expression."
            ) from None

    # Commands

    def _move(self, verb: str, request: Json) -> None:
        # Two pages may show the same stop. The command of the one that was slower was meant for a
        # place the program has left; a page that says which stop it saw is protected from that.
        seen: int | None = field(request, "at", int, None)
        # Whoever wants it to stand still is never too late.
        meant = {} if seen is None or verb == "pause" else {"seen": seen}
        if verb in ("run_to_node", "go_to"):
            self.session.send(verb, **meant, node=field(request, "node", int))
        elif verb == "run_to_line":
            path, line = self._path(request), field(request, "line", int)
            self.session.send(verb, **meant, file=path, line=line)
        else:
            self.session.send(verb, **meant)

    def _level(self, request: Json) -> None:
        self.session.set_level(field(request, "level", int))

    def _switch(self, request: Json) -> None:
        target = field(request, "target", str)
        if target == "place":
            name = f"{self._path(request)}:{field(request, 'line', int)}"
        else:
            name = field(request, "name", str)
        self.session.switch(target, name, field(request, "on", bool))

    def _breakpoint(self, request: Json) -> Json | None:
        action = field(request, "action", str)
        if action == "add":
            fields: Json = {name: field(request, name, kind, None) for name, kind in _BREAKPOINT}
            if request.get("file") is not None:
                fields["file"] = self._line_of(request)
            added = self.session.add_breakpoint(field(request, "kind", str), **fields)
            return {"id": added.id, "label": added.label}
        if action == "text":
            return {"text": self.session.breakpoints_text()}
        if action == "load":
            again = self.session.breakpoints_of(field(request, "text", str, limit=saved.LONGEST))
            return {"count": len(again)}
        number = field(request, "breakpoint", int)
        if action == "remove":
            self.session.remove_breakpoint(number)
        elif action == "edit":
            changed: Json = {n: field(request, n, kind, None) for n, kind in _BREAKPOINT if n in request}
            if "file" in request:
                changed["file"] = None if request["file"] is None else self._line_of(request)
            self.session.edit_breakpoint(number, **changed)
        elif action in ("enable", "disable"):
            self.session.enable_breakpoint(number, action == "enable")
        else:
            raise Refusal(
                f"A breakpoint can be added, edited, removed, enabled or disabled, and all be told as a text or loaded from one, not {action[:40]!r}."
            )
        return None

    def _watch(self, request: Json) -> list[Json] | None:
        action = field(request, "action", str)
        if action == "add":
            self.session.add_watch(field(request, "text", str))
        elif action == "edit":
            self.session.edit_watch(field(request, "watch", int), field(request, "text", str))
        elif action == "remove":
            self.session.remove_watch(field(request, "watch", int))
        elif action == "look":
            return [asdict(watch) for watch in self.session.watches_in(field(request, "frame", int))]
        else:
            raise Refusal(
                f"A watch can be added, edited, removed or looked at in a frame, not {action[:40]!r}."
            )
        return None

    # Questions

    def _evaluate(self, request: Json) -> str:
        return self.session.evaluate(field(request, "text", str), field(request, "frame", int, 0))

    def _complete(self, request: Json) -> Json:
        return self.session.complete(field(request, "text", str), field(request, "frame", int, 0))

    def _why(self, request: Json) -> Json:
        question, node = field(request, "question", str), field(request, "node", int)
        return self.session.why(question, node, field(request, "dim", int, 0))

    def _memory(self, request: Json) -> Json:
        axis = _axis(request)
        return self._ask(lambda store: memory.timeline(store, axis))

    def _alive(self, request: Json) -> Json:
        axis, x = _axis(request), field(request, "x", int)
        return self._ask(lambda store: memory.at(store, x, axis))

    def _contrast(self, request: Json) -> Json:
        """The run once more without (or with) the memory optimisation: begin, give up, how far it is, its course."""
        action = field(request, "action", str, "status")
        contrast: Contrast = self.session.contrast
        if action == "start":
            return contrast.start()
        if action == "stop":
            contrast.stop()
        elif action not in ("status", "course"):
            raise Refusal(f"A comparison can be started, stopped or asked for, not {action[:40]!r}.")
        return {
            **contrast.status(),
            "course": contrast.course(_axis(request)) if action == "course" else None,
        }

    def _turn(self, request: Json) -> None:
        group, index = field(request, "group", int), field(request, "index", int, None)
        self._ask(lambda store: store.pin(group, index))

    def _node(self, request: Json) -> Json:
        """What the store knows of a node; at a stop also what the program still holds of its value."""
        number = field(request, "node", int)
        answer = self._ask(lambda store: nodes.describe(store, number))
        if "problem" in answer and (earlier := self.session.earlier(number)) is not None:
            answer = self._ask(lambda store: nodes.describe(store, number, earlier))
        if not answer.get("statistics") and self.session.state == PAUSED:
            try:
                answer["value"] = self.session.inspect(number, timeout=2.0)
            except (Refused, FutureTimeout, TimeoutError):
                answer["value"] = None  # the program no longer holds it; the page says how to keep values
        return answer

    def _look(self, request: Json) -> Json:
        """A part of a node's value, small enough for a picture."""
        node, index = field(request, "node", int), field(request, "index", str, "")
        return self.session.look(node, index, kind=field(request, "kind", str, ""))

    def _set_value(self, request: Json) -> Json:
        node, index = field(request, "node", int), field(request, "index", str, "")
        return self.session.set_value(node, index, field(request, "value", str))

    def _supply(self, request: Json) -> Json:
        return {"shape": self.session.supply(field(request, "value", str))}

    def _source(self, request: Json) -> Json:
        self._path(request)
        return self._ask(lambda store: source.source(store, field(request, "file", int)))

    def _save(self, request: Json) -> Json:
        path = self._path(request)
        if self.session.recorded_only:
            raise Refusal("This is a recording: its files are as they were, and are not written to.")
        text = field(request, "text", str, limit=editing.LONGEST)
        try:
            return editing.save(path, field(request, "hash", str), text)
        except editing.NotSaved as why:
            raise Refusal(str(why)) from None

    def _lines(self, request: Json) -> Json:
        self._path(request)
        return self._ask(lambda store: source.lines(store, field(request, "file", int)))

    def _variable(self, request: Json) -> Json:
        self._path(request)
        file, line = field(request, "file", int), field(request, "line", int)
        name = field(request, "name", str)
        return self._ask(lambda store: variables.variable(store, file, line, name))

    def _stack(self, request: Json) -> Json:
        return self._ask(lambda store: stack.stack(store, field(request, "node", int, 0)))

    def _events(self, request: Json) -> Json:
        skip, count = field(request, "from", int, 0), field(request, "count", int, 200)
        if skip < 0 or not 0 < count <= 1000:
            raise Refusal("'from' is 0 or more and 'count' from 1 to 1000.")
        only: str = field(request, "only", str, "all")
        if only not in events.ONLY:
            raise Refusal(f"Events can be listed as {', '.join(events.ONLY)}, not {only[:40]!r}.")
        time: int | None = field(request, "before", int, None)
        before = None if time is None else (field(request, "node", int), time)
        found = self._ask(lambda store: events.rows(store, skip, count, only, before))
        if before and len(found["rows"]) < count and self._ask(events.forgets):
            with contextlib.suppress(Refused, RecordingError, OSError):  # then what is held is all there is
                return self.session.as_of(
                    before[1], lambda store: events.rows(store, skip, count, only, before)
                )
        return found

    def _iterations(self, request: Json) -> Json:
        return self._ask(iterations.iterations)

    def _parameters(self, request: Json) -> Json:
        module = field(request, "module", str, None)
        return self._ask(lambda store: parameters.parameters(store, module))

    def _compare(self, request: Json) -> Json:
        a, b = field(request, "a", int), field(request, "b", int)
        return self._ask(lambda store: iterations.compare(store, a, b))

    def _engine(self, request: Json) -> Json:
        """What the engine does by itself: one of the views of its panel."""
        view = field(request, "view", str)
        if view not in engine.VIEWS:
            raise Refusal(f"The engine's views are {', '.join(engine.VIEWS)}, not {view[:40]!r}.")

        def facts() -> Json:
            try:
                return self.session.facts()
            except Refused as why:
                raise LookupError(str(why)) from None

        return engine.engine(self._store, view, facts)

    def _configure(self, request: Json) -> list[Json]:
        """Change one key of the configuration, from here on; `value` as it is typed."""
        key, value = field(request, "key", str), field(request, "value", str).strip()
        if not value:
            raise Refusal(f"{key[:40]!r} needs a value.")
        return self.session.configure(**{key: settings.value(value)})

    def _output(self, request: Json) -> list[tuple[int, str]]:
        return self._ask(lambda store: store.output())

    def _html(self, _request: Json) -> Json:
        """The run so far as one HTML file."""
        from dsviz.onefile.write import html

        path = self.session.recorded()
        name = "" if self.session.recorded_only else os.path.basename(self.session.script)
        try:
            text = html(path, name)
        except RecordingError as error:
            raise Refusal(f"The run's recording cannot be read: {error}") from None
        return {"name": f"{os.path.splitext(os.path.basename(self.session.script))[0]}.html", "text": text}

    # Helpers

    def _ask(self, question: Callable[[GraphStore], T]) -> T:
        store = self._store
        with store.lock:
            return question(store)

    def _line_of(self, request: Json) -> str:
        """The path of the file whose line is named. Raises Refusal where it has no such line."""
        path, line = self._path(request), field(request, "line", int)
        with self._store.lock:
            text = self._store.read(path)
        if text is not None and not 0 < line <= len(text.splitlines()):
            count = len(text.splitlines())
            raise Refusal(f"{os.path.basename(path)} has {count} lines, so there is no line {line}.")
        return path

    def _path(self, request: Json) -> str:
        """The path of a file that the page names by its number."""
        number = field(request, "file", int)
        if number not in self._store.files:
            raise Refusal(f"There is no file number {number} in this run.")
        return self._store.text(number)


def _axis(request: Json) -> str:
    axis: str = field(request, "axis", str, "time")
    if axis not in ("time", "events"):
        raise Refusal(f"The memory timeline has the axes time and events, not {axis[:40]!r}.")
    return axis


def field(
    request: Json,
    name: str,
    kind: type[int | str | bool],
    default: Any = _REQUIRED,
    limit: int = TEXT_LIMIT,
) -> Any:
    """A field of a request, which must be of the kind. Raises Refusal with a sentence.

    >>> field({"level": 2}, "level", int)
    2
    """
    value = request.get(name)
    if value is None and default is not _REQUIRED:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        noun = {int: "a whole number", str: "text", bool: "true or false"}[kind]
        raise Refusal(f"{request['do'][:40]!r} needs {name!r}, {noun}.")
    if isinstance(value, int) and not -(1 << 53) < value < 1 << 53:
        raise Refusal(f"{name!r} is too large a number.")
    if isinstance(value, str) and len(value) > limit:
        raise Refusal(f"{name!r} is longer than {limit} characters.")
    return value
