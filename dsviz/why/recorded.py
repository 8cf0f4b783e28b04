"""Questions to a recording, about a node by its number: the graph is made anew of its events, and no program runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsviz import events as ev
from dsviz.recording.reader import Reader
from dsviz.recording.replay import NotKeptError, Replay
from dsviz.why.chain import Answer, Step, of
from dsviz.why.gradient import cut_on, way_to
from dsviz.why.shape import why_shape
from dsviz.why.value import why_value
from engine.node import Node, blank
from engine.op import OPS

QUESTIONS = ("shape", "value", "largest", "no_grad")


class Past(Node):
    """A node of a recording: its place is what the recording says."""

    __slots__ = ()

    filename = ""
    line = 0


class Values:
    """What a recording knows of values: statistics of level 2, kept values, and others by running their ops again."""

    def __init__(self, reader: Reader) -> None:
        self.statistics: dict[int, dict[str, float]] = {}
        self._replay = Replay(reader)

    @property
    def given(self) -> Values:
        """The values by node number, as `why_value` asks a trace for them."""
        return self

    def get(self, number: int) -> Any:
        """The value of a node; None where it can be neither read nor computed."""
        try:
            return self._replay.value(number).array
        except NotKeptError:
            return None


class Recorded:
    """The graph of a recording."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.nodes: dict[int, Past] = {}
        self.values = Values(reader)
        self._losses: list[int] = []
        self._gradients: set[int] = set()
        self._build()

    def ask(self, question: str, number: int, dim: int = 0) -> dict[str, Any]:
        """The answer as JSON. Raises `LookupError` with a sentence for a node or dimension there is not."""
        node = self.nodes.get(number)
        if node is None:
            raise LookupError(
                f"There is no node {number} in this recording; it has nodes up to {max(self.nodes, default=0)}."
            )
        if question == "shape":
            answer = why_shape(node, dim)
        elif question in ("value", "largest"):
            answer = why_value(node, self.values, largest=question == "largest")  # type: ignore[arg-type]
        else:
            answer = self._no_grad(node)
        made = answer.as_json()
        # The text as it was when the program ran; this machine's files may be others by now.
        for step in [made["decided"], *made["chain"]]:
            if step is not None:
                step["text"] = self._text(step["file"], step["line"])
        return made

    def _text(self, file: str, line: int) -> str:
        lines = (self.reader.source(file) or "").splitlines() if file else []
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def _build(self) -> None:
        texts: dict[int, str] = {0: ""}
        frames: dict[int, ev.Frame] = {}
        twins: set[int] = set()
        for event in self.reader.events():
            if isinstance(event, ev.Text):
                texts[event.id] = event.text
            elif isinstance(event, ev.Frame):
                frames[event.id] = event
            elif isinstance(event, (ev.Leaf, ev.Op)):
                self._node(event, texts, frames)
                if isinstance(event, ev.Op) and event.twin:
                    twins.add(event.twin)
            elif isinstance(event, ev.Recipe) and event.node in self.nodes:
                node = self.nodes[event.node]
                node.kwargs = {**node.kwargs, **{k: _plain(v) for k, v in event.attrs.items()}}
            elif isinstance(event, ev.Summary):
                self.values.statistics[event.node] = {
                    "not_finite": event.nans + event.infs, "min": event.minimum, "max": event.maximum,
                }  # fmt: skip
            elif isinstance(event, ev.Loss):
                self._losses.append(event.node)
            elif isinstance(event, ev.GradientReady):
                self._gradients.add(event.leaf)
        for number, node in self.nodes.items():
            node.requires = number in twins or number in self._gradients

    def _node(self, event: ev.Leaf | ev.Op, texts: dict[int, str], frames: dict[int, ev.Frame]) -> None:
        node = Past()
        plain = blank()
        for name in (
            "op",
            "inputs",
            "kwargs",
            "code",
            "lasti",
            "order",
            "depth",
            "stamp",
            "requires",
            "saved",
        ):
            setattr(node, name, getattr(plain, name))
        node.id, node.shape = event.node, tuple(event.shape)
        node.dtype = np.dtype(_dtype(texts.get(event.dtype, "")))
        frame = frames.get(event.frame)
        file = texts.get(frame.file, "") if frame is not None else ""
        node.__dict__.update(filename=file, line=frame.line if frame is not None else 0)
        if isinstance(event, ev.Op):
            node.op = OPS.get(texts.get(event.op, ""))
            node.phase = event.phase
            node.kwargs = {k: _plain(v) for k, v in event.attrs.items()}
            node.inputs = tuple(self.nodes.get(n) for n in event.inputs)
            if node.op is None:
                node.name = texts.get(event.op, "")
        else:
            node.role, node.name = event.role, event.name
        self.nodes[event.node] = node

    def _no_grad(self, node: Past) -> Answer:
        question = f"why has {node.name or node.label} {list(node.shape)} no gradient"
        made = of(node, "made here", "parameter")
        if node.requires:
            return Answer(question, "it has a gradient", [made])
        if not self._losses:
            return Answer(question, "no backward pass ran in this recording", [made], made)
        # A parameter is asked about for the last turn; what was made in a turn, for the loss that came after it.
        after = min((n for n in self._losses if n >= node.id), default=self._losses[-1])
        losses = [self.nodes.get(n) for n in dict.fromkeys((self._losses[-1], after))]
        ways = [
            (loss, way) for loss in losses if loss is not None and (way := way_to(loss, node)) is not None
        ]
        loss, way = ways[0] if ways else (losses[-1], None)
        if way is not None:
            node.requires = True  # what it is given to should carry a gradient on
            cut = next((n for n in reversed(way[:-1]) if n.requires), None)
            if cut is None:
                return cut_on(question, way, made)
            # The way carries gradients down to here; the next node towards the parameter gave none on.
            last = way[way.index(cut) + 1]
            step = of(last, "no gradient came back to it", "cut")
            return Answer(
                question,
                f"the way is cut at {step.file}:{step.line}: no gradient came back to it",
                [of(cut, "carries a gradient"), step, made],
                step,
            )
        again = self._restart(node, loss)
        if again is None:
            return Answer(
                question,
                "the loss does not depend on it: nothing on the way to the loss uses it",
                [made],
                made,
            )
        return Answer(
            question,
            f"the way is cut at {again.file}:{again.line}: a value without a past begins there",
            [again, made],
            again,
        )

    def _restart(self, node: Past, loss: Past | None) -> Step | None:
        """A value in the loss's past that no op made, of the shape of something the parameter led to: a detached copy."""
        reached = {node.id}
        shapes: dict[tuple[int, ...], int] = {}
        for other in self.nodes.values():
            if (
                other.op is not None
                and other.phase == 0
                and any(i is not None and i.id in reached for i in other.inputs)
            ):
                reached.add(other.id)
                shapes[other.shape] = other.id
        past: list[Any] = [loss] if loss is not None else []
        seen = set(past)
        for one in past:
            for parent in one.inputs:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    past.append(parent)
        for one in past:
            if one.op is None and one.role != "parameter" and one.id > shapes.get(one.shape, 1 << 62):
                return of(one, "a value without a past: a detached copy, or made of numbers", "cut")
        return None


def _dtype(text: str) -> str:
    try:
        return str(np.dtype(text).str)
    except TypeError:
        return "f4"


def _plain(value: Any) -> Any:
    """An attribute as the op had it: lists were tuples, and what a record only describes is made again."""
    if isinstance(value, dict):
        if "slice" in value:
            return slice(*(_plain(v) for v in value["slice"]))
        if "tuple" in value:
            return tuple(_plain(v) for v in value["tuple"])
        if "ellipsis" in value:
            return ...
        if "complex" in value:
            return complex(*value["complex"])
        return value
    return tuple(_plain(v) for v in value) if isinstance(value, list) else value
