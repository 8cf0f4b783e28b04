"""Programs that exist only as events: what the tracer would tell of a few typical training scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dsviz import events as ev

MODEL = "/made/up/model.py"
TRAIN = "/made/up/train.py"


class Program:
    """Writes events as a traced program would. `lasti` is ten times the line, plus a column."""

    def __init__(self, probes: bool = True) -> None:
        self.events: list[Any] = []
        self.probes = probes
        self._texts: dict[str, int] = {}
        self._frames: dict[tuple[int, int, int, int, int], int] = {}
        self._sites: dict[tuple[str, int], int] = {}
        self._stack: list[tuple[int, int, int]] = []  # parent frame, file, function
        self._line = 1
        self._calls: list[int] = []
        self._next_call = 0
        self.node = 0
        self.now = 0
        self.iteration = 0
        self._buffer = 0
        self.tape: list[ev.Op] = []
        self.frame_number = 0

    def emit(self, event: Any) -> None:
        self.events.append(event)

    def text(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = len(self._texts) + 1
            self.emit(ev.Text(self._texts[text], text))
        return self._texts[text]

    def frame(self, line: int, column: int = 0) -> int:
        parent, file, function = self._stack[-1]
        key = (parent, file, function, line, column)
        if key not in self._frames:
            self._frames[key] = len(self._frames) + 1
            self.emit(ev.Frame(self._frames[key], parent, file, line, function, line * 10 + column))
        return self._frames[key]

    @contextmanager
    def function(self, file: str, name: str, called: int = 0, column: int = 0) -> Iterator[None]:
        """A function's activation, called from line `called` of the function around it."""
        parent = self.frame(called, column) if self._stack and called else 0
        self._stack.append((parent, self.text(file), self.text(name)))
        yield
        self._stack.pop()

    @contextmanager
    def module(self, path: str, cls: str, called: int) -> Iterator[None]:
        """A module's call; its forward is a function of the model's file unless the class is the engine's."""
        self._next_call += 1
        call = self._next_call
        parent = self._calls[-1] if self._calls else 0
        frame = self.frame(called, 5)
        self.emit(ev.ModuleEntered(call, parent, self.text(path), self.text(cls), frame, self.now))
        self._calls.append(call)
        if cls == "Linear":
            yield
        else:
            with self.function(MODEL, "forward", called, 5):
                yield
        self._calls.pop()
        self.emit(ev.ModuleLeft(call, self.now))

    def site(
        self,
        file: str,
        line: int,
        construct: str,
        label: str,
        body: tuple[int, int],
        orelse: tuple[int, int] = (0, 0),
        scope: str = "",
    ) -> int:
        key = (file, line)
        if key not in self._sites:
            self._sites[key] = len(self._sites) + 1
            self.emit(ev.Site(self._sites[key], construct, self.text(file), line, body, orelse, label, scope))
        return self._sites[key]

    def turns(self, site: int, count: int) -> Iterator[int]:
        for index in range(count):
            if self.probes:
                self.emit(ev.LoopTurn(site, index, self.now))
            yield index
        if self.probes:
            self.emit(ev.LoopTurn(site, -1, self.now))

    def branch(self, site: int, taken: bool, line: int) -> bool:
        if self.probes:
            self.emit(ev.Branch(site, taken, self.now, self.frame(line)))
        return taken

    def leaf(self, role: str, name: str, shape: Sequence[int], dtype: str = "float32") -> int:
        self.node += 1
        size = 4
        for n in shape:
            size *= n
        self.emit(ev.Leaf(self.node, role, name, tuple(shape), self.text(dtype), size, 0))
        return self.node

    def op(
        self,
        op: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        line: int,
        column: int = 0,
        phase: int = 0,
        twin: int = 0,
        frame: int = 0,
        call: int | None = None,
    ) -> int:
        self.node += 1
        nbytes = 4
        for n in shape:
            nbytes *= n
        frame = frame or self.frame(line, column)
        call = (self._calls[-1] if self._calls else 0) if call is None else call
        self._buffer += 1
        self.emit(ev.Allocated(self._buffer, nbytes, ev.ACTIVATION, self.node, self.now))
        record = ev.Op(
            self.node, self.text(op), phase, tuple(inputs), tuple(shape), self.text("float32"), call, frame,
            twin, self.iteration, self.now, 1000, nbytes, 0, {},
        )  # fmt: skip
        self.emit(record)
        self.emit(ev.Released(self._buffer, self.now + 1000))
        self.now += 1500
        if phase == 0:
            self.tape.append(record)
        return self.node

    def backward(self) -> dict[int, int]:
        """Every forward node's twin, last first; returns forward node -> backward node."""
        made: dict[int, int] = {}
        users: dict[int, int] = {}
        for record in reversed(self.tape):
            source = users.get(record.node)
            inputs = (made[source],) if source in made else ()
            name = next(t for t, i in self._texts.items() if i == record.op)
            made[record.node] = self.op(
                name, inputs, record.shape, 0, phase=1, twin=record.node, frame=record.frame, call=record.call
            )
            for used in record.inputs:
                users.setdefault(used, record.node)
        self.tape.clear()
        return made

    def begin_iteration(self) -> None:
        self.iteration += 1
        self.emit(ev.Iteration(self.iteration, self.now))


def mlp(steps: int = 3, flags: Sequence[bool] = (True, False, True), probes: bool = True) -> Program:
    """A training loop over a two-layer network with a branch around dropout."""
    p = Program(probes)
    weights = {name: p.leaf("parameter", f"net.{name}.weight", (8, 8)) for name in ("one", "two")}
    with p.function(TRAIN, "<module>"):
        loop = p.site(TRAIN, 3, "for", f"for step in range({steps})", (4, 9), scope="<module>")
        branch = p.site(MODEL, 12, "if", "if flag", (13, 13), scope="forward")
        for step in p.turns(loop, steps):
            p.begin_iteration()
            x = p.leaf("input", "x", (4, 8))
            with p.module("net", "Net", 5):
                with p.module("net.one", "Linear", 10):
                    h = p.op("matmul", (x, weights["one"]), (4, 8), 10, 5)
                h = p.op("relu", (h,), (4, 8), 11)
                if p.branch(branch, flags[step % len(flags)], 12):
                    h = p.op("dropout", (h,), (4, 8), 13)
                with p.module("net.two", "Linear", 14):
                    h = p.op("matmul", (h, weights["two"]), (4, 8), 14, 5)
            p.op("mean", (h,), (), 6)
            gradients = p.backward()
            for name in ("one", "two"):
                p.op("sgd", (weights[name], max(gradients.values())), (8, 8), 8, phase=2)
    return p


def lstm(turns: int = 64, steps: int = 1, probes: bool = True) -> Program:
    """A cell in a loop, run forward and backward `steps` times."""
    p = Program(probes)
    weight = p.leaf("parameter", "net.cell.gates.weight", (24, 32))
    with p.function(TRAIN, "<module>"):
        outer = p.site(TRAIN, 3, "for", "for batch in batches", (4, 9), scope="<module>")
        inner = p.site(MODEL, 26, "for", "for t in range(64)", (27, 27), scope="forward")
        for _ in p.turns(outer, steps):
            p.begin_iteration()
            ids = p.leaf("input", "ids", (4, turns), "int32")
            with p.module("net", "SeqClassifier", 5):
                x = p.op("embedding", (ids,), (4, turns, 16), 24)
                h = p.leaf("constant", "", (4, 8))
                for _t in p.turns(inner, turns):
                    xt = p.op("getitem", (x,), (4, 16), 27, 1)
                    with p.module("net.cell", "Cell", 27):
                        both = p.op("cat", (xt, h), (4, 24), 8)
                        with p.module("net.cell.gates", "Linear", 9):
                            z = p.op("matmul", (both, weight), (4, 32), 9, 5)
                        i = p.op("sigmoid", (z,), (4, 8), 12, 1)
                        g = p.op("tanh", (z,), (4, 8), 12, 2)
                        c = p.op("mul", (i, g), (4, 8), 12, 3)
                        h = p.op("tanh", (c,), (4, 8), 13)
            p.op("mean", (h,), (), 6)
            p.backward()
    return p


def nested(outer: int = 3, inner: int = 4, probes: bool = True) -> Program:
    """A loop in a loop in one function, with one op in each."""
    p = Program(probes)
    with p.function(TRAIN, "<module>"):
        first = p.site(TRAIN, 2, "for", "for i in range(3)", (3, 5), scope="<module>")
        second = p.site(TRAIN, 4, "for", "for j in range(4)", (5, 5), scope="<module>")
        x = p.leaf("input", "x", (2,))
        for _ in p.turns(first, outer):
            x = p.op("relu", (x,), (2,), 3)
            for _ in p.turns(second, inner):
                x = p.op("exp", (x,), (2,), 5)
    return p


def recursion(depth: int = 3) -> Program:
    """A module that calls itself."""
    p = Program()
    x = p.leaf("input", "x", (2,))

    def call(level: int, x: int) -> int:
        with p.module("tree", "Tree", 4 if level == 0 else 9):
            x = p.op("relu", (x,), (2,), 8)
            if level < depth:
                x = call(level + 1, x)
            return p.op("add", (x, x), (2,), 10)

    with p.function(TRAIN, "<module>"):
        call(0, x)
    return p
