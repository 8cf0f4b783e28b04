"""What two tensors give element by element: shapes that spread, masks, targets out of reach, whole numbers that overflow."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from dsviz.diagnose.record import LARGEST, Record, Seen, looks
from engine.node import Node

# What an activation can give, with some room.
REACHES = {"relu": (-0.05, math.inf), "sigmoid": (-0.25, 1.25), "tanh": (-1.25, 1.25)}
WIDE = {"add": np.add, "sub": np.subtract, "mul": np.multiply}  # what of whole numbers can leave their type


class Elements:
    """Fills the part of a `Record` that tells of such ops."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.masked: deque[tuple[int, int]] = deque(maxlen=32)  # products with a mask: the node, the mask's
        self._less: tuple[int, Seen | None, float, float] = (0, None, 0.0, 1.0)  # scores times 1 - target

    def ran(self, seen: Seen, node: Node, out: Any) -> None:
        """An op of two arguments ran."""
        if seen.dtype.kind in "iu" and seen.op in WIDE and looks(seen.iteration):
            self._whole(seen, node.arrays or (), out)
        if seen.op == "sub" and looks(seen.iteration):
            self._reach(seen, node)
        number, leaf, low, high = self._less
        if seen.op == "add" and number and number == seen.inputs[0] and leaf is not None:
            other = self.record.find(seen.inputs[1])
            if other is not None and other.op == "softplus" and other.place == seen.place:
                self._odd(seen, leaf, low, high)
        if seen.op == "mul":
            self._shares(seen, node)
            if looks(seen.iteration) and len(seen.shape) >= 2:
                self._multiplied(seen, node)
        a, b = seen.shapes[0], seen.shapes[1]
        if a is None or b is None or len(seen.shape) < 2:
            return
        for one, other in ((a, b), (b, a)):
            # [N, 1] beside [N] gives [N, N]: every item with every other.
            if len(one) == len(other) + 1 and one[-1] == 1 and one[:-1] == other and one[0] > 1:
                flows = [i is not None and i.requires for i in node.inputs[:2]]
                if any(flows) and not all(flows):
                    facts = self.record.spread.setdefault(
                        seen.place, {"op": seen.op, "shapes": (a, b), "out": seen.shape, "ids": []}
                    )
                    facts["ids"] = [*facts["ids"][-2:], seen.id]

    def _reach(self, seen: Seen, node: Node) -> None:
        """Note how many targets lie outside what the activation that made a prediction can give."""
        arrays = node.arrays or ()
        for mine, other in ((0, 1), (1, 0)):
            made, target = self.record.find(seen.inputs[mine]), self.record.find(seen.inputs[other])
            while made is not None and made.op in ("reshape", "getitem", "transpose") and made.inputs:
                made = self.record.find(made.inputs[0])
            if made is None or made.op not in REACHES or not made.requires:
                continue
            if target is None or target.op or target.role == "parameter" or target.requires:
                continue
            low, high = REACHES[made.op]
            values = arrays[other]
            if getattr(values, "size", 0) >= 4 and values.dtype.kind == "f" and values.size <= LARGEST:
                share = float(((values < low) | (values > high)).mean())
                self.record.outside[seen.place] = {"id": seen.id, "made": made.id, "share": share}

    def _shares(self, seen: Seen, node: Node) -> None:
        """Targets of a binary cross entropy that are no share: it multiplies them with a softplus or a logarithm."""
        made, target = (self.record.find(n) for n in seen.inputs[:2])
        if made is None or target is None or target.requires:
            return
        values: Any = (node.arrays or (None, None))[1]
        if target.op in ("sub", "rsub") and target.place == seen.place:
            # scores * (1 - target) + softplus(-scores): what it is shows when the two are added
            leaf = next((m for n in target.inputs if n and (m := self.record.find(n)) is not None), None)
            if leaf is not None and not leaf.op and 0 < values.size <= LARGEST:
                self._less = (seen.id, leaf, 1.0 - float(values.max()), 1.0 - float(values.min()))
            return
        if made.place != seen.place or made.op not in ("softplus", "held_log"):
            return
        if getattr(values, "size", 0) and values.size <= LARGEST and values.dtype.kind in "fiu":
            low, high = float(values.min()), float(values.max())
            if not target.op:
                self._odd(seen, target, low, high)

    def _odd(self, seen: Seen, target: Seen, low: float, high: float) -> None:
        if low < -1e-3 or high > 1 + 1e-3:
            facts = self.record.odd_targets.setdefault(
                seen.place, {"leaf": target, "low": low, "high": high, "calls": 0}
            )
            facts["calls"] += 1

    def _multiplied(self, seen: Seen, node: Node) -> None:
        """Scores that are multiplied with a mask of zeros and ones."""
        arrays = node.arrays or ()
        for argument, given in enumerate(node.inputs[:2]):
            scores, mask = node.inputs[1 - argument], arrays[argument]
            if given is None or scores is None or given.requires or not scores.requires:
                continue
            if mask.ndim >= 2 and mask.size <= LARGEST and mask.shape[-1] == seen.shape[-1]:
                held = mask != 0
                if held.any() and not held.all() and bool(((mask == 1) | ~held).all()):
                    self.masked.append((seen.id, given.id))

    def softmax(self, seen: Seen) -> None:
        """A softmax over scores that were multiplied with a mask: what is masked takes part with a score of 0."""
        made = self.record.find(seen.inputs[0])
        for _ in range(2):
            mask = None if made is None else next((m for n, m in self.masked if n == made.id), None)
            if made is not None and mask is not None:
                self.record.switched[made.place] = {"softmax": seen.id, "mask": mask, "place": seen.place}
                return
            if made is None or made.op not in ("mul", "div") or made.inputs[1]:
                return
            made = self.record.find(made.inputs[0])  # scaled afterwards

    def _whole(self, seen: Seen, arrays: Any, out: Any) -> None:
        """Whole numbers that are too large for their type go round its end."""
        if any(np.size(a) > LARGEST for a in (out, *arrays[:2])):
            return
        with np.errstate(all="ignore"):
            right = WIDE[seen.op](*(np.asarray(a, np.float64) for a in arrays[:2]))
        ends = np.iinfo(seen.dtype)
        # An int64 of 2 ** 62 is no longer exact as a float64; twice that is beyond its end all the same.
        past = (right < float(ends.min) - 0.5) | (right > float(ends.max) * (1 + 1e-12))
        if past.any():
            facts = self.record.wrapped.setdefault(
                seen.place,
                {
                    "op": seen.op,
                    "dtype": str(seen.dtype),
                    "share": float(past.mean()),
                    "calls": 0,
                    "id": seen.id,
                },
            )
            facts["calls"] += 1
            facts["id"] = seen.id
