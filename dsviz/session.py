"""A debugging session: one script, run in a process of its own, stepped and watched from here.

with Session.launch("train.py") as session:
    stop = session.wait()          # before the first node
    stop = session.next()          # one node on
    session.resume()               # to the end, or the next breakpoint
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import msgspec

from dsviz import events, saved, stop
from dsviz.debuggee.breakpoints import EXCEPTION, SHAPE_MISMATCH, Breakpoint, checked
from dsviz.debuggee.view import BadIndex
from dsviz.endings import ended
from dsviz.playback import NotKeptError, Playback
from dsviz.process import LaunchError, Process
from dsviz.recording.format import RecordingError
from dsviz.recording.reader import Reader
from dsviz.recording.recorder import Recorder, beside, make_room, meta_of
from dsviz.recording.writer import DEFAULT_BUDGET
from dsviz.stop import ENDS, PAUSED, RUNNING, STARTING, Stop
from dsviz.store import GraphStore
from dsviz.travelling import BACK, Travelling

__all__ = ["LaunchError", "Refused", "Session", "Stop"]

RUN_TO = {"run_to_node": "node", "run_to_line": "line"}
MOVES = ("continue", "next", "into", "over", "out", "next_line", "next_iteration", *RUN_TO)
_ALIASES = {"resume": "continue"}


class Refused(ValueError):  # noqa: N818 - an answer to the person, not a fault
    """A command that makes no sense now; the text is the sentence for the person."""


class Session(Travelling):
    """Runs a script under the debugger. Every method may be called from any thread."""

    recorded_only = False  # whether there is no program, only what was recorded of one

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
        breakpoints: bool = True,
        **popen: Any,
    ) -> None:
        self._prepare(_checked_script(os.fspath(script)), args, _checked_level(trace_level))
        self._pause_at_entry = pause_at_entry
        self._capacity = capacity
        self._record = None if record is None else os.path.abspath(os.fspath(record))
        self._value_budget = value_budget
        self._popen = popen
        if breakpoints:
            self.add_breakpoint(SHAPE_MISMATCH)
            self.add_breakpoint(EXCEPTION)
        self._start()

    def _prepare(self, script: str, args: Sequence[str], level: int) -> None:
        """What there is before a program runs."""
        self.script, self.args = script, [str(arg) for arg in args]
        self.level = level
        self.run = 0
        self._present = GraphStore()
        self._present.script, self._present.args, self._present.level = self.script, self.args, self.level
        self._recorder: Recorder | None = None
        self._unrecorded = ""
        self._changed = threading.Condition(threading.RLock())
        self._moving = threading.Lock()  # restart and stop, one at a time
        self._listeners: list[Callable[[str], object]] = []
        self._process: Process | None = None
        self._state = STARTING
        self._stop: Stop | None = None
        self._generation = 0  # counts moves, so that a waiting command knows its own stop
        self._hello: dict[str, Any] = {}
        self._uncaught: events.Uncaught | None = None
        self._stopping = False
        self._lost = False
        self._mismatch: Any = None  # the version of a program that speaks another one
        self._requests: dict[int, Future[Any]] = {}
        self._next_request = 0
        self._next_breakpoint = 0
        self._breakpoints: dict[int, Breakpoint] = {}
        self._switches: dict[tuple[str, str], bool] = {}
        self.logs: deque[str] = deque(maxlen=10_000)  # what logpoints told

    @classmethod
    def launch(
        cls, script: str | os.PathLike[str], args: Sequence[str] = (), trace_level: int = 1, **options: Any
    ) -> Session:
        """Start `script` with `args`, paused before its first node; use it as a context manager.

        `options`: `pause_at_entry=False` runs on at once; `stdin`, `stdout`, `stderr`, `cwd` and `env` are
        those of `subprocess.Popen` (the program has this process's own streams where they are left out); `python` is
        another interpreter, `command` a program of any kind that speaks `dsviz/protocol.md`. `record` is the file the run is recorded to (without it a temporary one, removed
        by `close`; a restart records beside it, `run-2.dsviz`), with at most `value_budget` bytes of arrays.
        `breakpoints=False` starts with none, not even those for mismatches and exceptions.
        Raises `LaunchError` with a sentence where the script cannot be run.
        """
        return cls(script, args, trace_level, **options)

    # What is known

    @property
    def state(self) -> str:
        """starting, running, paused, finished, failed, killed, stopped or lost; paused too while in the past."""
        return self._state if self._past is None else PAUSED

    @property
    def store(self) -> GraphStore:
        """What the program has told; in the past, what it had told by then."""
        with self._changed:
            return self._present if self._past is None else self._past.store

    @property
    def stop_now(self) -> Stop | None:
        """The stop the program stands at, or how it ended; None while it runs. In the past, the moment looked at."""
        with self._changed:
            if self._past is not None:
                return self._past.stop
            return self._stop if self._state == PAUSED or self._state in ENDS else None

    @property
    def pid(self) -> int:
        """Process number of the program."""
        assert self._process is not None
        return self._process.pid

    @property
    def breakpoints(self) -> list[Breakpoint]:
        """All breakpoints, oldest first."""
        with self._changed:
            return list(self._breakpoints.values())

    @property
    def switches(self) -> list[tuple[str, str, bool]]:
        """Trace switches that were set: (target, name, on)."""
        with self._changed:
            return [(target, name, on) for (target, name), on in self._switches.items()]

    def graph(self) -> Any:
        """The view model of the graph so far: the store's merged structure."""
        return self.store.structure

    # Waiting

    def wait(self, timeout: float | None = None) -> Stop:
        """The stop the program stands at, once it stands. Raises TimeoutError after `timeout` seconds."""
        return self._wait(self._generation, timeout)

    def _wait(self, generation: int, timeout: float | None) -> Stop:
        with self._changed:
            reached = self._changed.wait_for(
                lambda: self._generation > generation or self._state == PAUSED or self._state in ENDS, timeout
            )
            if self._past is not None:
                return self._past.stop
            if reached and self._stop is not None:
                return self._stop
        raise TimeoutError(f"The program is still {self._state} after {timeout} s.")

    # Moving

    def pause(self, timeout: float | None = None) -> Stop:
        """Stop before the next node. A program that stands already stays where it is."""
        if (now := self.stop_now) is not None:
            return now
        return self._move("pause", timeout)

    def stop(self, timeout: float | None = None) -> Stop:
        """End the program: asked first, then by SIGTERM, then by SIGKILL."""
        if self._state in ENDS:
            self._back_to_present()
            return self.wait(0)
        return self._move("stop", timeout)

    def send(self, verb: str, **fields: Any) -> int:
        """Start a command without waiting for what comes of it.

        `verb`: continue, pause, next, into, over, out, next_line, next_iteration, run_to_node (`node`),
        run_to_line (`file`, `line`), step_back, reverse_continue, go_to (`node`), present, restart, stop. Raises `Refused` with a
        sentence where it makes no sense now. Listeners hear of the stop that follows.
        """
        verb = _ALIASES.get(verb, verb)
        if verb in BACK or (self._past is not None and verb in MOVES):
            return self._visit(verb, fields)
        until = self._until(verb, fields)
        if verb in ("restart", "stop"):
            return self._end_or_restart(verb)
        if verb not in (*MOVES, "pause"):
            raise Refused(f"There is no command {verb!r}.")
        with self._changed:
            generation = self._generation
            if verb == "pause":
                self._refuse_unless(RUNNING, STARTING, verb=verb)
                assert self._process is not None
                self._process.send({"t": "pause"})
                return generation
            self._refuse_unless(PAUSED, verb=verb)
            assert self._process is not None
            number = self._stop.number if self._stop else 0
            self._set(RUNNING, None)
            go = "continue" if until is not None else verb
            self._process.send({"t": "go", "verb": go, "number": number, "until": until})
        self._tell("state")
        return generation

    def _visit(self, verb: str, fields: dict[str, Any]) -> int:
        """Move the view between past and present; the program stands still meanwhile."""
        with self._changed:
            if verb == "go_to" and not isinstance(fields.get("node"), int):
                raise Refused("'go_to' needs 'node', the number of a node.")
            if verb in BACK and set(fields) - ({"node"} if verb == "go_to" else set()):
                raise Refused(f"'{verb}' takes no {next(iter(fields))!r}.")
            if self._moving.locked():
                raise Refused("The program is being restarted or stopped; wait for that.")
            if self._state != PAUSED and self._state not in ENDS:
                raise Refused(f"The program is {self._state}: pause it before '{verb}'.")
            if self._past is not None and verb not in BACK:
                self._until(verb, fields)
            self._travel(verb, fields)
            generation = self._generation
        self._tell("state")
        return generation

    def _back_to_present(self) -> None:
        with self._changed:
            self._leave_past()

    def _refusal(self, sentence: str) -> Refused:
        return Refused(sentence)

    def _breakpoints_now(self) -> list[Breakpoint]:
        return list(self._breakpoints.values())

    def _until(self, verb: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        # "Run to" is a breakpoint that is gone at the next stop, whatever that is.
        kind = RUN_TO.get(verb)
        if kind is None:
            if fields:
                raise Refused(f"'{verb}' takes no {next(iter(fields))!r}.")
            return None
        if kind == "node" and self._past is None and fields.get("node") in self._present.nodes:
            raise Refused(f"Node {fields['node']} has run already; step back or restart to see it.")
        try:
            return dict(msgspec.to_builtins(checked(0, kind, fields)))
        except ValueError as error:
            raise Refused(str(error).replace("A breakpoint of kind", f"'{verb}': a place of kind")) from None

    def _refuse_unless(self, *states: str, verb: str) -> None:
        if self._moving.locked():
            raise Refused("The program is being restarted or stopped; wait for that.")
        if self._state in states:
            return
        if self._state in ENDS:
            raise Refused(f"The program has {_ENDED[self._state]}: there is nothing to {verb}. Restart it.")
        if self._state == PAUSED:
            raise Refused("The program is paused already.")
        raise Refused(f"The program is {self._state}: pause it before '{verb}'.")

    def _end_or_restart(self, verb: str) -> int:
        if not self._moving.acquire(blocking=False):
            raise Refused("The program is being restarted or stopped; wait for that.")
        with self._changed:
            if verb == "stop" and self._state in ENDS:
                self._moving.release()
                raise Refused(f"The program has {_ENDED[self._state]} already.")
            generation = self._generation
            self._leave_past()
            self._stopping = True

        def work() -> None:
            try:
                assert self._process is not None
                self._process.end()
                if verb == "restart":
                    self._start()
            finally:
                self._moving.release()
            if verb == "restart":
                self._tell("run")
                self._tell("state")

        if verb == "restart":
            with self._changed:
                # The old run's end is no stop of the new one.
                self._set(STARTING, None)
        threading.Thread(target=work, name="dsviz-" + verb, daemon=True).start()
        return generation

    # Looking

    def request(self, do: str, **fields: Any) -> Future[Any]:
        """Ask the paused program; the future holds its answer or raises `Refused` with its sentence."""
        future: Future[Any] = Future()
        with self._changed:
            if self._past is not None:
                raise Refused(
                    "This moment is past: its frames are gone. Continue to the present to look into the program."
                )
            if self._state != PAUSED:
                raise Refused(f"The program is {self._state}: it can be looked into only while it is paused.")
            self._next_request += 1
            number = self._next_request
            self._requests[number] = future
            assert self._process is not None
            sent = self._process.send({"t": "request", "id": number, "do": do, **fields})
            if not sent:
                del self._requests[number]
                raise Refused("The program does not hear any more.")
        return future

    def inspect(self, node: int, timeout: float = 10.0) -> dict[str, Any]:
        """What the paused program still holds of `node`: statistics of its value, and some of its numbers.

        What it no longer holds, and all that is past, is read from the recording or computed again: `how` says which.
        """
        if self._past is None and self._state == PAUSED:
            try:
                return dict(self.request("inspect", node=node).result(timeout))
            except Refused as refused:
                try:
                    return self.recall(node)
                except Refused as why:
                    raise Refused(f"{refused} {why}") from None
        return self.recall(node)

    def recall(self, node: int) -> dict[str, Any]:
        """What `inspect` gives, from the recording only, at the moment looked at. The program may run or have ended."""
        return self._from_record(lambda past: past.inspect(node))

    def look(self, node: int, index: str = "", timeout: float = 5.0) -> dict[str, Any]:
        """The part `[index]` of the value of `node`, small enough for a picture; from the program where it holds it."""
        if self._past is None and self._state == PAUSED:
            try:
                return dict(self.request("look", node=node, index=index).result(timeout))
            except Refused as refused:
                if "not held any more" not in str(refused):
                    raise
                try:
                    return self._looked(node, index)
                except Refused as why:
                    raise Refused(f"{refused} {why}") from None
        return self._looked(node, index)

    def _looked(self, node: int, index: str) -> dict[str, Any]:
        return self._from_record(lambda past: past.look(node, index))

    def _snapshot(self) -> Reader:
        if self._recorder is None:
            raise Refused("This run is not recorded, so nothing of it was kept.")
        return self._recorder.snapshot()

    def _from_record(self, ask: Callable[[Playback], dict[str, Any]]) -> dict[str, Any]:
        with self._changed:
            past = self._past or Playback(self._snapshot())
            try:
                return ask(past)
            except (NotKeptError, BadIndex) as error:
                raise Refused(str(error)) from None
            finally:
                if past is not self._past:
                    past.close()

    def why(self, question: str, node: int, dim: int = 0, timeout: float = 10.0) -> dict[str, Any]:
        """Ask the paused program "shape", "value" or "no_grad" of a node: the sentence and the chain of lines."""
        if question not in ("shape", "value", "no_grad"):
            raise Refused(f"There is no question {question[:40]!r}; there are shape, value and no_grad.")
        return dict(self.request("why", question=question, node=node, dim=dim).result(timeout))

    def why_shape(self, node: int, dim: int) -> dict[str, Any]:
        """Where dimension `dim` of `node` was chosen."""
        return self.why("shape", node, dim)

    def why_value(self, node: int) -> dict[str, Any]:
        """Where the NaN or Inf of `node` first appeared."""
        return self.why("value", node)

    def why_no_grad(self, node: int) -> dict[str, Any]:
        """Why the leaf `node` has no gradient."""
        return self.why("no_grad", node)

    def evaluate(self, text: str, frame: int = 0, timeout: float = 10.0) -> str:
        """The value of a Python expression in the paused frame (0 innermost), or what a statement printed."""
        return str(self.request("evaluate", text=text, frame=frame).result(timeout))

    def set_value(self, node: int, index: str, value: object, timeout: float = 10.0) -> dict[str, Any]:
        """Write to a part of the value of `node`: `set_value(7, "0, :", 1.5)`; text is an expression.

        Gives what `inspect` gives, with the new numbers.
        """
        text = value if isinstance(value, str) else repr(value)
        return dict(self.request("set", node=node, index=index, value=text).result(timeout))

    def supply(self, value: object, timeout: float = 10.0) -> list[int]:
        """Give the result of the op that cannot run, as an expression in the paused frame or as nested
        lists; the program uses it when it goes on. Gives its shape.
        """
        now = self.stop_now
        if now is None or now.error is None or now.position != "node":
            raise Refused("A result can be supplied only at a stop before an op that cannot run.")
        text = value if isinstance(value, str) else repr(value)
        return list(self.request("supply", value=text).result(timeout))

    # Settings

    def set_level(self, level: int) -> None:
        """Trace level 0 (off), 1 (operations) or 2 (with statistics), at once."""
        self.level = _checked_level(level)
        self._forward({"t": "level", "level": level})
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
        "type mismatch", "exception", "nan", "if" (any op for which `condition` holds), "gradient" (of the
        parameter that expression `name` gives, or any), "memory" (limit, in bytes) or "data" (the tensor that expression `name` gives).

        `condition` is a Python expression over the frame's names and the op's `args`, `out`, `op`, `shape`,
        `module`, `iteration` (of a gradient: `grad`, `norm`, `zero`); `hit` counts, as "3", ">= 5" or
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
        """Keep the breakpoints in a file; those on lines with the line's text, by which it is found again."""
        with self._changed:
            saved.save(os.fspath(path), list(self._breakpoints.values()))

    def load_breakpoints(self, path: str | os.PathLike[str]) -> list[Breakpoint]:
        """Add the breakpoints that `save_breakpoints` kept. A line that has moved is followed to where its
        text is now. Raises `Refused` with a sentence where the file is none of ours.
        """
        try:
            items = saved.load(os.fspath(path))
        except ValueError as error:
            raise Refused(str(error)) from None
        added = []
        for fields in items:
            on = fields.pop("enabled", True)
            new = self.add_breakpoint(**fields)
            if not on:
                self.enable_breakpoint(new.id, False)
            added.append(new)
        return added

    def _breakpoint(self, id: int) -> Breakpoint:
        if id not in self._breakpoints:
            raise Refused(f"There is no breakpoint {id}.")
        return self._breakpoints[id]

    def _breakpoints_changed(self) -> None:
        self._forward({"t": "breakpoints", "items": self._breakpoint_records()})
        self._tell("settings")

    def _breakpoint_records(self) -> list[dict[str, Any]]:
        with self._changed:
            return [msgspec.to_builtins(item) for item in self._breakpoints.values()]

    def _forward(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._state not in ENDS:
            self._process.send(message)

    # Messages for a page

    def state_message(self) -> dict[str, Any]:
        """The page's `state` message: the state, the stop, one sentence, and what to do next."""
        with self._changed:
            state, now = self.state, self.stop_now
        message, advice = _say(state, now)
        shown = now.as_dict() if now else None
        if shown is not None and now is not None:
            with self.store.lock:
                slot = self.store.structure.slot_of.get(now.node)
            shown["slot"] = None if slot is None else slot.id
        return {
            "t": "state",
            "state": state,
            "stop": shown,
            "message": message,
            "next": advice,
            "last": self._present.structure.latest,  # the newest node, as far as one can go forward again
        }

    def settings_message(self) -> dict[str, Any]:
        """The page's `settings` message: trace level, breakpoints and switches."""
        with self._changed:
            return {
                "t": "settings",
                "level": self.level,
                "breakpoints": [
                    {
                        "id": item.id,
                        "kind": item.kind,
                        "label": item.label,
                        "enabled": item.enabled,
                        "hits": item.hits,
                        "file": item.file,
                        "line": item.line,
                        "condition": item.condition,
                        "hit": item.hit,
                        "log": item.log,
                        "problem": item.problem,
                    }
                    for item in self._breakpoints.values()
                ],
                "switches": [
                    {"target": target, "name": name, "on": on}
                    for (target, name), on in self._switches.items()
                ],
            }

    def on_change(self, callback: Callable[[str], object]) -> Callable[[], None]:
        """Call `callback(what)` after each change: "state", "events", "settings" or "run" (a new run began).

        It is called in a thread of the session and must return at once. Gives the function that ends it.
        """
        with self._changed:
            self._listeners.append(callback)

        def remove() -> None:
            with self._changed:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return remove

    def _tell(self, what: str) -> None:
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(what)

    # What the process reports, in its reading thread

    def _start(self) -> None:
        with self._changed:
            self.run += 1
            if self.run > 1:
                self._leave_past()
                self._present.begin(self.script, self.args, level=self.level)
            self._hello, self._uncaught, self._stopping, self._lost = {}, None, False, False
            self._mismatch = None
            self._state, self._stop = STARTING, None
            self._begin_recording()
            setup: dict[str, Any] = {
                "level": self.level,
                "pause_at_entry": self._pause_at_entry,
                "breakpoints": self._breakpoint_records(),
                "switches": self.switches,
                "values": self._value_budget,
            }
            if self._capacity is not None:
                setup["capacity"] = self._capacity
            try:
                self._process = Process(
                    self.script,
                    self.args,
                    setup,
                    on_events=self._on_events,
                    on_message=self._on_message,
                    on_end=self._on_end,
                    **self._popen,
                )
            except LaunchError:
                if self._recorder is not None:
                    self._recorder.discard()
                    make_room(self._recorder.path)  # nothing ran: there is nothing to keep
                raise

    def _set(self, state: str, now: Stop | None) -> None:
        with self._changed:
            self._state, self._stop = state, now
            if now is not None:
                self._generation += 1
            self._changed.notify_all()

    def _on_events(self, batch: list[events.AnyEvent]) -> None:
        if self._recorder is not None:
            batch = self._recorder.take(batch)
        self._present.feed_many(batch)
        for event in batch:
            if type(event) is events.Uncaught:
                self._uncaught = event
        self._tell("events")

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message.get("t")
        if kind == "hello":
            if message.get("version") != events.VERSION:
                self._mismatch = message.get("version")
                assert self._process is not None
                self._process.refuse()
                return
            with self._changed:
                self._hello = message
                self._present.pid, self._present.python = message["pid"], message["python"]
                if self._state == STARTING and not self._stopping:
                    self._set(RUNNING, None)
            self._tell("state")
        elif kind == "stop":
            now = stop.paused(message)
            self._present.overhead = message.get("overhead")
            if now.pending and now.error is None and not message.get("ran"):
                self._expect(now)
            with self._changed:
                for id in now.breakpoints:
                    if id in self._breakpoints:
                        self._breakpoints[id].hits += 1
                if self._recorder is not None:
                    self._recorder.stop(now)
                self._set(PAUSED, now)
            if now.breakpoints:
                self._tell("settings")
            self._tell("state")
        elif kind == "resumed":
            # Ctrl-C at a pause: the program goes on by itself.
            with self._changed:
                if self._state == PAUSED:
                    self._set(RUNNING, None)
            self._tell("state")
        elif kind == "reply":
            self._answer(message)
        elif kind == "log":
            self.logs.append(str(message["text"]))
            self._on_events([events.Output(1, f"{message['text']}\n", 0)])
        elif kind == "condition":
            with self._changed:
                if message["id"] in self._breakpoints:
                    self._breakpoints[message["id"]].problem = str(message["error"])
            self._tell("settings")
        elif kind == "level":
            self._on_events([events.Level(message["level"], message["time"])])
        elif kind == "switch":
            self._on_events([events.Switched(message["target"], message["name"], message["on"])])
        elif kind == "lost":
            self._lost = True
            self._fail_requests("The program let go of the debugger.")
            self._set(stop.LOST, Stop("lost", state=stop.LOST, text=_SAY[stop.LOST][0]))
            self._tell("state")

    def _expect(self, now: Stop) -> None:
        # The node about to run gets its place in the graph before it ran.
        pending = now.pending
        self._present.expect(
            events.Op(
                pending["node"], pending["op"], pending["phase"], tuple(pending["inputs"]), (), 0,
                pending["call"], pending["frame"], pending["twin"], pending["iteration"],
                0, 0, 0, 0, pending["attrs"],
            )
        )  # fmt: skip

    def _answer(self, message: dict[str, Any]) -> None:
        with self._changed:
            future = self._requests.pop(message.get("id", 0), None)
        if future is None:
            return
        if message.get("ok"):
            future.set_result(message.get("data"))
        else:
            future.set_exception(Refused(str(message.get("error", "The program gave no answer."))))

    def _fail_requests(self, sentence: str) -> None:
        with self._changed:
            waiting, self._requests = self._requests, {}
        for future in waiting.values():
            future.set_exception(Refused(sentence))

    def _on_end(self, status: int) -> None:
        self._fail_requests("The program has ended.")
        if self._stopping and self._moving.locked() and self._state == STARTING:
            if self._recorder is not None:
                self._recorder.end(Stop("stopped", text="Restarted.", state=stop.STOPPED, status=status))
            return  # a restart: the next run's stop is the one to tell of
        assert self._process is not None
        now = ended(
            status,
            stopped=self._stopping,
            uncaught=self._uncaught,
            breadcrumb=self._process.last_breadcrumb,
            store=self._present,
            connected=bool(self._hello),
            level=self.level,
        )
        if self._mismatch is not None:
            text = f"The program speaks version {self._mismatch} of the protocol, and this dsviz version {events.VERSION}."
            now = Stop("failed", text=text, state=stop.FAILED, status=status)
        if self._recorder is not None:
            self._recorder.end(now)
        self._set(now.state, now)
        self._tell("state")

    def _begin_recording(self) -> None:
        before, self._recorder = self._recorder, None
        if before is not None:
            before.discard()
        path = self._record
        if path is not None and before is not None:
            path = beside(path)
        try:
            self._recorder = Recorder(path, meta_of(self.script, self.args), budget=self._value_budget)
            self._recorder.take([events.Level(self.level, 0)])
        except (RecordingError, OSError) as error:
            if self.run == 1 and path is not None:
                raise LaunchError(str(error)) from None
            self._unrecorded = str(error)  # the run goes on, and going back in it says why it cannot

    @property
    def recording(self) -> str:
        """The file this run is recorded to."""
        return "" if self._recorder is None else self._recorder.path

    @property
    def recording_problem(self) -> str:
        """Why the run is not recorded, or not to its end; "" where it is."""
        recorder = self._recorder
        if recorder is None:
            return self._unrecorded
        return recorder.reason if recorder.state == "damaged" else ""

    # End

    def close(self) -> None:
        """End the program if it still runs, and leave nothing behind."""
        deadline = time.monotonic() + 10.0
        while not self._moving.acquire(timeout=0.1):
            if time.monotonic() > deadline:
                return
        try:
            self._stopping = self._stopping or self._state not in ENDS
            if self._process is not None:
                self._process.end()
            self._back_to_present()
            if self._recorder is not None:
                self._recorder.discard()
        finally:
            self._moving.release()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_ENDED = {
    "finished": "finished",
    "failed": "failed",
    "killed": "been killed",
    "stopped": "been stopped",
    "lost": "let go of the debugger",
}
_SAY = {
    STARTING: ("The program is starting.", "It pauses before its first node."),
    RUNNING: ("The program is running.", "Pause stops it before the next node."),
    stop.LOST: (
        "The program let go of the debugger and runs on.",
        "Restart runs it again under the debugger.",
    ),
}


def _say(state: str, now: Stop | None) -> tuple[str, str]:
    if now is None or state not in (PAUSED, *ENDS):
        return _SAY.get(state, _SAY[RUNNING])
    if now.past:
        return f"{now.text}.", "Next and Continue go forward, at last to where the program is."
    if state == PAUSED:
        if now.position == "end":
            return now.text, "Look at what it held; Continue lets it end."
        if now.error is not None:
            return (
                now.text,
                "Look at the operands and where their sizes come from; Continue lets the op raise.",
            )
        return now.text, "Next runs it; Continue runs to the next breakpoint."
    advice = "Restart runs it again from the beginning."
    return now.text, advice


def _checked_level(level: int) -> int:
    if level not in (0, 1, 2):
        raise Refused(f"The trace level is 0, 1 or 2, not {level!r}.")
    return level


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
