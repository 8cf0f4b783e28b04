"""Watching a run from inside: a sink on the bus, and a few of the engine's doors that tell who came through."""

from __future__ import annotations

import gc
import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from dsviz.diagnose.doors import RATES_KEPT, doors, moved
from dsviz.diagnose.elements import Elements
from dsviz.diagnose.origin import makers
from dsviz.diagnose.record import LARGEST, ParameterFacts, Record, Seen, Steps, Units, looks
from dsviz.diagnose.structure import pattern
from engine.bus import bus
from engine.grad_mode import state
from engine.iteration import iteration
from engine.location import is_engine_code, locals_of, user_frame
from engine.module import Module
from engine.module_call import ModuleCall
from engine.node import Node
from engine.optim.optimizer import Optimizer
from engine.tensor import Tensor
from engine.writes import writes

ACTIVATIONS = {"relu", "sigmoid", "tanh"}
NOWHERE = ("", 0)


class Watch:
    """Fills a `Record` while a program runs."""

    def __init__(self) -> None:
        self.record = Record()
        self.elements = Elements(self.record)
        self.steps: weakref.WeakKeyDictionary[Optimizer, Steps] = weakref.WeakKeyDictionary()
        self._stale: dict[int, Any] = {}  # parameters whose gradient a step has used: its array
        self.parameters: dict[int, Any] = {}  # kept alive, so that a number means one parameter
        self._nodes: dict[int, list[weakref.ref[Node]]] = {}
        self._roots: weakref.WeakSet[Module] = weakref.WeakSet()
        self._base = iteration.index  # turns are counted from where the watch began
        self._iteration = -1
        self._left: dict[
            int, tuple[Steps, Any]
        ] = {}  # gradients that were not zeroed before this backward pass
        self._mixed: dict[
            int, tuple[Any, tuple[str, int]]
        ] = {}  # gradients with an old part, and where it came in
        self._pass = ("", 0)
        self._away = ("", 0)  # where gradients were put away since the last forward op that no step had used
        self._growing = 0  # turns in a row in which nodes of earlier ones were held
        self.muted: list[tuple[str, int]] = []  # where gradients were switched off, while they are

    @contextmanager
    def watching(self) -> Iterator[Record]:
        """Watch what runs in the block."""
        with (
            bus.subscribe(self._sink, "op_finish", "op_error", "module_enter", "leaf", "gradient"),
            doors(self),
        ):
            yield self.record

    def _holders(self) -> None:
        """The names of the lists and dicts that still hold tensors of several turns with their graphs."""
        kinds: dict[int, tuple[Any, set[int]]] = {}
        old = {
            id(node): turn
            for turn, refs in self._nodes.items()
            for ref in refs
            if (node := ref()) is not None
        }
        for thing in gc.get_objects():
            # One that a thread is just making has no node yet.
            if type(thing) is Tensor and (turn := old.get(id(getattr(thing, "node", None)))) is not None:
                for holder in gc.get_referrers(thing):
                    if type(holder) in (list, deque) or (type(holder) is dict and "__name__" not in holder):
                        kinds.setdefault(id(holder), (holder, set()))[1].add(turn)
        for holder, turns in kinds.values():
            if len(turns) >= 3:
                for name in _names_of(holder):
                    self.record.held_by[name] = self.record.held_by.get(name, 0) + len(turns)

    # --- the bus ---

    def _sink(self, kind: str, subject: Any) -> None:
        if kind == "op_finish":
            self._ran(subject)
        elif kind == "leaf":
            self.record.keep(self._seen(subject))
        elif kind == "module_enter":
            self._entered(subject)
        elif kind == "gradient":
            self._gradient(*subject)
        elif kind == "op_error":
            self.record.failure = subject

    def _seen(self, node: Node) -> Seen:
        seen = Seen()
        seen.id = node.id
        seen.op = node.op.name if node.op is not None and not node.role else ""
        seen.phase = node.phase
        seen.shape, seen.dtype = node.shape, node.dtype
        seen.inputs = tuple([0 if i is None else i.id for i in node.inputs])
        seen.shapes = tuple([None if i is None else i.shape for i in node.inputs])
        source = node.twin if node.phase == 1 and node.twin is not None else node
        seen.module = node.call.path if node.call is not None else ""
        seen.iteration = node.iteration - self._base
        seen.kwargs, seen.scalars = node.kwargs, node.scalars or {}
        seen.requires, seen.recording = node.requires, state.grad
        seen.role = node.role
        seen.code, seen.lasti = source.code, source.lasti
        seen.call = NOWHERE if node.phase or node.call is None else self._made(node)
        seen.muted = self.muted[0] if self.muted and not state.grad else NOWHERE
        seen.twin = node.twin.id if node.twin is not None else 0
        seen.value, seen.finite = None, True
        return seen

    def _made(self, node: Node) -> tuple[str, int]:
        """Where the layer was made that an op ran in, where the person's own code does not call it."""
        call = node.call
        if call is None or call.parent is None or not _ours(call.module) or not _ours(call.parent.module):
            return "", 0
        return self.record.made.get(id(call.module), ("", 0))

    def _ran(self, node: Node) -> None:
        seen = self._seen(node)
        record = self.record
        outs = node.out if isinstance(node.out, tuple) else (node.out,)
        main = next((o for o in outs if o is not None), None)
        if not node.phase and main is not None and getattr(main, "size", 0) == 1 and main.dtype.kind in "fiu":
            seen.value = float(main.reshape(()))
        seen.finite = finite(main) if len(outs) == 1 else all(finite(o) for o in outs if o is not None)
        if not seen.finite and len(record.not_finite) < 16:
            given = [a for a in node.arrays or () if hasattr(a, "dtype")]
            # An infinity that a mask puts in is meant.
            meant = seen.op in ("where", "masked_fill", "clone", "setitem", "put_back")
            if not meant and all(finite(a) for a in given):
                record.not_finite.append((seen, facts_of(node.arrays or ())))
                record.pinned.update([seen.iteration] if len(record.not_finite) == 1 else [])
        record.keep(seen)
        if seen.iteration != self._iteration:
            self._turn(seen.iteration)
        if node.phase == 0:
            self._forward(node, seen, main)
        record.iterations = max(record.iterations, seen.iteration + 1)

    def _turn(self, turn_now: int) -> None:
        """A new turn of the loop: what of earlier ones is still held?"""
        self._iteration = turn_now
        held = sum(
            1
            for turn, refs in self._nodes.items()
            if turn < turn_now - 1
            for ref in refs
            if ref() is not None
        )
        if held and turn_now < 24 and turn_now % 3 == 0:
            # Gradients of gradients leave cycles, which are garbage and not kept by anybody.
            gc.collect()
            held = sum(
                1 for t, refs in self._nodes.items() if t < turn_now - 1 for ref in refs if ref() is not None
            )
        self.record.alive.append((turn_now, held))
        self._growing = self._growing + 1 if held else 0
        if self._growing in (6, 12):  # while the program runs: its variables are gone when it has ended
            self._holders()
        for turn in sorted(self._nodes)[:-40]:
            del self._nodes[turn]

    def _forward(self, node: Node, seen: Seen, out: Any) -> None:
        record = self.record
        self._away = ("", 0)
        if node.requires:
            self._nodes.setdefault(seen.iteration, []).append(weakref.ref(node))
            for parent in node.inputs:
                if parent is not None and parent.requires and parent.op is not None and parent.id:
                    before = record.find(parent.id)
                    if before is not None and before.iteration < seen.iteration:
                        record.old_inputs[seen.place] = record.old_inputs.get(seen.place, 0) + 1
                        if seen.place not in record.callers:
                            record.callers[seen.place] = callers()
        op, arrays = seen.op, node.arrays or ()
        for parent, array in zip(node.inputs, arrays, strict=False):
            if parent is not None and parent.op is None:
                turn = record.turns[seen.iteration]
                if (
                    parent.id and parent.id not in turn
                ):  # it was told of in an earlier turn, or before the watch
                    turn[parent.id] = self._seen(parent)
                self._took(parent, array, seen)
        if op in ACTIVATIONS and looks(seen.iteration) and out is not None and out.ndim >= 2:
            self._activation(node, seen, out)
        elif op in ("dropout", "batch_norm"):
            self._mode(seen, node)
        elif op in ("softmax", "log_softmax"):
            self._softmax(seen, arrays)
            if op == "softmax" and self.elements.masked:
                self.elements.softmax(seen)
        elif op in ("cross_entropy", "nll_loss"):
            self._target(seen, arrays)
        elif op in ("sub", "mul", "add", "div", "eq", "where", "maximum") and len(arrays) >= 2:
            self.elements.ran(seen, node, out)

    def _activation(self, node: Node, seen: Seen, out: Any) -> None:
        key = (seen.file, seen.line, node.lasti, seen.module)
        units = self.record.units.setdefault(key, Units(seen.op, seen.module))
        units.calls += 1
        units.training += node.requires
        units.shape = out.shape
        if seen.op == "relu":
            over = tuple(d for d in range(out.ndim) if d != (1 if out.ndim == 4 else out.ndim - 1))
            alive = (out > 0).any(axis=over)
            if units.alive is None or units.alive.shape != alive.shape:
                units.alive = alive
            else:
                units.alive = units.alive | alive
        else:
            low, high = (0.02, 0.98) if seen.op == "sigmoid" else (-0.98, 0.98)
            units.saturated.append(float(((out < low) | (out > high)).mean()))

    def _mode(self, seen: Seen, node: Node) -> None:
        active = seen.op == "dropout" or bool(seen.kwargs.get("training"))
        if not active:
            return
        facts = self.record.modes.setdefault(
            seen.place, {"op": seen.op, "module": seen.module, "quiet": 0, "loud": 0}
        )
        facts["loud" if state.grad else "quiet"] += 1
        call = node.call
        while call is not None and call.parent is not None:
            call = call.parent
        if call is not None and not state.grad:
            # A model that is in evaluation and drops all the same: its own line forgets to ask.
            facts["call"] = (call.filename, call.line) if call.module.training else seen.place

    def _softmax(self, seen: Seen, arrays: Any) -> None:
        facts = self.record.softmaxed.setdefault(
            seen.place,
            {"op": seen.op, "dim": seen.kwargs.get("dim"), "ids": [], "shapes": set(), "masked": 0},
        )
        facts["ids"] = [*facts["ids"][-2:], seen.id]
        facts["shapes"].add(seen.shape)
        array = arrays[0] if arrays else None
        if array is None or not hasattr(array, "ndim") or array.ndim < 2 or array.size > LARGEST:
            return
        low = array <= -1e4
        if not low.any():
            return
        dim = seen.kwargs.get("dim", -1)
        facts["masked"] += int(low.all(axis=dim).any())
        if "made" not in facts:  # now, while the turn that made the mask is remembered
            facts["made"] = list(dict.fromkeys(s.place for s in pattern(self.record, seen.id)))
        if array.shape[-1] == array.shape[-2] > 2:
            square = low.reshape(-1, *low.shape[-2:])
            n = square.shape[-1]
            above, below = np.triu(np.ones((n, n), bool), 1), np.tril(np.ones((n, n), bool), -1)
            kept = ~square
            mask = self.record.masks.setdefault(seen.place, {"inverted": 0, "causal": 0, "leak": 0, "id": 0})
            mask["id"] = seen.id
            future, past = kept[:, above].mean(), kept[:, below].mean()
            mask["inverted"] += bool(future > 0.99 and past < 0.01)
            mask["causal"] += bool(future < 0.01 and past > 0.99)
            # The diagonal above is open too: each position sees the one that comes next.
            first = np.eye(n, k=1, dtype=bool)
            mask["leak"] += bool(kept[:, first].all() and not kept[:, above & ~first].any() and past > 0.99)

    def _target(self, seen: Seen, arrays: Any) -> None:
        facts = self.record.targets.setdefault(
            seen.place, {"calls": 0, "values": set(), "classes": 0, "ids": []}
        )
        facts["calls"] += 1
        facts["ids"] = [*facts["ids"][-2:], seen.id]
        target = arrays[1] if len(arrays) > 1 else None
        if "made" not in facts:
            made = self.record.find(seen.inputs[1]) if len(seen.inputs) > 1 else None
            facts["made"] = made.place if made is not None else seen.place
            inside = made is None or (made.code, made.lasti) == (seen.code, seen.lasti)
            facts["makers"] = makers(seen, 1) if inside else makers(made)
        if target is not None and getattr(target, "dtype", None) is not None and target.dtype.kind in "iu":
            facts["classes"] = arrays[0].shape[1] if arrays[0].ndim > 1 else arrays[0].shape[0]
            facts["items"] = facts.get("items", 0) + int(target.size)
            if len(facts["values"]) < 64:
                values = {int(v) for v in np.unique(target[:4096] if target.ndim else target)}
                facts["values"] |= values
                facts["alone"] = facts.get("alone", 0) + (len(values) == 1)

    def _took(self, leaf: Node, array: Any, seen: Seen) -> None:
        if not seen.finite and not leaf.requires and not finite(array):
            self._bad_data(leaf, array, seen)
        if leaf.role == "parameter":
            self.parameters[id(leaf)] = leaf
            self._parameter(leaf, array, seen, self.record.parameters, id(leaf))
        elif leaf.requires:
            self._parameter(leaf, array, seen, self.record.learners, leaf.id)
        elif (
            leaf.role in ("input", "constant")
            and seen.op
            in (
                "linear",
                "conv1d",
                "conv2d",
                "conv3d",
                "matmul",
            )
            and (
                getattr(array, "dtype", None) is not None
                and array.dtype.kind == "f"
                and array.size <= LARGEST
            )
            and looks(seen.iteration)
            and array.size
        ):
            place = seen.place
            facts = self.record.inputs.setdefault(
                place,
                {
                    "largest": 0.0,
                    "spread": 0.0,
                    "calls": 0,
                    "constant": 0,
                    "file": leaf.filename,
                    "line": leaf.line,
                    "leaf": self.record.find(leaf.id) or seen,
                },
            )
            facts["calls"] += 1
            size = float(np.abs(array).mean())
            facts["many"] = facts.get("many", 0) + (size > 30)
            facts["largest"] = max(facts["largest"], size)
            facts["constant"] += bool(array.shape[0] > 1 and (array == array[:1]).all())

    def _bad_data(self, leaf: Node, array: Any, seen: Seen) -> None:
        """Data with nan in them: where they came in. An infinity alone may be a mask's."""
        if np.isnan(array).any():
            made = self.record.find(leaf.id)
            self.record.bad_data.setdefault((leaf.filename, leaf.line), made if made is not None else seen)

    def _parameter(
        self, leaf: Node, array: Any, seen: Seen, kept: dict[int, ParameterFacts], number: int
    ) -> None:
        # The node of a parameter lives as long as it does; its own facts hang on it.
        facts = kept.get(number)
        if facts is None:
            facts = kept[number] = ParameterFacts(leaf.filename, leaf.line, leaf.name, leaf.shape)
            facts.first_used = seen.iteration
            self._begins(facts, array)
        elif state.grad and not facts.used_recording:
            self._begins(facts, array)  # what ran before under no_grad may have been writing its first values
        elif leaf.role != "parameter" and not facts.moved:
            facts.moved = array.size > LARGEST or array.sum().item() != facts.total
        facts.used += 1
        facts.frozen = not leaf.requires
        facts.used_recording += state.grad
        facts.consumer = seen.id
        facts.last_used = seen.iteration
        if not facts.name:
            facts.name = seen.module

    def _begins(self, facts: ParameterFacts, array: Any) -> None:
        """What a parameter's first values are, and who wrote them."""
        written = writes.last(array)
        if written is not None and written != (facts.file, facts.line):
            facts.written = written  # a layer's own first values are nobody's mistake
        facts.size = float(np.linalg.norm(array)) if array.size <= LARGEST else 1.0
        facts.zero = array.ndim >= 2 and facts.size == 0
        facts.spread = facts.size / math.sqrt(max(array.size, 1))
        if array.ndim == 2 and array.shape[0] > 1 and array.shape[1] > 1:
            facts.alike = bool((array == array[:1]).all() and array.any())
        facts.total = array.sum().item() if array.size <= LARGEST else 0.0

    def _gradient(self, leaf: Node, array: Any) -> None:
        steps, old = self._left.pop(id(leaf), (None, None))
        if steps is not None and array is old:
            self._mixed[id(leaf)] = (array, self._pass)
        facts = self.record.parameters.get(id(leaf)) or self.record.learners.get(leaf.id)
        if facts is not None:
            facts.gradients += 1
            if facts.alike and not facts.written[0] and not np.allclose(array, array[:1], rtol=1e-3, atol=0):
                facts.alike = (
                    False  # given so, as the poles of a state space are, and with gradients of their own
                )
            with np.errstate(all="ignore"):
                wide = np.asarray(array, np.result_type(array, np.float64))
                facts.norms.append(float(np.linalg.norm(wide.ravel())))

    def _entered(self, call: ModuleCall) -> None:
        if call.parent is None and call.module not in self._roots:
            self._roots.add(call.module)
            self.record.roots[call.path] = call.filename, call.line
        if call.parent is None and not call.module.training and state.grad:
            facts = self.record.evaluated.get(id(call.module))
            if facts is not None and facts["on"]:
                facts["calls"].append(len(self.record.losses))
        if call.parent is None:
            for parameter in call.module.parameters():
                self.record.registered.add(id(parameter.node))

    # --- what came through the doors ---

    @property
    def turn(self) -> int:
        """The turn that runs."""
        return self._iteration

    def stepped(
        self,
        steps: Steps,
        optimizer: Optimizer,
        step: Callable[[], Any],
        place: tuple[str, int],
        closed: bool,
    ) -> Any:
        """An optimizer steps: what it uses, and how far the parameters move."""
        steps.step_place = place
        steps.count += 1
        steps.params = [p for g in optimizer.param_groups for p in g["params"]]
        steps.lr = float(optimizer.param_groups[0].get("lr", 0.0))
        if steps.name in (
            "SGD",
            "AdamW",
        ):  # of the others the decay is a part of the gradient, and scaled with it
            parts = [float(g["lr"]) * float(g.get("weight_decay", 0.0)) for g in optimizer.param_groups]
            steps.decay = max(steps.decay, *parts)
        if len(steps.rates) < RATES_KEPT:
            steps.rates.append(steps.lr)
        with_gradient = [p for p in steps.params if p.grad is not None]
        mixed = [
            found[1]
            for p in with_gradient
            if (found := self._mixed.pop(id(p.node), None)) is not None and found[0] is p.grad.array
        ]
        if mixed:  # what an earlier step has used already is used again
            steps.stale += 1
            steps.stale_place = mixed[0]
        if not with_gradient and not closed:
            steps.empty += 1
            if self._away[0]:
                steps.thrown = self._away
            steps.roots = [*steps.roots[-2:], self.record.losses[-1].node if self.record.losses else 0]
        before = None
        if looks(steps.count):
            before = [(p, p.array.copy()) for p in with_gradient if p.array.size <= LARGEST]
        result = step()
        if before:
            steps.ratios.append(moved(before))
        for parameter in steps.params:
            if parameter.grad is not None:
                self._stale[id(parameter)] = parameter.grad.array
        return result

    def zeroed(self, owner: Any, place: tuple[str, int]) -> None:
        """Gradients are put away: does that take some that no step has used?"""
        parameters = (
            [p for g in owner.param_groups for p in g["params"]]
            if isinstance(owner, Optimizer)
            else list(owner.parameters())
        )
        fresh = {
            id(p) for p in parameters if p.grad is not None and self._stale.get(id(p)) is not p.grad.array
        }
        if fresh:
            self._away = place
        for steps in self.record.optimizers:
            if any(id(p) in fresh for p in steps.params):
                steps.zeroed += 1
                steps.zeroed_place = place
                steps.wasted += steps.stepped_at == steps.count
                steps.stepped_at = steps.count

    def before_backward(self, place: tuple[str, int]) -> None:
        """Which gradients that a step has used are still there, and not 0."""
        self._pass = place
        self._mixed = {n: found for n, found in self._mixed.items() if found[0].any()}
        self._left = {
            id(p.node): (steps, array)
            for steps in self.record.optimizers
            if steps.count
            for p in steps.params
            if (array := self._stale.get(id(p))) is not None
            and p.grad is not None
            and p.grad.array is array
            and array.any()
        }


_OURS: dict[type, bool] = {}


def _ours(module: Module) -> bool:
    """Whether a module's forward is the engine's, not the person's."""
    kind = type(module)
    known = _OURS.get(kind)
    if known is None:
        code = getattr(getattr(kind, "forward", None), "__code__", None)
        known = _OURS[kind] = code is not None and is_engine_code(code)
    return known


def _names_of(holder: Any, depth: int = 2) -> list[str]:
    """The variables and attributes that hold a list or dict, or a dict it is a value of."""
    found = []
    for keeper in gc.get_referrers(holder):
        if isinstance(keeper, dict):
            found += [
                str(name) for name, value in keeper.items() if value is holder and isinstance(name, str)
            ]
            if depth and "__name__" not in keeper:
                found += _names_of(keeper, depth - 1)
        elif isinstance(keeper, Module):
            found += [name for name, value in keeper.__dict__.items() if value is holder]
        elif not isinstance(keeper, (FrameType, list, tuple)) and hasattr(keeper, "__dict__"):
            found += [name for name, value in vars(keeper).items() if value is holder]
        elif isinstance(keeper, FrameType):
            found += [name for name, value in locals_of(keeper).items() if value is holder]
    return found


def callers() -> list[tuple[str, int]]:
    """The person's lines that called the one that runs, nearest first, without those at the same line."""
    frame: FrameType | None = user_frame(2)
    found: list[tuple[str, int]] = []
    while frame is not None and len(found) < 3:
        if not is_engine_code(frame.f_code):
            found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found[1:]


def finite(array: Any) -> bool:
    """Whether no element is nan or infinite; other kinds of elements always are."""
    if getattr(array, "dtype", None) is None or array.dtype.kind not in "fc":
        return True
    if array.size <= 4096:
        return bool(np.isfinite(array).all())
    with np.errstate(all="ignore"):
        # A sum that is finite has finite parts, and is found in one pass.
        return bool(np.isfinite(array.sum())) or bool(np.isfinite(array).all())


def facts_of(arrays: Any) -> dict[str, Any]:
    """The range of each argument, for the evidence."""
    made: dict[str, Any] = {}
    for i, array in enumerate(arrays):
        if isinstance(array, (int, float)):
            made[f"argument {i}"] = array
        elif getattr(array, "size", 0) and array.dtype.kind in "fiu":
            made[f"argument {i}"] = {
                "min": float(array.min()),
                "max": float(array.max()),
                "shape": list(array.shape),
            }
    return made
