"""From a call of an op to a node and a value. The hot path of the engine.

`unary` and `binary` take the common case (tensors on NumPy, nobody subscribed) in one function each;
`apply` does everything, and is where the others turn whenever something is unusual, also to explain an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import backend, complexes, late
from engine.amp import autocast
from engine.bus import bus
from engine.config import current
from engine.dtype import complex_of, differentiable, get_default_dtype, is_floating, real_of
from engine.grad_mode import state
from engine.interruption import from_handler
from engine.jit.shared import shared
from engine.location import INTERNAL, is_engine_code
from engine.node import NO_KWARGS, REACH, Node, Watched, behind, keep, leaf, order, settle
from engine.op import LINEAR, Op
from engine.pool import LARGE
from engine.promotion import meet, uneven
from engine.views import link
from engine.watched import begin, finish, followed
from engine.woven import computed
from engine.writes import writes

if TYPE_CHECKING:
    from engine.tensor import Parameter, Tensor

_ndarray = np.ndarray
_asarray = np.asarray
_generic = np.generic
_getframe = sys._getframe


_late = LARGE  # bytes from which it is asked whether an op is put off


def look_from(size: int) -> None:
    """Ask from `size` bytes on whether an op is put off."""
    global _late
    _late = size


def bind(tensor: type[Tensor], parameter: type[Parameter]) -> None:
    """Called once by tensor.py: the classes are made of functions that dispatch, so they come later."""
    global Tensor, Parameter
    Tensor, Parameter = tensor, parameter  # type: ignore[misc]


def _first(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """`collect` when it is first called: most programs never have an op that is large enough."""
    global collect
    frame = _getframe(2)
    while is_engine_code(frame.f_code) and frame.f_back is not None:
        frame = frame.f_back
    if not late.again(frame) and not state.asked_jit:
        return None
    from engine.jit import region

    collect = region.collect
    return collect(op, args, kwargs)


# `op` put off where the JIT wants it, else None.
collect: Callable[[Op, tuple[Any, ...], dict[str, Any]], Tensor | None] = _first


def unary(op: Op, a: Any) -> Tensor:
    """Apply an op of one argument and no attributes. Call it from a function of the engine, never deeper."""
    ta = type(a)
    if not (ta is Tensor or ta is Parameter):
        return apply(op, (a,))  # type: ignore[no-any-return]
    xa = a.array
    plain = type(xa) is _ndarray
    large = plain and xa.nbytes >= LARGE
    if xa.nbytes >= _late and op.fuses and (late := collect(op, (a,), NO_KWARGS)) is not None:
        return late
    if bus.active:
        if not plain or (op.meets is not None and uneven(op, (xa,))):
            return apply(op, (a,))  # type: ignore[no-any-return]
        if bus.held:
            return apply(op, (a,), NO_KWARGS, [xa], [a.node])  # type: ignore[no-any-return]
        tensor = Tensor.__new__(Tensor)
        tensor.node, tensor.array = followed(op, (a,), [xa], [a.node])
        return tensor
    try:
        if plain:
            out = computed(op, (xa,)) if large else op.on_numpy(xa)
        else:
            out = op.on(backend.namespace(xa))(xa)
    except Exception as error:
        if from_handler(error):
            raise
        return apply(op, (a,))  # type: ignore[no-any-return]
    if plain and type(out) is not _ndarray:
        out = _asarray(out)
    if out.dtype is not xa.dtype and (xa.dtype.kind == "V" or (op.meets is not None and uneven(op, (xa,)))):
        return apply(op, (a,))  # type: ignore[no-any-return]
    na = a.node
    node = Node()
    node.op = op
    node.kwargs = NO_KWARGS
    node.order = next(order)
    node.shape = out.shape
    node.dtype = out.dtype
    frame = _getframe(2)
    code = frame.f_code
    while INTERNAL[code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    node.code = code
    node.lasti = frame.f_lasti
    node.stamp = writes.count
    if na.requires and op.vjp is not None and state.grad:
        node.requires = True
        node.inputs = (na,)
        node.saved = (xa if op.saves_args[0] is not None else na, out if op.saves_out else None)
        node.depth = 0
    else:
        node.requires = False
        node.saved = ()
        if (na.requires and na.op is not None) or na.depth >= REACH:
            na = behind(na)
        node.inputs = (na,)
        node.depth = na.depth + 1
    tensor = Tensor.__new__(Tensor)
    tensor.array = out
    tensor.node = node
    return tensor


def bind_sum(added: Callable[[Any, Any], Tensor | None]) -> None:
    """Called once by foreseen.py, which is made of this."""
    global _added
    _added = added


_added: Callable[[Any, Any], Tensor | None] | None = None


def _unusual(op: Op, a: Any, b: Any) -> Tensor:
    """An op of two arguments of which one is no plain tensor or number."""
    if _added is not None and op.name == "add" and (made := _added(a, b)) is not None:
        return made
    return apply(op, (a, b))  # type: ignore[no-any-return]


def binary(op: Op, a: Any, b: Any) -> Tensor:
    """Apply an op of two arguments and no attributes. Call it from a function of the engine, never deeper."""
    ta = type(a)
    if not (ta is Tensor or ta is Parameter):
        return _unusual(op, a, b)
    tb = type(b)
    if tb is Tensor or tb is Parameter:
        nb = b.node
        xb = b.array
    elif tb is float or tb is int:
        nb = None
        xb = b
    else:
        return _unusual(op, a, b)
    xa = a.array
    plain = type(xa) is _ndarray
    if not plain and nb is not None and type(xb) is not type(xa):
        return apply(op, (a, b))  # type: ignore[no-any-return]
    large = plain and xa.nbytes >= LARGE
    if xa.nbytes >= _late and op.fuses and (late := collect(op, (a, b), NO_KWARGS)) is not None:
        return late
    if bus.active:
        if not plain or (op.meets is not None and uneven(op, (xa, xb))):
            return apply(op, (a, b))  # type: ignore[no-any-return]
        if bus.held:
            return apply(op, (a, b), NO_KWARGS, [xa, xb], [a.node, nb])  # type: ignore[no-any-return]
        tensor = Tensor.__new__(Tensor)
        tensor.node, tensor.array = followed(op, (a, b), [xa, xb], [a.node, nb])
        return tensor
    try:
        if plain:
            out = computed(op, (xa, xb)) if large else op.on_numpy(xa, xb)
        else:
            out = op.on(backend.namespace(xa))(xa, xb)
    except Exception as error:
        if from_handler(error):
            raise
        return apply(op, (a, b))  # type: ignore[no-any-return]
    if plain and type(out) is not _ndarray:
        out = _asarray(out)
    kind = out.dtype
    if (kind is not xa.dtype or (nb is not None and kind is not xb.dtype)) and (
        xa.dtype.kind == "V" or (op.meets is not None and uneven(op, (xa, xb)))
    ):
        return apply(op, (a, b))  # type: ignore[no-any-return]
    na = a.node
    node = Node()
    node.op = op
    node.kwargs = NO_KWARGS
    node.order = next(order)
    node.shape = out.shape
    node.dtype = out.dtype
    frame = _getframe(2)
    code = frame.f_code
    while INTERNAL[code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    node.code = code
    node.lasti = frame.f_lasti
    node.stamp = writes.count
    ra = na.requires
    rb = nb is not None and nb.requires
    if (ra or rb) and op.vjp is not None and state.grad:
        node.requires = True
        node.inputs = (na, nb)
        node.depth = 0
        if op.cross:
            node.saved = (xa if rb else None, xb if ra else None, None)
        else:
            sa, sb = op.saves_args
            node.saved = (
                na if sa is None else xa if not sa or rb else None,
                (xb if nb is None else nb) if sb is None else xb if not sb or ra else None,
                out if op.saves_out else None,
            )
    else:
        node.requires = False
        node.saved = ()
        if (ra and na.op is not None) or na.depth >= REACH:
            na = behind(na)
        depth = na.depth
        if nb is not None:
            if (rb and nb.op is not None) or nb.depth >= REACH:
                nb = behind(nb)
            if nb.depth > depth:
                depth = nb.depth
        node.inputs = (na, nb)
        node.depth = depth + 1
    tensor = Tensor.__new__(Tensor)
    tensor.array = out
    tensor.node = node
    return tensor


# Of the two above, which the compiled core may stand in for while a program runs.
CODES = (unary.__code__, binary.__code__)


def sizeable(args: tuple[Any, ...]) -> bool:
    """Whether one of the arguments is large, or put off itself."""
    for arg in args:
        kind = type(arg)
        if kind is Tensor or kind is Parameter:
            if arg.array.nbytes >= _late:
                return True
        elif kind is not float and kind is not int and arg is not None and isinstance(arg, Tensor):
            return True
    return False


def constant(value: Any, role: str = "input") -> Tensor:
    """A tensor made of a raw array on its way into an op, with the person's line as its origin."""
    frame = sys._getframe(1)
    while is_engine_code(frame.f_code) and frame.f_back is not None:
        frame = frame.f_back
    shared.note(value)
    tensor = Tensor.__new__(Tensor)
    tensor.array = value
    tensor.node = leaf(value.shape, value.dtype, role, code=frame.f_code, lasti=frame.f_lasti)
    return tensor


def cut(operands: Sequence[Any], start: int) -> None:
    """In a stream's block: make plain values of what earlier blocks computed (nodes are numbered downwards)."""
    for operand in operands:
        if isinstance(operand, Tensor):
            node = operand.node
            if node.requires and node.op is not None and node.order > start:
                fresh = leaf(node.shape, node.dtype, "input", code=node.code, lasti=node.lasti)
                operand.node = fresh


def as_operands(args: tuple[Any, ...]) -> Any:
    """The arguments with raw arrays made tensors and NumPy scalars made plain numbers.

    An array of NumPy says nothing of a device: it goes where the tensors beside it are.

    A raw floating array takes the floating type of the tensors beside it: NumPy makes float64 where
    nobody asked for it, and a model in float32 should not become float64 by that.
    """
    for arg in args:
        kind = type(arg)
        if not (kind is Tensor or kind is Parameter or arg is None or kind is float or kind is int):
            break
    else:
        return args
    operands: list[Any] = []
    raw = False
    for arg in args:
        kind = type(arg)
        if kind is Tensor or kind is float or kind is int or arg is None or isinstance(arg, Tensor):
            operands.append(arg)
        elif isinstance(arg, np.generic):
            operands.append(arg.item())
        elif isinstance(arg, (list, tuple)):
            made = np.asarray([backend.move(a.array, "cpu") if isinstance(a, Tensor) else a for a in arg])
            wide = made.dtype == np.float64 or made.dtype == np.complex128
            narrow = complex_of(get_default_dtype()) if made.dtype.kind == "c" else get_default_dtype()
            operands.append(made.astype(narrow) if wide else made)
            raw = True
        else:
            operands.append(arg)
            raw = raw or backend.is_array(arg)
    if raw:
        beside = [
            real_of(a.array.dtype)
            for a in operands
            if isinstance(a, Tensor) and differentiable(a.array.dtype)
        ]
        weak = np.result_type(*beside) if beside else None
        far = [a.array for a in operands if isinstance(a, Tensor) and type(a.array) is not _ndarray]
        for i, arg in enumerate(operands):
            if backend.is_array(arg):
                if far:
                    arg = backend.move(arg, backend.device_of(far[0]))
                if weak is not None and differentiable(arg.dtype) and real_of(arg.dtype) != weak:
                    arg = arg.astype(complex_of(weak) if arg.dtype.kind == "c" else weak)
                operands[i] = constant(arg)
    return operands


def apply(
    op: Op,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] = NO_KWARGS,
    arrays: list[Any] | None = None,
    nodes: list[Node | None] | None = None,
) -> Any:
    """Apply `op` to tensors, raw arrays, plain numbers and None. Returns a Tensor (a tuple for several results).

    `arrays` and `nodes` are those of `args` where it is known already that they are plain numbers and tensors on NumPy.
    Raises what `engine.explain` makes of an error in the op: the person's line, the arguments and their shapes.
    """
    if (
        op.fuses
        and (not bus.active or not current().trace_level)
        and sizeable(args)
        and (late := collect(op, args, kwargs)) is not None
    ):
        return late
    forward = op.on_numpy
    xp: Any = np
    requires = False
    operands: Any = args
    cast = autocast.running and not op.settled
    if arrays is None or nodes is None or cast or state.stream is not None:
        operands = as_operands(args)
        if state.stream is not None:
            cut(operands, state.stream)
        if cast:
            operands = autocast.cast(op, operands)
        arrays, nodes = [], []
        for operand in operands:
            kind = type(operand)
            if kind is Tensor or kind is Parameter or isinstance(operand, Tensor):
                array = operand.array
                arrays.append(array)
                if type(array) is not _ndarray:
                    xp = backend.namespace(array)
                    forward = op.on(xp)
                parent = operand.node
                nodes.append(parent)
                if parent.requires:
                    requires = True
            else:
                arrays.append(operand)
                nodes.append(None)
        named = operands
        if op.meets is not None and uneven(op, arrays):
            operands = meet(op, operands)
            arrays = [getattr(operand, "array", operand) for operand in operands]
            nodes = [getattr(operand, "node", None) for operand in operands]
            requires = any(node is not None and node.requires for node in nodes)
    else:
        named = operands
        for node in nodes:
            if node is not None and node.requires:
                requires = True
    if xp is not np:
        operands = alongside(operands, arrays, nodes, xp)
    frame = _getframe(2)
    code = frame.f_code
    while INTERNAL[code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    active = bus.active
    node = Watched() if active else Node()
    node.op = op
    node.kwargs = kwargs
    node.code = code
    node.lasti = frame.f_lasti
    node.inputs = tuple(nodes)
    node.requires = False
    node.stamp = writes.count
    node.saved = ()
    node.depth = node.order = 0
    node.shape = node.dtype = None  # type: ignore[assignment]
    loud = active and begin(node, arrays)
    try:
        if op.check:
            op.shape(*[shape_of(a) for a in arrays], **kwargs)
        if xp is np and arrays and type(arrays[0]) is _ndarray and arrays[0].nbytes >= LARGE:
            out = computed(op, arrays, kwargs)
        else:
            out = forward(*arrays, **kwargs)
    except Exception as error:  # noqa: BLE001 - explained and raised again
        from engine.explain import fail  # errors are rare, and their explanation is a long file

        if named is not operands:  # what the person wrote, not its casts
            node.inputs = tuple([getattr(operand, "node", None) for operand in named])
        out = fail(node, list(named), arrays, error, frame)
        op = node.op  # another where a person gave the result
    if autocast.running:
        autocast.measure(op, arrays, kwargs, out[0] if op.extras else out)
    if loud:
        node.duration = perf_counter_ns() - node.start
    node.order = next(order)
    extras: tuple[Any, ...] = ()
    if op.extras:
        extras = out[1:]
        out = out[0]
    single = op.outputs == 1
    if single:
        if type(out) is not _ndarray:
            out = _asarray(out) if isinstance(out, _generic) else backend.arrived(out, xp)
        first = arrays[0] if arrays else None
        if type(first) is not _ndarray:
            if out.dtype.kind == "c":
                complexes.arm()
            elif xp is not np and out.dtype.kind == "f" and getattr(first, "dtype", out.dtype).kind == "V":
                out = _kept_narrow(op, kwargs, arrays, out)
        elif out.dtype is not first.dtype:
            if first.dtype.kind == "V":
                out = _kept_narrow(op, kwargs, arrays, out)
            elif out.dtype.kind == "c":
                complexes.arm()
        node.shape = out.shape
        node.dtype = out.dtype
    else:
        # One element of a vector is a scalar to NumPy.
        out = tuple(o if type(o) is _ndarray else backend.arrived(o, xp) for o in out)
        node.shape = out[0].shape if out else ()
        node.dtype = out[0].dtype if out else get_default_dtype()
        node.outputs = [(o.shape, o.dtype) for o in out]
    if requires and op.vjp is not None and state.grad:
        node.requires = True
        keep(node, op, arrays, nodes, out, extras)
    else:
        settle(node, nodes)
    if loud:
        finish(node, out)
    if not single:
        return parts(node, out)
    tensor = Tensor.__new__(Tensor)
    tensor.array = out
    tensor.node = node
    if op.view:
        link(tensor, operands[0], op, kwargs)
    return tensor


def alongside(operands: Any, arrays: list[Any], nodes: list[Node | None], xp: Any) -> Any:
    """On a GPU: a number in main memory goes along with what is there, as in PyTorch; larger ones are refused later."""
    if not any(type(a) is _ndarray and a.ndim == 0 for a in arrays):
        return operands
    moved = list(operands)
    where = next(backend.device_of(a) for a in arrays if isinstance(a, xp.ndarray))
    for i, array in enumerate(arrays):
        if type(array) is _ndarray and array.ndim == 0 and isinstance(moved[i], Tensor):
            moved[i] = moved[i].to(device=where)
            arrays[i], nodes[i] = moved[i].array, moved[i].node
    return moved


def _kept_narrow(op: Op, kwargs: dict[str, Any], arrays: list[Any], out: Any) -> Any:
    """What an op made of bfloat16 in bfloat16: NumPy takes a plain number beside it, and its products, for float32."""
    kinds = {a.dtype for a in arrays if backend.is_array(a) and is_floating(a.dtype)}
    if op.name == "cast" or "dtype" in kwargs or out.dtype.kind != "f" or len(kinds) != 1:
        return out
    return out.astype(kinds.pop())


def parts(node: Node, arrays: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The tensors of several results: each with a node of its own, under the same number, that passes gradients on."""
    requires = node.requires
    known = bus.active and node.id
    pieces = []
    for index, array in enumerate(arrays):
        piece = Node()
        piece.op = PART
        piece.order = next(order)
        piece.shape = array.shape
        piece.dtype = array.dtype
        piece.inputs = (node,)
        piece.kwargs = {"index": index}
        piece.requires = requires and differentiable(array.dtype)
        if known:
            piece.id = node.id
        piece.code = node.code
        piece.lasti = node.lasti
        piece.depth = node.depth
        piece.stamp = node.stamp
        piece.saved = ()
        tensor = Tensor.__new__(Tensor)
        tensor.array = array
        tensor.node = piece
        pieces.append(tensor)
    return tuple(pieces)


# Not in OPS: it is no op but the seam between a node with several results and each of them.
PART = Op(
    "part",
    lambda xp, input, *, index: input[index],
    family="other",
    shape=lambda *shapes, index: shapes[index],
    dtype=lambda *dtypes, index: dtypes[index],
    vjp=lambda xp, g, out, input, *, index: g,
    arg_names=("input",),
    complex=LINEAR,
)


def shape_of(value: Any) -> Any:
    """What a shape rule is given for an argument: its shape, or the plain number or None itself."""
    return getattr(value, "shape", value)
