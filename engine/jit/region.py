"""A run of ops that are put off, to be computed in one go when somebody looks at a result.

Each op is checked when it is called, as ever: its arguments, its shape, its gradient. Only its arithmetic waits. The
region ends when a value is looked at, when an op comes that no C is written for, or when it is long enough; then its key
is looked up, which holds all its result depends on. By a kernel, or op by op: the results are fresh arrays.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from sys import _getframe
from typing import Any

import numpy as np

from engine import late
from engine.amp import autocast
from engine.backend import arrived, cupy, require_cupy
from engine.bus import bus
from engine.config import current
from engine.grad_mode import state
from engine.interruption import from_handler
from engine.jit.deferred import LENT, OWN, Lazy, Lent, LentParameter, fill, raw
from engine.jit.kept import Kept
from engine.jit.plan import READY, Place, Plan, plans
from engine.jit.rules import Rule, rule_of, word
from engine.jit.shared import shared
from engine.jit.steps import Input, Layout, Step
from engine.jit.symbol import HALF
from engine.location import INTERNAL, is_engine_code
from engine.locks import reentrant
from engine.native.compiler import compiler
from engine.node import NO_KWARGS, Node, keep, order, settle
from engine.op import Op
from engine.pool import LARGE, compute, is_last
from engine.tensor import Parameter, Tensor
from engine.writes import writes

ENOUGH = 1 << 16  # elements from which it pays to put an op off
ASKED = 256  # the same where `jit` asked
LONGEST = 64  # ops of a region
SHORTEST_ROW = 16
DULL = 8  # times that one op alone was a region, after which its place is left alone ...
AGAIN = 64  # ... but for every so many visits

QUIET = frozenset(["ignore", "warn"])

_ndarray = np.ndarray


def gpu_stream() -> int:
    """The stream that CuPy launches on."""
    global _stream
    if _stream is None:
        from engine.gpu.library import stream  # a program on the CPU does not wait for it

        _stream = stream
    return _stream()


_stream: Callable[[], int] | None = None


class Region:
    """Ops that are put off, by the thread that called them."""

    __slots__ = (
        "__weakref__",
        "arrays",
        "asked",
        "domain",
        "done",
        "dtype",
        "far",
        "keys",
        "layouts",
        "lent",
        "lock",
        "nodes",
        "numbers",
        "outs",
        "parents",
        "place",
        "rows",
        "steps",
        "stream",
        "used",
    )  # fmt: skip

    whole = False  # in a gradient, until it is computed: see Kept

    def __init__(
        self, place: Place, domain: tuple[int, ...], dtype: Any, asked: bool, far: Any = None
    ) -> None:
        self.lock = reentrant()
        self.place, self.domain, self.dtype, self.asked = place, domain, dtype, asked
        self.far = far  # the GPU its arrays are on, None for the CPU ...
        self.stream = 0 if far is None else gpu_stream()  # ... and the stream its ops were called on
        self.done = False
        self.steps: list[Step] = []
        self.keys: list[Any] = []
        self.nodes: list[Node] = []
        self.outs: list[weakref.ref[Tensor]] = []
        self.lent: dict[int, tuple[int, Tensor]] = {}  # by id: the number of the input, and the tensor
        self.arrays: list[Any] = []
        self.parents: list[Node] = []
        self.layouts: list[Layout] = []
        self.numbers: list[float] = []
        self.used: set[int] = set()  # steps that others are made of
        self.rows = False  # whether there is a sum or an extreme of rows

    # --- growing ---

    def takes(self, rule: Rule, args: tuple[Any, ...]) -> bool:
        """Whether the next op goes over the same elements, or over one number for each row of them."""
        if rule.domain == self.domain:
            return True
        if rule.domain != rule.shape:
            return False
        if rule.shape == (*self.domain[:-1], 1):
            return True
        # Rows without their last dimension: only among themselves, as an array of that shape may be anything.
        return rule.shape == self.domain[:-1] and all(
            type(a) is Lazy or type(a) is float or type(a) is int for a in args
        )

    def lend(self, tensor: Tensor, array: Any) -> int:
        """The number of `tensor` as an input."""
        found = self.lent.get(id(tensor))
        if found is not None:
            return found[0]
        number = len(self.arrays)
        layout = layout_of(array, self.domain)
        self.lent[id(tensor)] = (number, tensor)
        tensor.__class__ = LENT[type(tensor)]
        self.arrays.append(array)
        self.parents.append(tensor.node)
        self.layouts.append(layout)
        return number

    # --- computing ---

    def settle(self) -> None:
        """Compute it, once; whoever comes from another thread waits."""
        with self.lock:
            if self.done:
                return
            if state.region is self:
                state.region = None
            outs = [reference() for reference in self.outs]
            live = tuple(i for i, out in enumerate(outs) if out is not None or i not in self.used)
            for _, tensor in self.lent.values():
                own = OWN.get(type(tensor))
                if own is not None:
                    tensor.__class__ = own
            plan = self._plan(live)
            with self._there():
                values = self._by_kernel(plan) if plan.ready(self.asked) else None
                if values is None:
                    values = self._by_ops(live)
            for i, out in enumerate(outs):
                if out is not None:
                    fill(out, values[i])
                    del out.how
                    out.__class__ = Tensor
            self.done = True
            late.regions.discard(self)
            self._forget(plan, len(live))

    restore = settle

    def _there(self) -> Any:
        """The GPU and the stream that the ops were called on, should somebody look from others."""
        if self.far is None or (self.stream == gpu_stream() and not several()):
            return nullcontext()
        cuda = require_cupy().cuda
        there = ExitStack()
        there.enter_context(cuda.Device(self.far))
        there.enter_context(cuda.ExternalStream(self.stream))
        return there

    def _forget(self, plan: Plan, live: int) -> None:
        place = self.place
        place.dull = place.dull + 1 if len(self.steps) == 1 and plan.state != READY else 0
        self.steps, self.keys, self.nodes, self.outs, self.lent = [], [], [], [], {}
        self.arrays, self.parents, self.layouts, self.numbers = [], [], [], []

    def _plan(self, live: tuple[int, ...]) -> Plan:
        strided = any(layout.form == "strided" for layout in self.layouts)
        key = (
            tuple(self.keys),
            tuple(
                (layout, parent.requires) for layout, parent in zip(self.layouts, self.parents, strict=True)
            ),
            live,
            self.dtype.char,
            self.far is not None,
            len(self.domain),
            self.domain if strided else self.domain[-1] if self.rows else None,
        )
        found = plans.find(key)
        if found is None:
            inputs = tuple(
                Input(layout, array.shape, parent.requires)
                for layout, array, parent in zip(self.layouts, self.arrays, self.parents, strict=True)
            )
            found = plans.add(
                key,
                Plan(
                    self.place, tuple(self.steps), inputs, self.domain, self.dtype, live, self.far is not None
                ),
            )  # fmt: skip
        return found

    def _by_kernel(self, plan: Plan) -> dict[int, Any] | None:
        derived, forward = plan.derived, plan.forward
        assert derived is not None
        assert forward is not None
        domain, row = self.domain, self.domain[-1]
        rows = math.prod(domain[:-1])
        if not forward.serves(rows, row):
            return None
        try:
            made = [
                plan.empty(form, domain, domain if form == "full" else self.steps[i].shape)
                for i, form in zip(derived.live, derived.forms, strict=True)
            ]
            results = list(made)
            made += [plan.empty("row", domain, exact=True) for _ in range(derived.extra)]
            forward(self.arrays, made, self.numbers, rows, row)
        except MemoryError:
            return None
        except Exception as error:
            if self.far is None or from_handler(error):
                raise
            plan.broken(error)
            return None
        if any(step.requires for step in self.steps):
            kept = {n: made[n] for n, i in enumerate(derived.live) if i in derived.results}
            kept.update((n, made[n]) for n in range(len(results), len(made)))
            whole = Kept(
                plan,
                [weakref.ref(node) if node.requires else None for node in self.nodes],
                self.parents,
                [array if k in derived.inputs else None for k, array in enumerate(self.arrays)],
                kept,
                self.numbers,
                domain,
                writes.count,
            )
            for i, node in enumerate(self.nodes):
                if node.requires:
                    node.again = (whole, i)
        return dict(zip(derived.live, results, strict=True))

    def _by_ops(self, live: tuple[int, ...]) -> dict[int, Any]:
        """As it would have been computed at once, op by op."""
        uses: dict[int, int] = dict.fromkeys(live, 1)
        for step in self.steps:
            for kind, v in step.args:
                if kind == "step":
                    uses[v] = uses.get(v, 0) + 1
        values: dict[int, Any] = {}
        xp = np if self.far is None else require_cupy()
        for i, (step, node) in enumerate(zip(self.steps, self.nodes, strict=True)):
            arrays = [
                values[v] if kind == "step" else self.arrays[v] if kind == "input" else self.numbers[v]
                if kind == "argument" else v for kind, v in step.args
            ]  # fmt: skip
            op = step.op
            with np.errstate(all="ignore"):
                if (
                    op.pooled
                    and not step.kwargs
                    and type(arrays[0]) is _ndarray
                    and arrays[0].nbytes >= LARGE
                ):
                    out = compute(op.on_numpy, *arrays)
                else:
                    out = op.on(xp)(*arrays, **dict(step.kwargs))
            extras: tuple[Any, ...] = ()
            if op.extras:
                out, extras = out[0], out[1:]
            values[i] = out = out if type(out) is _ndarray else arrived(out, xp)
            if node.requires:
                keep(node, op, arrays, list(node.inputs), out, extras)
                node.again = None
            del arrays, out, extras
            for kind, v in step.args:
                if kind == "step":
                    uses[v] -= 1
                    if not uses[v]:
                        del values[v]
        return values


def layout_of(array: Any, domain: tuple[int, ...]) -> Layout:
    """How an input lies beside the elements of a region."""
    truth = array.dtype.kind == "b"
    if array.size == 1:
        return Layout("one", truth)
    shape = array.shape
    if array.flags.c_contiguous:
        if shape == domain:
            return Layout("full", truth)
        if array.size == domain[-1] == shape[-1]:
            return Layout("last", truth)
        if len(shape) == len(domain) and shape[-1] == 1 and shape[:-1] == domain[:-1]:
            return Layout("row", truth)
    strides = np.broadcast_to(array, domain).strides
    return Layout("strided", truth, domain, tuple(s // array.itemsize for s in strides))


def fits(array: Any, shape: tuple[int, ...]) -> bool:
    """Whether a kernel can read an array in an op that gives `shape`."""
    size = array.itemsize
    return array.dtype.isnative and bool(array.flags.aligned) and all(s % size == 0 for s in array.strides)


def fits_far(array: Any) -> bool:
    """Whether a kernel on a GPU can read an array."""
    module = cupy()
    return (
        module is not None
        and type(array) is module.ndarray
        and not plans.refused_far
        and hasattr(module, "RawModule")  # the stand-in of most tests compiles nothing
        and (not several() or array.data.device_id == module.cuda.runtime.getDevice())
        and all(s % array.itemsize == 0 for s in array.strides)
        and not is_last(array)  # what is made of images with their channels last has them last
    )


def in_use() -> int:
    """The number of the GPU in use."""
    return int(require_cupy().cuda.runtime.getDevice())


@functools.cache
def several() -> bool:
    """Whether there is more than one GPU."""
    return bool(require_cupy().cuda.runtime.getDeviceCount() > 1)


def collect(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any] = NO_KWARGS) -> Tensor | None:
    """`op` put off, as a tensor that is computed when somebody looks; None where it has to be computed now."""
    mine = state.__dict__
    if (
        (bus.active and (autocast.running or current().trace_level)) or mine["no_jit"] or mine["phase"] or mine["silent"] or mine["stepwise"]
        or mine["stream"] is not None or (not mine["asked_jit"] and current().jit_threshold is None)
    ):  # fmt: skip
        return None
    region: Region | None = mine["region"]
    shapes: list[Any] = []
    near = far = False  # whether there is an array on the CPU, and one on a GPU
    for a in args:
        kind = type(a)
        if kind is Lazy:
            if region is None or a.how[0] is not region:
                return None
            if region.far is None:
                near = True
            else:
                far = True
            node = a.node
            shapes.append((node.shape, node.dtype))
        elif kind is Tensor or kind is Parameter:
            array = a.array
            if type(array) is _ndarray:
                if not fits(array, ()):
                    return None
                near = True
            elif fits_far(array):
                far = True
            else:
                return None
            if shared.has(array):
                return None
            shapes.append((array.shape, array.dtype))
        elif kind is float or (kind is int and -(1 << 53) < a < 1 << 53):
            shapes.append(kind)
        elif kind is Lent or kind is LentParameter:
            if region is None or id(a) not in region.lent:
                return None
            array = raw(a)
            if type(array) is _ndarray:
                near = True
            else:
                far = True
            shapes.append((array.shape, array.dtype))
        else:
            return None
    if near == far or (near and plans.refused):
        return None
    if region is not None and (
        far != (region.far is not None) or (far and region.stream != gpu_stream()) or (far and several() and region.far != in_use())
    ):  # fmt: skip
        region.settle()
        return collect(op, args, kwargs) if state.region is None else None
    frame = _getframe(2)
    code = frame.f_code
    while (INTERNAL.get(code.co_filename) or is_engine_code(code)) and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    lasti = frame.f_lasti
    if region is None and not late.again(frame) and not mine["asked_jit"]:
        return None
    rule = rule_of(op, tuple(shapes), kwargs)
    if rule is None or (near and rule.dtype == HALF):
        return None
    if region is not None and (
        region.dtype != rule.dtype or len(region.steps) >= LONGEST or not region.takes(rule, args)
        or _new_turn(region, args, code, lasti)
    ):  # fmt: skip
        region.settle()
        return collect(op, args, kwargs) if state.region is None else None
    if region is None:
        domain = rule.domain
        if math.prod(domain) < (ASKED if mine["asked_jit"] else ENOUGH) or (
            len(domain) > 1 and domain[-1] < SHORTEST_ROW
        ):
            return None
        if not QUIET.issuperset(np.geterr().values()):
            return None  # the program wants to hear of what overflows where it does
        place = plans.place(code, lasti)
        place.visits += 1
        if place.dull >= DULL and place.visits % AGAIN:
            return None
        region = mine["region"] = Region(
            place, domain, rule.dtype, bool(mine["asked_jit"]), in_use() if far else None
        )
        late.regions.add(region)
    with region.lock:
        if region.done:
            return None
        return _put_off(region, rule, op, args, kwargs, code, lasti)


def _new_turn(region: Region, args: tuple[Any, ...], code: Any, lasti: int) -> bool:
    """Whether a loop is back where the region began, with nothing of the last turn in hand."""
    first = region.nodes[0]
    return first.code is code and first.lasti == lasti and not any(type(a) is Lazy for a in args)


def _put_off(
    region: Region, rule: Rule, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], code: Any, lasti: int
) -> Tensor:
    taken: list[tuple[str, Any]] = []
    nodes: list[Node | None] = []
    requires = False
    for a in args:
        kind = type(a)
        if kind is float or kind is int:
            nodes.append(None)
            if rule.frozen:
                taken.append(("constant", a))
            else:
                taken.append(("argument", len(region.numbers)))
                region.numbers.append(a)
            continue
        node = a.node
        nodes.append(node)
        if node.requires:
            requires = True
        if kind is Lazy:
            number = a.how[1]
            region.used.add(number)
            taken.append(("step", number))
        else:
            taken.append(("input", region.lend(a, raw(a))))
    made = Node()
    made.op = op
    made.kwargs = kwargs
    made.order = next(order)
    made.shape = rule.shape
    made.dtype = rule.dtype
    made.code = code
    made.lasti = lasti
    made.stamp = writes.count
    number = len(region.steps)
    if requires and op.vjp is not None and state.grad:
        made.requires = True
        made.depth = 0
        made.inputs = tuple(nodes)
        made.saved = None
        made.again = (region, number)
    else:
        requires = made.requires = False
        made.saved = ()
        settle(made, nodes)
    tensor = Lazy.__new__(Lazy)
    tensor.node = made
    tensor.how = (region, number)  # type: ignore[assignment]
    arguments = tuple(taken)
    region.rows = region.rows or rule.reduces
    region.keys.append(
        (op, rule.attrs, tuple([(k, word(v)) if k == "constant" else (k, v) for k, v in arguments]), requires)
    )
    region.nodes.append(made)
    region.outs.append(weakref.ref(tensor))
    region.steps.append(Step(op, tuple(kwargs.items()), arguments, rule.shape, requires))
    return tensor


if compiler() is None:
    plans.refused = "there is no C compiler (cc, gcc or clang)"
