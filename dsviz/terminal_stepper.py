"""`dsviz run --terminal`: the debugger's verbs typed in a terminal, for machines reached by ssh.

It needs nothing but lines in and lines out, so commands may also come through a pipe, one a line.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import queue
import signal
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dsviz import terminal, terminal_engine
from dsviz.events import Leaf, Op
from dsviz.interrupts import Interrupted, exit_status, heard, interrupts
from dsviz.output import CLOSED, PLAIN
from dsviz.query import memory
from dsviz.session import LaunchError, Refused, Session
from dsviz.stop import ENDS, LOST, PAUSED, Stop
from dsviz.terminal_places import USAGE, added, breakpoint_of, number

if TYPE_CHECKING:
    from dsviz.commands.run import RunOptions
    from dsviz.debuggee.breakpoints import Breakpoint
    from dsviz.session.watches import Watch

PROMPT = "(dsviz) "
HELP = """\
c, continue    run to the next breakpoint or the end (Ctrl-C pauses; a second Ctrl-C ends the program)
n, next        run one node                       s, into   to the next module entry or node
o, over        run what stands here whole         u, out    until this module has been left
l, line        to the next line with an op        i, iter   to the next iteration
to N | to FILE:LINE    run to a node or a line    restart   run again from the beginning
back           one node back, into the past       rc        back to the stop or breakpoint before
now            from the past to where the program is
b KIND ...     set a breakpoint (help b)          breaks    list them
clear N        remove one (clear all)             enable N, disable N
watch EXPR     told at each stop  watches  list them     unwatch N (unwatch all)
p EXPR         evaluate or execute Python in the paused frame
supply EXPR    give the result of the op that cannot run; c then goes on with it
where          module and Python stack            args      the op's inputs and attributes
graph          the graph so far (module=net.head op=relu phase=backward depth=1)
mem            live bytes by category, and the peak
stop           this stop, told again              q, quit   end the program and leave
An empty line repeats the last command. The commands are read from standard input; the program's own
standard input is empty (/dev/null)."""

MOVES = {
    "c": "continue", "continue": "continue", "n": "next", "next": "next", "s": "into", "into": "into",
    "o": "over", "over": "over", "u": "out", "out": "out", "l": "next_line", "line": "next_line",
    "i": "next_iteration", "iter": "next_iteration", "restart": "restart",
    "back": "step_back", "rc": "reverse_continue", "now": "present",
}  # fmt: skip
SHORT = {"b": "break", "p": "print", "q": "quit", "w": "where", "h": "help", "?": "help", "g": "graph"}


def run(options: RunOptions) -> int:
    """Step the script by commands from standard input; gives the script's exit status."""
    from dsviz.commands.usage import UsageError

    def start() -> Session:
        try:
            return Session.launch(
                options.script,
                options.args,
                options.trace_level,
                record=options.record,
                value_budget=options.value_budget,
                sample=options.sample,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C of the terminal is ours: it pauses
            )
        except LaunchError as refused:
            raise UsageError(str(refused)) from None

    return attach(start, options.breaks)


def attach(start: Callable[[], Session], breaks: Iterable[str] = ()) -> int:
    """Step the program of the session that `start` gives; gives the program's exit status, or 0 where it runs on.

    `breaks` are breakpoints as typed after `b`.
    """
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, PLAIN)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)  # bytes that are no text cost one line, not all that follow
    stepper = Stepper()
    try:
        with interrupts(stepper.interrupted), start() as session:
            return stepper.follow(session, breaks)
    except Interrupted as asked:
        return exit_status(-asked.number)
    except BrokenPipeError:
        # Nobody reads any more (`| head`). Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED


class Stepper:
    """Reads commands, moves the session, and says what it stands at."""

    session: Session

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[int] = queue.SimpleQueue()  # a signal's number, or 0: something changed
        self._reading = self._ending = self._left = False
        self._problems: set[tuple[int, str]] = set()
        self._commands: dict[str, Callable[[str], object]] = {
            "break": self._break, "breaks": self._breaks, "clear": self._clear, "print": self._evaluate,
            "enable": lambda rest: self._enable(rest, True), "disable": lambda rest: self._enable(rest, False),
            "where": self._where, "args": self._args, "graph": self._graph, "mem": self._mem,
            "watch": self._watch, "watches": self._watches, "unwatch": self._unwatch,
            "supply": self._supply, "stop": self._again, "help": self._help, "pause": self._pause, "to": self._to,
        }  # fmt: skip

    def interrupted(self, number: int) -> None:
        """A signal came, in the main thread: Ctrl-C pauses what runs or drops the line; others end us."""
        if number != signal.SIGINT:
            if not self._ending:
                self._ending = True
                raise Interrupted(number)
        elif self._reading:
            raise KeyboardInterrupt
        else:
            self._news.put(number)

    def follow(self, session: Session, breaks: Iterable[str] = ()) -> int:
        """Carry out commands until `quit` or the end of the input; gives the exit status.

        `breaks` are breakpoints as typed after `b`, set where the program first stands.
        """
        self.session = session
        session.on_change(lambda what: self._news.put(0))
        own = "" if session.attached else " The program's own input is /dev/null."
        _say(f"Commands: c n s o u b p where args graph q; help lists all.{own}")
        self._until_it_stands()
        self._set(breaks)
        before = ""
        for line in self._lines():
            before = line or before
            if before:
                self._do(before)
            if self._left:
                break
        if session.past is not None:
            session.present()
        now = session.stop_now
        if now is None or now.state not in ENDS:
            ended = session.stop()
            _say(ended.text if session.attached else "The program was ended.")
            return 0
        return 1 if now.state == LOST else exit_status(now.status)

    # Reading

    def _lines(self) -> Iterator[str]:
        tty = sys.stdin.isatty()
        if tty:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - `input` edits the line with it
        while True:
            self._drain()
            try:
                self._reading = True
                text = input(PROMPT) if tty else sys.stdin.readline()
                self._reading = False
            except EOFError:
                self._reading = False
                _say("")
                return
            except KeyboardInterrupt:
                self._reading = False
                _say("\nq ends the program and leaves.")
                continue
            if not tty:
                if not text:
                    return
                _say(PROMPT + text.rstrip())  # so that the answers can be told apart
            yield text.strip()

    def _drain(self) -> None:
        # A Ctrl-C that came while nothing ran is over.
        with contextlib.suppress(queue.Empty):
            while True:
                self._news.get_nowait()

    def _do(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        word, rest = SHORT.get(word, word), rest.strip()
        try:
            if word == "quit":
                self._left = True
            elif word in MOVES:
                if rest:
                    raise Refused(f"'{word}' takes no {rest!r}.")
                self._move(MOVES[word])
            elif word in self._commands:
                self._commands[word](rest)
            elif word in terminal_engine.COMMANDS:
                for said in terminal_engine.COMMANDS[word](self.session, rest):
                    _say(said)
            else:
                _say(f"There is no command {word[:40]!r}; help lists them, and p EXPR evaluates Python.")
        except (Refused, ValueError) as refused:
            _say(str(refused))
        except TimeoutError as slow:
            _say(str(slow))

    # Moving

    def _move(self, verb: str, **fields: Any) -> None:
        if verb == "restart":
            self._problems.clear()  # what fails again is told again
        self.session.send(verb, **fields)
        self._until_it_stands()

    def _until_it_stands(self) -> None:
        asked, told = False, None
        while (now := self.session.stop_now) is None:
            news = heard(self._news)
            self._tell_logs()
            if (stall := self.session.stall) is not None and stall is not told:
                told = stall
                _say(stall.text)
            if not news or self.session.stop_now is not None:
                continue
            if asked:
                self.session.stop()
                continue
            asked = True
            self.session.send("pause")
            then = "lets it run on" if self.session.attached else "ends the program"
            _say(f"Pausing before the next node; Ctrl-C again {then}.")
        self._tell_logs()
        self._tell(now)

    def _pause(self, rest: str) -> None:
        _say("The program stands already. While it runs, Ctrl-C pauses it.")

    def _to(self, rest: str) -> None:
        if rest.isdigit():
            self._move("run_to_node", node=number(rest, "a node's number"))
            return
        _, fields = breakpoint_of(f"line {rest}", self.session.script) if rest else ("", {})
        if set(fields) != {"file", "line"}:
            raise Refused("to N runs to a node, to FILE:LINE to a line.")
        self._move("run_to_line", **fields)

    # Telling

    def _tell(self, now: Stop) -> None:
        if now.state in ENDS:
            again = "" if self.session.attached else "restart runs it again; "
            _say(f"{now.text}\n{again}q leaves.")
            return
        if now.error is not None:
            terminal.print_stop(now)
        else:
            hits = [item for item in self.session.breakpoints if item.id in now.breakpoints]
            why = ", ".join(f"breakpoint {item.id}: {item.label}" for item in hits) or now.reason
            module = f" in {now.module}" if now.module and now.position == "node" else ""
            shapes = ", ".join(_shape(shape) for shape in now.pending.get("shapes", ()))
            node = f"  node {now.node}" if now.node else ""
            if now.pending.get("twin"):
                node += f", the gradient of node {now.pending['twin']}"
            _say(f"{now.text}{module}  [{why}]{node}" + (f"  inputs {shapes}" if shapes else ""))
            if now.source is not None:
                _say(f"at {now.source}")
        if now.source is not None:
            _say(_source(now.source.file, now.source.line))
        if self.session.watches:
            self._watches("")

    def _again(self, rest: str) -> None:
        self._tell(self._standing())

    def _tell_logs(self) -> None:
        while self.session.logs:
            _say(f"log: {self.session.logs.popleft()}")
        for item in self.session.breakpoints:
            if item.problem and (item.id, item.problem) not in self._problems:
                self._problems.add((item.id, item.problem))
                _say(f"Breakpoint {item.id} ({item.label}) cannot be decided: {item.problem}")

    def _standing(self) -> Stop:
        now = self.session.stop_now
        assert now is not None  # commands are read only where the program stands or has ended
        return now

    def _paused(self) -> Stop:
        now = self._standing()
        if now.state != PAUSED:
            raise Refused(f"The program has ended ({now.reason}); restart runs it again.")
        return now

    # Breakpoints

    def _break(self, rest: str) -> None:
        if not rest:
            raise Refused("Say where:\n" + USAGE)
        self._set([rest])

    def _set(self, texts: Iterable[str]) -> None:
        for new in added(self.session, texts):
            self._problems.add((new.id, new.problem))
            _say(f"Breakpoint {new.id}: {new.label}" + (f". {new.problem}" if new.problem else ""))

    def _breaks(self, rest: str) -> None:
        if not self.session.breakpoints:
            _say("There are no breakpoints.")
        for item in self.session.breakpoints:
            off = "" if item.enabled else "  disabled"
            times = f"  hit {item.hits} times" if item.hits != 1 else "  hit once"
            _say(f"{item.id:3}  {item.label}{off}{times}" + (f"  ({item.problem})" if item.problem else ""))

    def _chosen(self, rest: str) -> list[Breakpoint]:
        items = self.session.breakpoints
        if rest == "all":
            return items
        id = number(rest, "a breakpoint's number (breaks lists them) or all")
        found = [item for item in items if item.id == id]
        if not found:
            raise Refused(f"There is no breakpoint {id}; breaks lists them.")
        return found

    def _clear(self, rest: str) -> None:
        for item in self._chosen(rest):
            self.session.remove_breakpoint(item.id)
            _say(f"Removed breakpoint {item.id}: {item.label}")

    def _enable(self, rest: str, on: bool) -> None:
        for item in self._chosen(rest):
            self.session.enable_breakpoint(item.id, on)
            _say(f"{'Enabled' if on else 'Disabled'} breakpoint {item.id}: {item.label}")

    # Looking

    def _evaluate(self, rest: str) -> None:
        if not rest:
            raise Refused("p EXPR: an expression was expected, such as p x.shape.")
        self._paused()
        _say(self.session.evaluate(rest).rstrip("\n"))

    def _watch(self, rest: str) -> None:
        if not rest:
            raise Refused("watch EXPR: an expression was expected, such as watch loss.item().")
        new = self.session.add_watch(rest)
        _say(next(_watched(each) for each in self.session.watch_values() if each.id == new.id))

    def _watches(self, rest: str) -> None:
        if not self.session.watches:
            _say("There are no watches.")
        try:
            known = self.session.watch_values()
        except TimeoutError:
            known = self.session.watches  # what is not known is shown without a value
        for watch in known:
            _say(_watched(watch))

    def _unwatch(self, rest: str) -> None:
        chosen = self.session.watches
        if rest != "all":
            id = number(rest, "a watch's number (watches lists them) or all")
            chosen = [watch for watch in chosen if watch.id == id]
            if not chosen:
                raise Refused(f"There is no watch {id}; watches lists them.")
        for watch in chosen:
            self.session.remove_watch(watch.id)
            _say(f"Removed watch {watch.id}: {watch.text}")

    def _supply(self, rest: str) -> None:
        if not rest:
            raise Refused("supply EXPR: an expression was expected, such as supply ds.zeros(1, 4).")
        _say(f"The op's result is yours, {_shape(self.session.supply(rest))}; c goes on with it.")

    def _where(self, rest: str) -> None:
        now = self._paused()
        for level in reversed(now.modules):
            _say(f"  module {level['path']} ({level['cls']}), called at line {level['line']}")
        for frame in reversed(now.frames):
            _say(f"  {os.path.basename(frame['path'])}:{frame['line']} in {frame['function']}")
        if not now.modules and not now.frames:
            _say("No line of the program is running.")

    def _args(self, rest: str) -> None:
        now = self._paused()
        if not now.pending:
            raise Refused("The program does not stand before an op; s goes to the next one.")
        shapes = now.pending["shapes"]
        for position, node in enumerate(now.pending["inputs"]):
            shape = _shape(shapes[position]) if position < len(shapes) else ""
            _say(f"  input {position}: {shape}  {self._made(node)}")
            if node:
                _say(f"           {self._value(node)}")
        for name, value in now.pending["attrs"].items():
            _say(f"  {name} = {value!r}")

    def _made(self, node: int) -> str:
        store = self.session.store
        with store.lock:
            record = store.nodes.get(node)
            if isinstance(record, Leaf):
                return f"{record.name or record.role} (node {node})"
            if isinstance(record, Op):
                return f"{store.text(record.op)} (node {node})"
        return f"node {node}" if node else "not a tensor"

    def _value(self, node: int) -> str:
        try:
            found = self.session.inspect(node)
        except Refused as refused:
            return str(refused)
        stats = found["summary"]
        if stats is None or not isinstance(stats["mean"], float):
            return f"{found['dtype']}  {found['values'][:6]}"
        odd = "".join(f", {stats[name]} {name}" for name in ("nans", "infs") if stats[name])
        spread = "" if math.isnan(stats["mean"]) else f"  mean {stats['mean']:.4g}, std {stats['std']:.4g}, "
        if found["dtype"].startswith("complex"):
            spread = "  |z|" + (spread.removeprefix(" ") or " ")
        return f"{found['dtype']}{spread or '  '}from {stats['minimum']:.4g} to {stats['maximum']:.4g}{odd}"

    def _graph(self, rest: str) -> None:
        only: dict[str, Any] = {}
        for word in rest.split():
            name, equals, value = word.partition("=")
            if not equals or name not in ("module", "op", "phase", "depth"):
                raise Refused(f"graph takes module=PATH, op=NAME, phase=NAME and depth=N, not {word!r}.")
            only[name] = int(value) if name == "depth" and value.isdecimal() else value
        try:
            terminal.print_graph(self.session.store, **only)
        except TypeError as error:
            raise Refused(str(error)) from None

    def _mem(self, rest: str) -> None:
        store = self.session.store
        with store.lock:
            live, peak = memory.by_category(store), memory.peak(store)
        for category, size in live.items():
            if size:
                _say(f"  {category:<12} {terminal.bytes_text(size):>9}")
        _say(f"  {'live':<12} {terminal.bytes_text(sum(live.values())):>9}")
        if peak is not None:
            where = f" at {peak['op'] or peak['name']}" if peak["op"] or peak["name"] else ""
            inside = f" in {peak['module']}" if peak["module"] else ""
            line = f", line {peak['line']}" if peak["line"] else ""
            _say(f"  {'peak':<12} {terminal.bytes_text(peak['bytes']):>9}{where}{inside}{line}")

    def _help(self, rest: str) -> None:
        _say(
            USAGE if rest in ("b", "break") else HELP.replace("stop  ", f"{terminal_engine.HELP}\nstop  ", 1)
        )


def _say(text: str) -> None:
    print(text, flush=True)


def _watched(watch: Watch) -> str:
    """A watch with its value, or why it has none, in a line or two."""
    if watch.error:
        return f"{watch.id:3}  {watch.text}: {watch.error}"
    kind = (
        f"  {_shape(watch.shape)} {watch.dtype}" if watch.shape else f"  {watch.type}" if watch.type else ""
    )
    value = watch.value.replace("\n", "\n" + " " * (len(watch.text) + 8))
    return f"{watch.id:3}  {watch.text} = {value}{kind}"


def _shape(shape: Any) -> str:
    return "?" if shape is None else str(tuple(shape))


def _source(file: str, line: int) -> str:
    """The line, between the one before and the one after."""
    try:
        with tokenize.open(file) as source:
            lines = source.read().splitlines()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return f"  (the text of {file} cannot be read)"
    shown = range(max(1, line - 1), min(len(lines), line + 1) + 1)
    return "\n".join(f"{'->' if at == line else '  '} {at:4}  {lines[at - 1]}".rstrip() for at in shown)
