"""What an op costs when somebody watches: its node is numbered and placed before it runs, and told after.

All of this runs only while the bus is active, but then for every op; it is written flat, because each call
and each look-up is paid a million times.
"""

from __future__ import annotations

import sys
from time import perf_counter_ns
from types import FrameType
from typing import Any

import numpy as np

from engine import backend
from engine.bus import bus
from engine.config import current_config
from engine.grad_mode import state
from engine.iteration import iteration
from engine.location import INTERNAL
from engine.memory import memory
from engine.module_call import made_up
from engine.node import NO_KWARGS, Backward, Node, Watched, ids, keep, order, settle
from engine.op import Op
from engine.pending import Product
from engine.pool import LARGE
from engine.switches import switches
from engine.woven import computed
from engine.writes import writes

_ndarray = np.ndarray
_getframe = sys._getframe


def followed(op: Op, args: tuple[Any, ...], arrays: list[Any], nodes: list[Node | None]) -> tuple[Node, Any]:
    """What `unary` and `binary` do (they call it), while somebody watches: the node and the array of the result."""
    frame = _getframe(3)
    code = frame.f_code
    while INTERNAL[code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    node = Watched()
    node.op = op
    node.kwargs = NO_KWARGS
    node.code = code
    node.lasti = frame.f_lasti
    node.inputs = tuple(nodes)
    node.requires = False
    node.stamp = writes.count
    node.saved = ()
    node.depth = node.order = 0
    node.shape = node.dtype = None  # type: ignore[assignment]
    loud = begin(node, arrays)
    first = arrays[0]
    try:
        out = computed(op, arrays) if first.nbytes >= LARGE else op.on_numpy(*arrays)
    except Exception as error:  # noqa: BLE001 - explained and raised again
        from engine.explain import fail  # errors are rare, and their explanation is a long file

        out = fail(node, list(args), arrays, error, frame)
        op = node.op  # another where a person gave the result
    if loud:
        node.duration = perf_counter_ns() - node.start
    if type(out) is not _ndarray:
        out = np.asarray(out)
    node.order = next(order)
    node.shape = out.shape
    node.dtype = out.dtype
    for source in nodes:
        if source is not None and source.requires and op.vjp is not None and state.grad:
            node.requires = True
            keep(node, op, arrays, nodes, out)
            break
    else:
        settle(node, nodes)
    if loud:
        finish(node, out)
    return node, out


_BLANK: Any = (0, 0, 0, 0, 0, 0, None, None, None, None, None, None, None)


def begin(node: Node, arrays: list[Any]) -> bool:
    """Give a node that is about to run its number and place, and tell; False when it is switched off."""
    # Filled from one tuple: each by itself would take half as long again.
    (
        node.id, node.duration, node.nbytes, node.saved_bytes, node.start, node.phase,
        node.place, node.made, node.scalars, node.arrays, node.twin, node.outputs, node.fates,
    ) = _BLANK  # fmt: skip
    mine = state.__dict__  # of this thread: asked once, because asking takes as long as a call
    call = node.call = mine["call"]
    node.iteration = iteration.index
    if mine["silent"] or current_config().trace_level == 0:
        return False
    if len(mine["modules"]) != (0 if call is None else call.depth + 1):
        node.call = made_up()
    phase = mine["phase"]
    if phase:
        node.phase = phase
        node.twin = mine["twin"]
    elif iteration.closed:
        iteration.forward()
        node.iteration = iteration.index
    if switches.any and switches.silent(node):
        return False
    for i, parent in enumerate(node.inputs):
        if parent is None:
            if arrays[i] is not None:
                names = node.op.arg_names  # type: ignore[union-attr]
                name = names[i] if i < len(names) else names[-1]
                if node.scalars is None:
                    node.scalars = {name: arrays[i]}
                else:
                    node.scalars[name] = arrays[i]
        elif parent.id == 0:
            _leaf(parent, arrays[i])
    node.id = next(ids)
    node.arrays = tuple(arrays)
    memory.mark = len(memory.waiting)
    for sink in bus.op_start:
        try:
            sink("op_start", node)
        except Exception:  # noqa: BLE001 - a debugger's mistake is no mistake of the program
            bus.failed("op_start", sink)
    node.start = perf_counter_ns()
    return True


def _leaf(node: Node, array: Any) -> None:
    """Number a value nothing recorded made, and tell."""
    if node.op is not None and node.op.name == "part" and node.inputs[0] is not None:
        node = node.inputs[0]
    if node.id == 0:
        node.id = next(ids)
        node.nbytes = array.nbytes
        node.role = node.role or "input"
        node.iteration = iteration.index
        memory.track(array, "parameters" if node.role == "parameter" else "inputs", node)
        node.made = array
        bus.emit("leaf", node)
        node.made = None


def finish(node: Node, out: Any) -> None:
    """Tell that a node ran; its duration is set already."""
    following = bus.buffers
    gone: Any = ()
    born: Any = ()
    kept: Any = ()
    if following and memory.waiting:
        gone = memory.before(node)
    if type(out) is _ndarray:
        node.nbytes = out.nbytes
        if following:
            buffer = memory.born(out, "gradients" if node.phase else "activations", node)
            if buffer is not None:
                born = (buffer,)
    else:
        results = out if isinstance(out, tuple) else (out,)
        node.nbytes = sum(o.nbytes for o in results)
        if following:
            category = "gradients" if node.phase else "activations"
            born = [b for array in results if (b := memory.born(array, category, node)) is not None]
    if node.saved:
        size = 0
        for array in node.saved:
            kind = type(array)
            if kind is _ndarray or (kind not in _NONE and backend.is_array(array)):
                size += array.nbytes
                if following:
                    buffer = memory.kept(array, node)
                    if buffer is not None and buffer.node != node.id:  # its own is told with its beginning
                        kept = (*kept, buffer)
        if size:
            node.saved_bytes = size
    if gone or born or kept:
        node.fates = (gone, born, kept)
        if bus.buffer:
            memory.tell(node)
    node.made = out
    for sink in bus.op_finish:
        try:
            sink("op_finish", node)
        except Exception:  # noqa: BLE001 - see above
            bus.failed("op_finish", sink)
    node.made = node.arrays = node.fates = None


def raised(kind: str, sink: Any, error: Exception) -> None:
    """`sink` raised `error`, called by the compiled core: what the loops above do then."""
    try:
        raise error
    except Exception:  # noqa: BLE001 - see above
        bus.failed(kind, sink)


def explained(
    node: Node, args: tuple[Any, ...], arrays: list[Any], error: Exception, frame: FrameType
) -> Any:
    """An op raised `error`, called by the compiled core: what `followed` does then."""
    try:
        raise error
    except Exception as again:  # noqa: BLE001 - explained and raised again
        from engine.explain import fail

        return fail(node, list(args), arrays, again, frame)


# What stands in a traceback where `followed` runs, or what runs in its place.
FOLLOWED = (followed.__code__, explained.__code__)

_NONE = frozenset((type(None), Node, Watched, float, int, bool))  # among what is saved: no arrays


def begin_backward(node: Node, g: Any, sources: dict[Node, list[Node]]) -> Node | None:
    """The backward node of `node`, numbered and told, or None when it is switched off."""
    came = sources.pop(node, None)
    # A node with a role was silent when it ran, and came into the graph as a value only.
    if node.id == 0 or node.role or current_config().trace_level == 0:
        return None
    back = Backward()
    back.op = node.op
    back.kwargs = node.kwargs
    back.twin = node
    back.call = node.call
    back.code = node.code
    back.lasti = node.lasti
    back.iteration = iteration.index
    back.inputs = _NOWHERE if came is None else tuple(came)
    back.shape = back.dtype = back.made = back.place = back.fates = None  # type: ignore[assignment]
    back.duration = back.nbytes = back.start = back.id = 0
    if switches.any and switches.silent(back):
        return None
    back.id = next(ids)
    back.arrays = tuple(g) if type(g) is list else (g,)
    back.outputs = [
        (parent.shape, parent.dtype) if parent is not None and parent.requires else None
        for parent in node.inputs
    ]
    memory.mark = len(memory.waiting)
    for sink in bus.op_start:
        try:
            sink("op_start", back)
        except Exception:  # noqa: BLE001 - see above
            bus.failed("op_start", sink)
    back.start = perf_counter_ns()
    return back


_NOWHERE = (None,)


def finish_backward(back: Node, result: tuple[Any, ...]) -> None:
    """Tell that a backward node ran, and what it gave those of its arguments that take a gradient."""
    back.duration = perf_counter_ns() - back.start
    twin = back.twin
    assert twin is not None
    useful: list[Any] = []
    outputs: list[Any] = []
    first = None
    size = 0
    following = bus.buffers
    born: tuple[Any, ...] = ()
    gone = memory.before(back) if following and memory.waiting else ()
    for g, parent in zip(result, twin.inputs, strict=True):
        if g is None or parent is None or not parent.requires:
            useful.append(None)
            outputs.append(None)
            continue
        useful.append(g)
        outputs.append((g.shape, g.dtype))
        size += g.nbytes
        if first is None:
            first = g
        if following:
            kind = type(g)
            if kind is _ndarray or (kind is not Product and backend.is_array(g)):
                buffer = memory.born(g, "gradients", back)
                if buffer is not None:
                    born = (*born, buffer)
    if gone or born:
        back.fates = (gone, born, ())
        if bus.buffer:
            memory.tell(back)
    back.outputs = outputs
    back.nbytes = size
    if first is None:
        back.shape, back.dtype = (), twin.dtype
    else:
        back.shape, back.dtype = first.shape, first.dtype
    back.made = tuple(useful) if len(useful) != 1 else useful[0]
    for sink in bus.op_finish:
        try:
            sink("op_finish", back)
        except Exception:  # noqa: BLE001 - see above
            bus.failed("op_finish", sink)
    back.made = back.arrays = back.fates = None
