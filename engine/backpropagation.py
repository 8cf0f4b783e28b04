"""The backward pass: nodes popped newest first off a heap, each giving its inputs their gradient.

A node is newer than all it was made from, so when a node is popped everything that used it has been popped
before and its gradient is complete: no counting of users, one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import backend
from engine.amp import autocast
from engine.anomaly import anomaly
from engine.bus import bus
from engine.complexes import fitted
from engine.dnn.loop import total
from engine.grad_mode import state
from engine.gradient_hooks import after, afterwards, run_hooks
from engine.iteration import iteration
from engine.memory import memory
from engine.node import BACKWARD, Node, blank
from engine.op import OPS
from engine.pending import PUT_OFF, Masked, Product, Remade, there
from engine.pool import LARGE, compute, owns
from engine.watched import begin_backward, finish_backward
from engine.woven import gradient
from engine.writes import Changed, writes

if TYPE_CHECKING:
    from engine.tensor import Tensor

_ndarray = np.ndarray
QUICKEN = 16  # backward passes after which the compiled core is asked for
_passes = count(1)
_quick = False


def bind(tensor: type[Tensor]) -> None:
    """Called once by tensor.py, by way of autograd.py: it is made of this."""
    global Tensor
    Tensor = tensor  # type: ignore[misc]


def _quicken(passes: int) -> None:
    """A program that trains on and on is worth the compiled core: asked for ever more seldom, until it is there."""
    global _quick
    if not _quick and passes >= QUICKEN and passes & (passes - 1) == 0 and not bus.active:
        from engine import core  # made of this

        _quick = core.quicken() or core.extension.hopeless


def run(
    roots: Sequence[Node],
    seeds: Sequence[Any],
    retain: bool,
    create: bool,
    only: set[Node] | None,
    accumulate: bool,
) -> dict[Node, Any]:
    """One backward pass. Returns the gradients of the nodes in `only`; with `accumulate` they go to `.grad`."""
    if state.region is not None:
        state.region.settle()
    _quicken(next(_passes))
    if accumulate or not create:  # else the gradient is a part of what is computed, as a penalty on it
        iteration.backward()
    scale = autocast.begin_backward() if autocast.running else 1.0
    if scale != 1.0:
        seeds = [
            seed * scale if isinstance(seed, Tensor) else backend.namespace(seed).asarray(seed * scale)
            for seed in seeds
        ]
    grads: dict[Node, Any] = {}
    heap: list[tuple[int, Node]] = []
    for root, seed in zip(roots, seeds, strict=True):
        if root in grads:
            grads[root] = grads[root] + seed
        else:
            grads[root] = seed
            heappush(heap, (root.order, root))
    reach = None if only is None else needed(roots, only)
    found: dict[Node, Any] = {}
    mode = state.grad
    state.grad = create
    try:
        with np.errstate(all="ignore"):
            if create:
                _differentiable(heap, grads, retain, only, reach, found, accumulate, scale)
            else:
                _plain(heap, grads, retain, only, reach, found, accumulate, scale)
    finally:
        state.grad = mode
        state.phase = 0
        state.twin = None
        memory.flush()
    if accumulate and bus.backward:
        bus.emit("backward", None)
    return found


def _plain(
    heap: list[tuple[int, Node]],
    grads: dict[Node, Any],
    retain: bool,
    only: set[Node] | None,
    reach: set[Node] | None,
    found: dict[Node, Any],
    accumulate: bool,
    scale: float,
) -> None:
    """The backward pass on raw arrays."""
    owned: set[Node] = set()
    sources: dict[Node, list[Node]] | None = {} if bus.active else None
    looked_at = scale != 1.0 or only is not None
    anomalous = anomaly.on
    pop = grads.pop
    while heap:
        node = heappop(heap)[1]
        g = pop(node, None)
        if g is None:
            continue  # a compiled region took it together with that of another of its nodes
        op = node.op
        if type(g) is Product:
            g = g.value()
        if looked_at or node.hooks:
            if type(g) is Masked:
                g = g.value()
            if scale != 1.0 and op is None:
                g = autocast.unscaled(node, g, scale)
            inner = 1.0 if op is None else scale  # what is in between keeps the factor, but nobody sees it
            if node.hooks:
                g = run_hooks(node, g) if inner == 1.0 else run_hooks(node, g / inner) * inner
            if only is not None and node in only:
                found[node] = g if inner == 1.0 else g / inner
        if op is None:
            if accumulate and (only is None or node in only):
                owned.discard(node)
                _accumulate(node, g, sources)
                if afterwards:
                    after(node)
            continue
        saved: Any = node.saved
        inputs: Sequence[Node | None]
        together = back = None
        if saved is None:
            if sources is None and not anomalous:
                together = _together(node, g, grads, only, retain)
            if together is None:
                saved = _recomputed(node)
        shape: Any = None
        if together is None:
            shape = node.shape
            if node.stamp != writes.count:
                _check_unchanged(node, saved)
            if op.name == "part":
                # One of several results: gather the gradients of all of them at the node itself.
                whole = _gathered(node, g, heap, grads)
                if sources is not None:
                    sources.setdefault(whole, []).extend(sources.pop(node, ()))
                continue
            inputs = node.inputs
            n = len(inputs)
            if sources is not None:
                back = begin_backward(node, g, sources)
            vjp: Any = op.vjp_numpy
            if type(g) is not _ndarray and type(g) is not Masked:
                first = g if op.outputs == 1 else next(p for p in g if p is not None)
                if type(first) is not _ndarray:
                    vjp = op.vjp_on(backend.namespace(first))
            kwargs = node.kwargs
            if op.extras:
                extras = dict(zip(op.extras, saved[n + 1 :], strict=True))
                result = vjp(g, saved[n], *saved[:n], **kwargs, **extras)
                del extras
            elif (
                type(g) is _ndarray
                and g.nbytes >= LARGE
                and (made := gradient(op, g, saved, kwargs)) is not NotImplemented
            ):
                result = made
                del made
            elif n == 2:
                result = vjp(g, saved[2], saved[0], saved[1], **kwargs)
            elif n == 1:
                if back is not None and op.overwrites and not bus.arguments:
                    back.arrays = ()  # held for nobody, it may be computed in place
                if op.overwrites and g.nbytes >= LARGE and getrefcount(g) == 2 and owns(g):
                    result = vjp(g, saved[1], saved[0], spare=True, **kwargs)
                else:
                    result = vjp(g, saved[1], saved[0], **kwargs)
            else:
                result = vjp(g, saved[n], *saved[:n], **kwargs)
            if not retain:
                saved = None
                if op.keeps:
                    node.saved = None
            if type(result) is not tuple:
                result = (result,)
            if anomalous:
                anomaly.look(node, tuple(g.value() if type(g) is Product else g for g in result))
            if back is not None:
                finish_backward(back, result)
        else:
            inputs, result = together
        for parent, pg in zip(inputs, result, strict=True):
            if (
                pg is None
                or parent is None
                or not parent.requires
                or (reach is not None and parent not in reach)
            ):
                continue
            if parent.shape != shape and pg.shape != parent.shape:
                pg = sum_to(np, pg, parent.shape)
            if pg.dtype is not parent.dtype and pg.dtype != parent.dtype:
                pg = fitted(pg.value() if type(pg) in PUT_OFF else pg, parent.dtype)
            if sources is not None and back is not None:
                sources.setdefault(parent, []).append(back)
            held = grads.get(parent)
            if held is None:
                grads[parent] = pg
                heappush(heap, (parent.order, parent))
                continue
            if type(pg) is Masked:
                pg = pg.value()
            if type(held) is Product:
                held.add(pg)
                continue
            if type(pg) is Product:
                pg = pg.value()
            if type(held) is Masked:
                held = held.value()
            if parent in owned:
                if pg.nbytes >= LARGE and alike(held, pg):
                    total(held, pg, held)
                else:
                    held += pg
            else:
                # The first sum makes an array nobody else has; later ones add to it in place.
                if type(held) is not _ndarray:
                    made = OPS["add"].on(backend.namespace(held))(held, pg)
                elif pg.nbytes >= LARGE and getrefcount(pg) == _ALONE and owns(pg) and alike(held, pg):
                    made = total(held, pg, pg)
                else:
                    made = compute(np.add, held, pg)
                grads[parent] = made
                if type(made) is _ndarray:
                    owned.add(parent)
        # Nothing here holds on to a gradient: one that nobody else has is taken over instead of copied.
        result = pg = held = made = together = None


def _together(
    node: Node, g: Any, grads: dict[Node, Any], only: set[Node] | None, retain: bool
) -> tuple[Sequence[Node], tuple[Any, ...]] | None:
    """Where `node` is one of a compiled region: the nodes its inputs come from, and their gradients."""
    again = node.again
    if again is None or not again[0].whole:
        return None
    kept = again[0]
    if kept.stamp != writes.count and not kept.done:
        kept.unchanged(_check_unchanged)
    return kept.gradients(node, g, grads, only, retain)  # type: ignore[no-any-return]


def alike(a: Any, b: Any) -> bool:
    """Whether two arrays have one shape, type and layout."""
    return type(b) is _ndarray and a.shape == b.shape and a.dtype == b.dtype and a.strides == b.strides


def _holders() -> int:
    """How many references an array has in `_plain`'s loop over the gradients of one node if nobody else has it."""
    result = (np.empty(1),)
    for _, pg in zip((None,), result, strict=True):
        return getrefcount(pg)
    return 0


_ALONE = _holders()


def _differentiable(
    heap: list[tuple[int, Node]],
    grads: dict[Node, Any],
    retain: bool,
    only: set[Node] | None,
    reach: set[Node] | None,
    found: dict[Node, Any],
    accumulate: bool,
    scale: float,
) -> None:
    """The backward pass on Tensors: the same rules, recorded as ops that can be differentiated themselves."""
    from engine import functions  # the ops under NumPy's names; made of everything else

    while heap:
        node = heappop(heap)[1]
        g = grads.pop(node)
        op = node.op
        if scale != 1.0 and op is None:
            g = autocast.unscaled(node, g, scale)
        inner = 1.0 if op is None else scale  # what is in between keeps the factor, but nobody sees it
        if node.hooks:
            g = run_hooks(node, g) if inner == 1.0 else run_hooks(node, g / inner) * inner
        if only is not None and node in only:
            found[node] = g if inner == 1.0 else g / inner
        if op is None:
            if accumulate and (only is None or node in only):
                node.grad = g if node.grad is None else node.grad + g
                if bus.gradient:
                    bus.emit("gradient", (node, node.grad.array))
                if afterwards:
                    after(node)
            continue
        saved = node.saved
        if saved is None:
            saved = _recomputed(node)
        if node.stamp != writes.count:
            _check_unchanged(node, saved)
        if op.name == "part":
            _gathered(node, g, heap, grads)
            continue
        n = len(node.inputs)
        args = [_revive(value, parent) for value, parent in zip(saved, node.inputs, strict=False)]
        out = _revive(saved[n], node)
        extras = dict(zip(op.extras, saved[n + 1 :], strict=True)) if op.extras else {}
        state.phase, state.twin = BACKWARD, node
        assert op.vjp is not None
        result = op.vjp(functions, g, out, *args, **node.kwargs, **extras)
        state.phase, state.twin = 0, None
        if not retain and (op.saves or op.extras):
            node.saved = None
        if type(result) is not tuple:
            result = (result,)
        if anomaly.on:
            anomaly.look(node, result)
        for parent, pg in zip(node.inputs, result, strict=True):
            if (
                pg is None
                or parent is None
                or not parent.requires
                or (reach is not None and parent not in reach)
            ):
                continue
            if not isinstance(pg, Tensor):
                pg = Tensor(backend.namespace(pg).asarray(pg))
            state.phase, state.twin = BACKWARD, node
            if pg.shape != parent.shape:
                pg = sum_to(functions, pg, parent.shape)
            if pg.dtype != parent.dtype:
                pg = (pg.real if pg.is_complex() and parent.dtype.kind != "c" else pg).to(parent.dtype)
            held = grads.get(parent)
            if held is None:
                grads[parent] = pg
                heappush(heap, (parent.order, parent))
            else:
                grads[parent] = held + pg
            state.phase, state.twin = 0, None


# Where a traceback has one of them, its local `node` is the one whose gradient was being made.
LOOPS = (_plain.__code__, _differentiable.__code__)


def _gathered(part: Node, g: Any, heap: list[tuple[int, Node]], grads: dict[Node, Any]) -> Node:
    """The node of several results that `part` is one of, with the gradient of that one added to its own."""
    whole = part.inputs[0]
    assert whole is not None
    parts = grads.get(whole)
    if parts is None:
        parts = grads[whole] = [None] * len(whole.outputs or ())
        heappush(heap, (whole.order, whole))
    i = part.kwargs["index"]
    parts[i] = g if parts[i] is None else parts[i] + g
    return whole


def _revive(value: Any, node: Node | None) -> Any:
    """A saved array as the tensor it was, so that gradients reach through it."""
    value = there(value)
    if node is None or not backend.is_array(value):
        return value
    tensor = Tensor.__new__(Tensor)
    tensor.array = value
    tensor.node = node
    return tensor


def sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: `g` summed to `shape`."""
    lead = len(g.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, size in enumerate(shape) if size == 1 and g.shape[i + lead] != 1
    )
    if xp is np and not isinstance(g, np.generic):
        xp = backend.namespace(g)
    if axes:
        g = xp.sum(g, axis=axes, keepdims=True)
    return xp.reshape(g, shape)


def needed(roots: Sequence[Node], only: set[Node]) -> set[Node]:
    """The nodes on a way from `roots` to a node of `only`; others need no gradient."""
    reach: set[Node] = set()
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            if node in only or any(p in reach for p in node.inputs if p is not None):
                reach.add(node)
            continue
        if node in seen or not node.requires:
            continue
        seen.add(node)
        stack.append((node, True))
        stack.extend((p, False) for p in node.inputs if p is not None and node.op is not None)
    return reach


def own(g: Any) -> Any:
    """`g` as an array nobody else can change."""
    if type(g) is _ndarray and owns(g) and getrefcount(g) <= 4:
        return g
    return backend.namespace(g).array(g)


def _accumulate(node: Node, g: Any, sources: dict[Node, list[Node]] | None) -> None:
    """Add a leaf's complete gradient to its `.grad`."""
    held = node.grad
    if held is None:
        # Taken over when nobody else holds it: this function, its caller and getrefcount do.
        free = (type(g) is _ndarray or backend.is_array(g)) and owns(g) and getrefcount(g) <= 3
        if not free:
            g = backend.namespace(g).array(g)
        if type(g) is not _ndarray and isinstance(g, np.generic):
            g = np.asarray(g)
        tensor = Tensor.__new__(Tensor)
        tensor.array = g
        tensor.node = fill = blank()
        fill.shape, fill.dtype, fill.role = g.shape, g.dtype, "gradient"
        node.grad = tensor
    elif held.node.requires:
        node.grad = Tensor(held.array + g)
    else:
        held.array += g
    if sources is not None:
        came = sources.pop(node, None)
        node.grad_source = came[-1] if came else None
        assert node.grad is not None
        memory.track(node.grad.array, "gradients", node.grad_source)
        if node.id:
            bus.emit("gradient", (node, node.grad.array))


# --- what can go wrong ---------------------------------------------------------------------------------


def _recomputed(node: Node) -> tuple[Any, ...]:
    """What a checkpointed node saved, computed again; anything else was released."""
    if node.again is None or node.again[0].done:
        raise _released(node)
    node.again[0].restore()
    if node.saved is None:  # it belongs to a checkpoint inside that one
        return _recomputed(node)
    return node.saved


def _released(node: Node) -> RuntimeError:
    assert node.op is not None
    return RuntimeError(
        f"backward through {node.op.name} a second time ({node.filename}:{node.line}): what its gradient needs was "
        "released by the first pass; call backward(retain_graph=True) the first time to keep it"
    )


def _check_unchanged(node: Node, saved: Sequence[Any]) -> None:
    """Raise when something this node saved was written to since."""
    op = node.op
    assert op is not None
    for i, value in enumerate(saved):
        if type(value) is Remade:
            value = value.alive()
        if not backend.is_array(value):
            continue
        write = writes.since(value, node.stamp)
        if write is not None:
            names = (*op.arg_names[: len(node.inputs)], "out", *op.extras)
            name = names[i] if i < len(names) else op.arg_names[-1]
            what = "its own result" if name == "out" else f"`{name}`"
            changed = Changed(
                f"a value still needed was changed in place: {op.name} ({node.filename}:{node.line}) needs {what} "
                f"of shape {list(value.shape)} for its gradient, but {write[0]} ({write[1]}:{write[2]}) wrote to it since. "
                "Use the op without the underscore, or clone() first"
            )
            changed.filename, changed.line = write[1], write[2]
            raise changed
