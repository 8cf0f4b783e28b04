"""From an exception in an op to an error that says what was expected, what came, and which lines decided it."""

from __future__ import annotations

from types import FrameType
from typing import Any

import numpy as np

from engine import backend
from engine.bus import bus
from engine.errors import (
    ArgumentError,
    ArgumentProblem,
    DeviceMismatchError,
    DtypeMismatchError,
    EngineError,
    Failure,
    Origin,
    Shape,
    ShapeClash,
    ShapeMismatchError,
    shape_text,
)  # fmt: skip
from engine.grad_mode import state
from engine.interruption import from_handler
from engine.module import Module, name_parameter
from engine.module_call import module_of, open_call
from engine.names import operand_texts, source_line
from engine.node import Node
from engine.op import Op, given
from engine.tensor import Tensor

STEPS = 40  # how far back a dimension is followed


def fail(node: Node, operands: list[Any], arrays: list[Any], error: Exception, frame: FrameType) -> Any:
    """Tell the sinks of `op_error`, then raise `error` explained; or return the value a sink gives instead.

    A floating point warning of NumPy's, where the program has made warnings errors, is none: the op is computed without it.
    """
    op = node.op
    assert op is not None
    if from_handler(error):
        raise error
    if isinstance(error, RuntimeWarning) and not op.overwrites:
        try:
            with np.errstate(all="ignore"):
                return op.on_numpy(*arrays, **node.kwargs)
        except Exception as again:  # noqa: BLE001 - a warning of somebody else's: explained and raised like any error
            error = again
    explained = explain(node, operands, arrays, error, frame)
    if bus.op_error:
        failure = Failure(node, explained)
        bus.emit("op_error", failure)
        if failure.replacement is not None:
            node.op = given(op)
            return failure.replacement
    # NumPy's own words add nothing to ours; an error that stays what it is keeps its history.
    raise explained from (None if explained is not error else error.__cause__)


def explain(
    node: Node, operands: list[Any], arrays: list[Any], error: Exception, frame: FrameType
) -> Exception:
    """The exception the person sees. An error that is not about shapes, dtypes or devices stays what it is."""
    op = node.op
    assert op is not None
    names = argument_names(op, operands, frame, node.lasti)
    clash = error if isinstance(error, ShapeClash) else None
    if clash is None and not isinstance(error, ArgumentProblem):
        try:
            op.shape(*[getattr(a, "shape", a) for a in arrays], **node.kwargs)
        except (ShapeClash, ArgumentProblem) as found:
            if isinstance(found, ShapeClash):
                clash = found
            else:
                error = found
        except Exception:  # noqa: BLE001 - the rule cannot say it better than the op did
            clash = None
    if clash is not None:
        return _shapes(node, op, operands, names, clash, frame)
    if isinstance(error, ArgumentProblem):
        return _argument(node, op, operands, names, error, frame)
    devices = {str(backend.device_of(a)) for a in arrays if backend.is_array(a)}
    if len(devices) > 1:
        return _plain(
            DeviceMismatchError,
            f"arguments on {' and '.join(sorted(devices))}",
            node,
            op,
            operands,
            names,
            frame,
        )
    if isinstance(error, TypeError):
        kinds = ", ".join(
            f"{n} {a.dtype}" for n, a in zip(names, arrays, strict=False) if backend.is_array(a)
        )
        return _plain(
            DtypeMismatchError,
            f"{op.name} cannot work with these element types: {kinds} ({error})",
            node,
            op,
            operands,
            names,
            frame,
        )
    if (
        type(error) in (ValueError, IndexError, OverflowError)
        and not op.custom
        and "\n  at " not in str(error)
    ):
        kind = ArgumentError if type(error) is ValueError else type(error)
        return _plain(kind, str(error), node, op, operands, names, frame)
    return error


def module_path() -> str:
    """The path of the module being called, such as "net.head"; "" outside modules."""
    call = open_call()
    return "" if call is None else call.path


def argument_names(op: Op, operands: list[Any], frame: FrameType, lasti: int) -> list[str]:
    """What the person calls each argument: the text in their source, a parameter's name, else the op's own word."""
    texts = operand_texts(frame, lasti, Tensor, op.arg_names, op.attr_names, operands)
    names = []
    for i, operand in enumerate(operands):
        word = op.arg_names[min(i, len(op.arg_names) - 1)]
        if len(op.arg_names) == 1 and len(operands) > 1:
            word = f"{word}[{i}]"
        text = texts[i] if len(texts[i]) <= 40 else ""
        if isinstance(operand, Tensor) and operand.node.role == "parameter":
            text = name_parameter(operand.node) or text
        names.append(text or word)
    return names


def _where(frame: FrameType) -> tuple[str, int]:
    return frame.f_code.co_filename, frame.f_lineno


def _fill(
    error: EngineError,
    node: Node,
    op: Op,
    operands: list[Any],
    names: list[str],
    frame: FrameType,
    sentence: str,
) -> None:
    error.op = op.name
    error.module = module_path()
    error.filename, error.line = _where(frame)
    error.sentence = sentence
    error.arguments = [(n, getattr(o, "shape", None)) for n, o in zip(names, operands, strict=True)]


def _sentence(template: str, names: list[str], op: Op) -> str:
    module = module_path()
    last = module.rpartition(".")[2]
    inside = module_of(state.modules[-1]) if state.modules else None
    subject = last if inside is not None and _is_layer(inside) else op.name
    return template.format(*names, op=op.name, module=subject)


def _is_layer(module: Module) -> bool:
    return type(module).__module__.startswith("engine.")


def _shapes(
    node: Node, op: Op, operands: list[Any], names: list[str], clash: ShapeClash, frame: FrameType
) -> ShapeMismatchError:
    sentence = _sentence(clash.sentence, names, op)
    got = tuple(getattr(operands[clash.argument], "shape", ()))
    origins = []
    for i, operand in enumerate(operands):
        dims = [d for a, d in clash.clash if a == i]
        found = getattr(operand, "node", None)
        origins.append(way_back(found, dims[0]) if dims and found is not None else [])
    lines = [f"Expected {shape_text(clash.expected)}, got {shape_text(got)}", *_place(op, sentence, frame)]
    width = max((len(n) for n in names), default=0)
    for i, (name, operand) in enumerate(zip(names, operands, strict=True)):
        shape = getattr(operand, "shape", None)
        if shape is None:
            continue
        dims = [d for a, d in clash.clash if a == i]
        row = f"  {name:{width}}  {shape_text(shape)}"
        if dims:
            row += f"  dimension {', '.join(map(str, dims))} is {', '.join(str(shape[d]) for d in dims)}"
        lines.append(row)
        for origin in origins[i]:
            lines.append(f"  {'':{width}}    {origin.filename}:{origin.line}  {origin.text}  ({origin.note})")
    made = ShapeMismatchError("\n".join(lines))
    _fill(made, node, op, operands, names, frame, sentence)
    made.expected, made.got = clash.expected, got
    made.clash, made.origins = list(clash.clash), origins
    return made


def _place(op: Op, sentence: str, frame: FrameType) -> list[str]:
    filename, line = _where(frame)
    module = module_path()
    within = f" in {module}" if module else ""
    return [f"  {op.name}{within}: {sentence}", f"  at {filename}:{line}  {source_line(filename, line)}"]


def _argument(
    node: Node, op: Op, operands: list[Any], names: list[str], problem: ArgumentProblem, frame: FrameType
) -> Exception:
    sentence = _sentence(problem.sentence, names, op)
    kind = {TypeError: DtypeMismatchError, ValueError: ArgumentError}.get(problem.error, problem.error)
    return _plain(kind, sentence, node, op, operands, names, frame)


def _plain(
    kind: type[Exception],
    sentence: str,
    node: Node,
    op: Op,
    operands: list[Any],
    names: list[str],
    frame: FrameType,
) -> Exception:
    shapes = ", ".join(
        f"{n} {shape_text(o.shape)}" for n, o in zip(names, operands, strict=True) if hasattr(o, "shape")
    )
    filename, line = _where(frame)
    module = module_path()
    within = f" in {module}" if module else ""
    text = (
        f"{sentence}\n  {op.name}{within} of {shapes}\n  at {filename}:{line}  {source_line(filename, line)}"
    )
    error = kind(text)
    if isinstance(error, EngineError):
        _fill(error, node, op, operands, names, frame, sentence)
    return error


def way_back(node: Node | None, dim: int) -> list[Origin]:
    """From a value's dimension back to the line that chose its size, nearest first.

    Steps on one line count once: a step says that the line keeps the size, or that it makes it.
    """
    chain: list[Origin] = []
    for _ in range(STEPS):
        if node is None or node.shape is None or not -len(node.shape) <= dim < len(node.shape):
            break
        size = node.shape[dim]
        before: list[tuple[Node, int]] = []
        op = node.op
        if op is not None and op.origin is not None:
            shapes: list[Shape | None] = [None if i is None else i.shape for i in node.inputs]
            for argument, d in op.origin(shapes, node.kwargs, node.shape, dim):
                parent = node.inputs[argument] if argument < len(node.inputs) else None
                if parent is not None:
                    before.append((parent, d))
        elif op is None or op.name == "part":
            # A result's piece, or a copy outside the graph: the dimensions are those of what it was taken from.
            first = node.inputs[0] if node.inputs else None
            before = [(first, dim)] if first is not None and first.shape is not None else []
        keeps = any(
            p.shape is not None and -len(p.shape) <= d < len(p.shape) and p.shape[d] == size
            for p, d in before
        )
        note = f"keeps {size}" if keeps else f"makes {size}"
        here = Origin(node.filename, node.line, note, source_line(node.filename, node.line))
        if not chain or (here.filename, here.line) != (chain[-1].filename, chain[-1].line):
            if here.filename:
                chain.append(here)
        elif not keeps:
            chain[-1] = here
        if not before:
            break
        node, dim = before[0]
    return chain
