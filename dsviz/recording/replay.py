"""Values of a recorded run: the ones that were kept, and others by running their ops again.

A value is run again from the nearest values that were kept: small results, and the leaves as they were
at that moment. Random ops draw the same numbers, because their records hold seed and counter. What
comes out is compared with the statistics that were taken while the program ran, and is refused where it
does not agree: an honest "no" instead of a plausible number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from dsviz import events as ev
from dsviz.recording.reader import Reader
from dsviz.recording.values import Value

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

MOST_OPS = 20_000  # ops run for one value
MOST_BYTES = 2 << 30  # of values in memory while they run


class NotKeptError(LookupError):
    """A value that can be neither read nor computed; the text says why, in a sentence."""


class Known(NamedTuple):
    """A node's value. `how` is "kept" or "recomputed"."""

    array: Array
    how: str
    ops: int = 0  # that were run for it


class Replay:
    """Computes values of one recording; what it has looked up it remembers.

    `position` bounds what is known: links and records after it do not exist yet.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._texts: dict[int, str] | None = None
        self._axes: dict[tuple[int, str, bytes], tuple[int, ...]] = {}
        self._recipes: dict[int, ev.Recipe] = {}
        self._summaries: dict[int, ev.Summary] = {}
        self._frames: dict[int, ev.Frame] = {}
        self._callers: dict[int, int] = {}  # module call -> the one around it
        self._firsts: dict[int, tuple[str, ...]] = {}  # node -> modules entered right before it

    def value(self, node: int, position: int | None = None, index: int | None = None) -> Known:
        """The value of `node` as it was before the event at `position` (None: at the recording's end).

        `index` says which result of an op of several (None: its first). Raises NotKeptError with the reason where it cannot be had.
        """
        self._scan()
        position = self.reader.count if position is None else position
        record = self.reader.find(node)
        if record is None or record[0] >= position:
            raise NotKeptError(f"Node {node} has not run at this point of the recording.")
        outputs = record[1].outputs if isinstance(record[1], ev.Op) else ()
        wanted = -1
        if len(outputs) > 1:
            # A backward node has a place for each argument, empty where no gradient goes.
            present = [at for at, (_, dtype) in enumerate(outputs) if dtype]
            wanted = present[0] if index is None and present else index or 0
            if wanted not in present:
                raise NotKeptError(f"Node {node} has no result {wanted}; it has {len(outputs)}.")
        kept = self._kept(node, position, wanted)
        if kept is not None:
            return Known(kept, "kept")
        run = _Run(self, position)
        return Known(run.compute(node, wanted), "recomputed", run.ops)

    # What the recording says

    def _scan(self) -> None:
        """Read once what is looked up by node: texts, recipes, statistics, the layout of arrays."""
        if self._texts is not None:
            return
        self._texts = {}
        entered: list[int] = []  # modules whose first node is still to come
        for event in self.reader.events():
            if isinstance(event, ev.Op):
                if entered:
                    self._firsts[event.node] = tuple(self._texts.get(path, "") for path in entered)
                    entered.clear()
            elif isinstance(event, ev.ModuleEntered):
                entered.append(event.path)
                self._callers[event.call] = event.parent
            elif isinstance(event, ev.Frame):
                self._frames[event.id] = event
            elif isinstance(event, ev.Text):
                self._texts[event.id] = event.text
            elif isinstance(event, ev.Summary):
                self._summaries[event.node] = event
            elif isinstance(event, ev.Recipe):
                self._recipes[event.node] = event
            elif isinstance(event, ev.Value) and event.axes:
                self._axes[event.node, event.name, event.key] = event.axes

    def text(self, id: int) -> str:
        """An interned text."""
        self._scan()
        assert self._texts is not None
        return self._texts.get(id, "")

    def line_of(self, frame: int) -> tuple[str, int]:
        """File and line of a stack frame."""
        self._scan()
        known = self._frames.get(frame)
        return ("", 0) if known is None else (self.text(known.file), known.line)

    def stack_of(self, frame: int) -> tuple[tuple[str, int], ...]:
        """File and line of a frame and all its callers, outermost first."""
        self._scan()
        found: list[tuple[str, int]] = []
        while (known := self._frames.get(frame)) is not None and len(found) < 1000:
            found.append((self.text(known.file), known.line))
            frame = known.parent
        return tuple(reversed(found))

    def depth_of(self, call: int) -> int:
        """How many module calls stand around and including this one."""
        self._scan()
        depth = 0
        while call and depth < 1000:
            depth += 1
            call = self._callers.get(call, 0)
        return depth

    def enters(self, node: int) -> tuple[str, ...]:
        """The modules that were entered right before `node`."""
        self._scan()
        return self._firsts.get(node, ())

    def summary(self, node: int) -> ev.Summary | None:
        """The statistics taken of `node`."""
        self._scan()
        return self._summaries.get(node)

    def recipe(self, node: int) -> ev.Recipe | None:
        """How `node` is run again, where its record does not say it all."""
        return self._recipes.get(node)

    def _kept(self, node: int, position: int, index: int = -1) -> Array | None:
        name = "output" if index < 0 else f"output {index}"
        return self.named(node, name, position)

    def named(self, node: int, name: str, position: int) -> Array | None:
        """The newest array of that name that `node` had before `position`, where it is still there."""
        links = [
            link for link in self.reader.values_of(node) if link.name == name and link.position <= position
        ]
        if not links:
            return None
        link = max(links, key=lambda link: link.position)
        value = self.reader.value(link.key)
        return None if value is None else laid_out(value, self._axes.get((node, name, link.key), ()))

    def was_kept(self, node: int) -> bool:
        """Whether an array of `node` was written down at some time, dropped or not."""
        return bool(self.reader.values_of(node))

    def agrees(self, node: int, array: Array) -> bool | None:
        """Whether `array` has the statistics that were taken of `node`; None: none were."""
        from dsviz.debuggee.summary import summarize

        then = self._summaries.get(node)
        if then is None:
            return None
        now = summarize(node, array)
        return now is not None and _same(now, then)


class _Run:
    """One computation: the values made on the way."""

    def __init__(self, replay: Replay, position: int) -> None:
        self.replay, self.position = replay, position
        self.made: dict[tuple[int, int], Array] = {}
        self.ops = 0
        self.bytes = 0

    def compute(self, wanted: int, index: int) -> Array:
        """Run `wanted` after all it needs, without recursion: chains are long."""
        stack = [(wanted, index)]
        while stack:
            node, pick = stack[-1]
            if (node, pick) in self.made:
                stack.pop()
                continue
            found = self.replay.reader.find(node)
            if found is None:
                raise NotKeptError(f"Node {node}, which it is made from, is not in the recording.")
            place, record = found
            if (node, pick) != (wanted, index) and self._take_kept(node, pick, place, record):
                stack.pop()
                continue
            needs = self._needs(node, place, record, wanted)
            missing = [need for need in needs if need not in self.made]
            if missing:
                if len(stack) > MOST_OPS:
                    raise NotKeptError(
                        f"More than {MOST_OPS:,} ops would have to run again for node {wanted}."
                    )
                stack += missing
                continue
            assert isinstance(record, ev.Op)
            self._run(node, place, record, needs)
            stack.pop()
        return self.made[wanted, index]

    def _take_kept(self, node: int, pick: int, place: int, record: Any) -> bool:
        # A leaf is read where it is used (`_needs`): the same one has other numbers an iteration later.
        kept = None if isinstance(record, ev.Leaf) else self.replay._kept(node, self.position, pick)
        if kept is None:
            return False
        self.made[node, pick] = kept
        return True

    def _needs(self, node: int, place: int, record: Any, wanted: int) -> list[tuple[int, int]]:
        """What an op takes, as keys of `made`; leaves are read here, as they were when the op ran."""
        if isinstance(record, ev.Leaf):
            what = record.name or record.role
            raise NotKeptError(_leaf_reason(self.replay, node, what))
        if not isinstance(record, ev.Op):
            raise NotKeptError(f"Node {node} raised {record.error}: it has no value.")
        op = self.replay.text(record.op)
        if record.phase:
            kind = "a gradient" if record.phase == ev.BACKWARD else "an optimizer's update, made in place"
            raise NotKeptError(
                f"Node {node} ({op}) is {kind}, which is not run again; it is kept where it has at most 64 KB."
            )
        recipe = self.replay.recipe(node)
        if recipe is not None and recipe.impure:
            raise NotKeptError(f"Node {node} ({op}) cannot be run again: {recipe.impure}.")
        needs = []
        for at, source in enumerate(record.inputs):
            if not source:
                continue
            pick = recipe.picks[at] if recipe is not None and at < len(recipe.picks) else -1
            made = self.replay.reader.find(source)
            if made is not None and isinstance(made[1], ev.Leaf):
                key = (source, -2 - place)  # this leaf as it was at this op
                if key not in self.made:
                    array = self.replay.named(source, "output", place)
                    if array is None:
                        what = made[1].name or made[1].role
                        raise NotKeptError(_leaf_reason(self.replay, source, what))
                    self.made[key] = array.copy(order="K")  # an op may write to it: running averages
                needs.append(key)
            else:
                needs.append((source, pick))
        return needs

    def _run(self, node: int, place: int, record: ev.Op, needs: Sequence[tuple[int, int]]) -> None:
        from engine.config import graph_config
        from engine.op import OPS

        name = self.replay.text(record.op)
        op = OPS.get(name)
        if op is None:
            raise NotKeptError(
                f"Node {node} is {name}, an op of the program's own; it is not run again outside of it."
            )
        recipe = self.replay.recipe(node)
        attrs = {key: _plain(value) for key, value in record.attrs.items()}
        if recipe is not None:
            for key, value in recipe.attrs.items():
                attrs[key] = self._exact(node, value)
        arrays = iter(needs)
        args = []
        for at, source in enumerate(record.inputs):
            arg = op.arg_names[min(at, len(op.arg_names) - 1)]
            args.append(self.made[next(arrays)] if source else attrs.get(arg))
        for at, source in enumerate(record.inputs):
            if not source:
                attrs.pop(op.arg_names[min(at, len(op.arg_names) - 1)], None)
        # A recording may say anything: what would not fit into memory is not begun.
        asked = attrs.get("shape", ())
        numbers = math.prod(n for n in asked if isinstance(n, int)) if isinstance(asked, tuple) else 0
        if max(record.nbytes, numbers) > MOST_BYTES:
            raise NotKeptError(f"The result of node {node} ({name}) is too large to be made again.")
        for arranged, kernels in _arrangements(args):
            try:
                with np.errstate(all="ignore"), graph_config(**kernels):
                    out = op.on_numpy(*arranged, **attrs)
            except Exception as error:  # noqa: BLE001 - whatever an op raises on what a file holds is told
                raise NotKeptError(f"Running node {node} ({name}) again failed: {error}.") from None
            if op.extras:
                out = out[0]
            results = [np.asarray(out)] if op.outputs == 1 else [np.asarray(part) for part in out]
            if not results or self.replay.agrees(node, results[0]) is not False:
                break
        else:
            raise NotKeptError(
                f"Running node {node} ({name}) again gave other numbers than the program had: something it takes "
                "was changed in place, or it does not depend on its arguments alone."
            )
        self.ops += 1
        self.bytes += sum(array.nbytes for array in results)
        if self.bytes > MOST_BYTES:
            raise NotKeptError(
                f"More than {MOST_BYTES >> 30} GB of values would have to be made again for it."
            )
        for at, array in enumerate(results):
            self.made[node, -1 if op.outputs == 1 else at] = array

    def _exact(self, node: int, value: Any) -> Any:
        if isinstance(value, list):
            return [self._exact(node, item) for item in value]
        if not isinstance(value, dict) or len(value) != 1:
            return value
        [(kind, inner)] = value.items()
        if kind == "int":
            return int(inner)
        if kind == "tuple":
            return tuple(self._exact(node, item) for item in inner)
        if kind == "slice":
            return slice(*(self._exact(node, item) for item in inner))
        if kind == "ellipsis":
            return ...
        if kind == "complex":
            return complex(*inner)
        if kind == "dtype":
            return np.dtype(inner)
        if kind == "array":
            array = self.replay.named(node, str(inner), self.replay.reader.count)
            if array is None:
                raise NotKeptError(f"An index or constant of node {node} is not kept.")
            return array
        raise NotKeptError(f"Node {node} has an attribute of a kind that is not known here: {kind!r}.")


def laid_out(value: Value, axes: Sequence[int]) -> Array:
    """The array with its axes in memory as they were."""
    array = value.array()
    if not axes or sorted(axes) != list(range(array.ndim)):
        return array
    laid: Array = np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))
    return laid


def _leaf_reason(replay: Replay, node: int, what: str) -> str:
    if replay.was_kept(node):
        return (
            f"The value of {what or 'a tensor'} (node {node}), which it is made from, was given up to keep the "
            "byte budget. Record with a larger --value-budget."
        )
    return (
        f"The value of {what or 'a tensor'} (node {node}), which it is made from, was not kept. "
        "Trace at level 2 to keep what values are made from."
    )


def _plain(value: Any) -> Any:
    """An attribute as ops take it: msgpack knows no tuples."""
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value


def _same(one: ev.Summary, other: ev.Summary) -> bool:
    for name in ("minimum", "maximum", "mean", "std"):
        a, b = getattr(one, name), getattr(other, name)
        if a != b and not (math.isnan(a) and math.isnan(b)):
            return False
    return (one.nans, one.infs, one.zeros, one.count, tuple(one.histogram)) == (
        other.nans, other.infs, other.zeros, other.count, tuple(other.histogram),
    )  # fmt: skip


def _arrangements(args: list[Any]) -> Iterator[tuple[list[Any], dict[str, bool]]]:
    """The arguments of an op as the program may have had them, and the configuration of the kernels that computed.

    A recording tells numbers, not how they lay in memory; sums of images come out otherwise in their last bits where
    channels lie last, and with other kernels. They also do with another number of threads, which is not tried.
    """
    images = any(isinstance(a, np.ndarray) and a.ndim == 4 for a in args)
    for last in (False, True) if images else (False,):
        yield [_arranged(a, last) for a in args], {"cpu_fast": True}
        if images:
            yield [_arranged(a, last) for a in args], {"cpu_fast": True, "winograd": False}
        yield [_arranged(a, last) for a in args], {"cpu_fast": False}


def _arranged(value: Any, last: bool) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 4 and last:
        return np.ascontiguousarray(value.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    # What an op counts in place (running averages) is small; each attempt begins with what was recorded.
    return value.copy() if value.ndim == 1 else value
