"""What a compiled region keeps for its gradient, and the gradient: by one kernel, or by its ops' own rules.

The rules serve whenever the pass is no plain one: gradients of gradients, a hook or a wanted gradient inside the
region, a traced or anomaly-checked pass, a kernel that is not there. Then what the ops would have saved is computed
again and each node stands for itself.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import arrived, namespace, require_cupy
from engine.interruption import from_handler
from engine.jit.plan import Plan
from engine.node import Node, keep
from engine.pending import Product

if TYPE_CHECKING:
    from engine.jit.steps import Step


class Kept:
    """The gradient of one run of a compiled region. `again` of each of its nodes is this and the number of its step."""

    __slots__ = ("arrays", "domain", "done", "made", "nodes", "numbers", "parents", "plan", "spent", "stamp")

    whole = True  # a gradient for all its nodes at once

    def __init__(
        self, plan: Plan, nodes: list[weakref.ref[Node] | None], parents: list[Node], arrays: list[Any],
        made: dict[int, Any], numbers: list[float], domain: tuple[int, ...], stamp: int,
    ) -> None:  # fmt: skip
        self.plan, self.nodes, self.parents, self.numbers, self.domain = plan, nodes, parents, numbers, domain
        self.arrays: list[Any] = arrays  # of the inputs, None for one that no gradient needs
        self.made = made  # of the forward kernel's outputs, by their number
        self.stamp = stamp
        self.done = False
        self.spent: set[int] = set()

    # --- by the kernel ---

    def gradients(
        self, node: Node, g: Any, grads: dict[Node, Any], only: set[Node] | None, retain: bool
    ) -> tuple[tuple[Node, ...], tuple[Any, ...]] | None:
        """The inputs' nodes and their gradients, where the kernel can do it; None changes nothing.

        `node` is the first of the region that the pass comes to, so the gradients of all its results are complete.
        Those that are used up are taken out of `grads`.
        """
        if self.done:
            return None
        coming: dict[int, Any] = {}
        taken: list[Node] = []
        for i, reference in enumerate(self.nodes):
            inner = None if reference is None else reference()
            if inner is None:
                continue
            if inner is node:
                coming[i] = g
                continue
            if inner.hooks or (only is not None and inner in only):
                return None
            held = grads.get(inner)
            if held is not None:
                coming[i] = held
                taken.append(inner)
        of = tuple(sorted(coming))
        variant = self.plan.backward(of)
        if variant is None or (self.spent and self.spent & self._reached(of)):
            return None
        backward = variant.backward
        given = [self.arrays[k] for k in backward.inputs] + [self.made.get(n) for n in backward.outputs]
        if any(array is None for array in given):
            return None
        dtype = self.plan.dtype
        for i in of:
            held = coming[i]
            if type(held) is Product:
                held = held.value()
            if (
                type(held) is not (require_cupy().ndarray if self.plan.far else np.ndarray)
                or held.dtype != dtype
            ):
                return None
            given.append(held if held.flags.c_contiguous else namespace(held).ascontiguousarray(held))
        row = self.domain[-1]
        rows = math.prod(self.domain[:-1])
        if not variant.kernel.serves(rows, row):
            return None
        made = [
            self.plan.empty(form, self.domain, self.parents[k].shape if form == "column" else None)
            for k, form in zip(backward.to, backward.forms, strict=True)
        ]
        try:
            variant.kernel(given, made, self.numbers, rows, row)
        except Exception as error:
            if not self.plan.far or from_handler(error):
                raise
            self.plan.broken(error)
            return None
        for inner in taken:
            del grads[inner]
        if not retain:
            self._spend(of)
        return tuple(self.parents[k] for k in backward.to), tuple(made)

    def _reached(self, of: Sequence[int]) -> set[int]:
        """The steps a gradient of the steps `of` comes by, that keep something for it."""
        steps = self.plan.steps
        found: set[int] = set()
        stack = list(of)
        while stack:
            i = stack.pop()
            if i not in found and steps[i].requires:
                found.add(i)
                stack.extend(value for kind, value in steps[i].args if kind == "step")
        return {i for i in found if steps[i].op.keeps}

    def _spend(self, of: Sequence[int]) -> None:
        """A pass that keeps nothing went through the steps below `of`."""
        self.spent |= self._reached(of)
        for i in self.plan.live:
            if i not in of and i not in self.spent:
                reference = self.nodes[i]
                if reference is not None and reference() is not None:
                    return  # its own gradient may still come
        self._release()

    def _release(self) -> None:
        self.done = True
        self.arrays, self.made = [], {}

    # --- by the rules ---

    def restore(self) -> None:
        """Give the nodes what their ops would have saved, so that each stands for itself."""
        xp = require_cupy() if self.plan.far else np
        value = values_of(self.plan.steps, self.arrays, self.numbers, self._known(), xp)
        for i, node in self._alive():
            node.again = None
            if i not in self.spent:
                node.saved = tuple([value(v) if type(v) is tuple else v for v in self._wanted(i, node)])
        self._release()

    def _alive(self) -> Iterator[tuple[int, Node]]:
        for i, reference in enumerate(self.nodes):
            node = None if reference is None else reference()
            if node is not None:
                yield i, node

    def _wanted(self, i: int, node: Node) -> tuple[Any, ...]:
        """What the node of step `i` saves, with arguments in the place of their values."""
        step = self.plan.steps[i]
        before = node.saved
        keep(
            node,
            step.op,
            list(step.args),
            list(node.inputs),
            ("step", i),
            tuple(("extra", (i, n)) for n in range(len(step.op.extras))),
        )
        saved, node.saved = node.saved, before
        assert saved is not None
        return saved

    def _known(self) -> dict[int, Any]:
        return {i: self.made[n] for n, i in enumerate(self.plan.live) if n in self.made}

    def unchanged(self, look: Any) -> None:
        """`look(node, saved)` for each node, with what is at hand of what its op would have saved."""
        known = self._known()
        for i, node in self._alive():
            if i in self.spent:
                continue
            saved = []
            for v in self._wanted(i, node):
                if type(v) is tuple:
                    v = self.arrays[v[1]] if v[0] == "input" else known.get(v[1]) if v[0] == "step" else None
                saved.append(v)
            look(node, saved)


def values_of(
    steps: Sequence[Step], arrays: Sequence[Any], numbers: Sequence[Any], known: dict[int, Any], xp: Any = np
) -> Any:
    """A function that computes the value of an argument op by op, each once."""

    def value(argument: tuple[str, Any]) -> Any:
        kind, v = argument
        if kind == "input":
            return arrays[v]
        if kind == "argument":
            return numbers[v]
        if kind == "constant":
            return v
        if kind == "extra":
            if v[0] not in extras:
                extras[v[0]] = computed(v[0])[1:]
            return extras[v[0]][v[1]]
        if v not in known:
            made = computed(v)
            known[v] = arrived(made[0] if steps[v].op.extras else made, xp)
        return known[v]

    def computed(i: int) -> Any:
        inputs = [value(a) for a in steps[i].args]
        with np.errstate(all="ignore"):
            return steps[i].op.on(xp)(*inputs, **dict(steps[i].kwargs))

    extras: dict[int, Any] = {}

    return value
