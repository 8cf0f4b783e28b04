"""Describes the position a program is paused at: the fields of a "stop" message."""

from __future__ import annotations

import os
from types import FrameType, TracebackType
from typing import Any

from dsviz.debuggee.attributes import ids_of, message_of, shape_of, simple_attrs
from dsviz.debuggee.frames import USER, line_of, user_frames
from dsviz.debuggee.tracer import Tracer
from engine.backpropagation import LOOPS
from engine.iteration import iteration
from engine.module_call import ModuleCall, open_call
from engine.node import Node

PHASES = ("forward", "backward", "optimizer")


def describe_node(tracer: Tracer, node: Node, ran: bool = False) -> dict[str, Any]:
    """The position before `node` (or after it, where it `ran`)."""
    text = tracer.lane().walker.text
    op = "" if node.op is None else node.op.name
    call = node.twin.call if node.twin is not None else node.call
    line = node.line
    return {
        "position": "node",
        "ran": ran,
        "node": node.id,
        "op": op,
        "phase": node.phase,
        "module": "" if call is None else call.path,
        "file": text(node.filename),
        "path": node.filename,
        "line": line,
        "iteration": node.iteration,
        "text": f"Paused {'after' if ran else 'before'} {node.label}",
        "modules": module_list(tracer, call),
        "pending": {
            "node": node.id,
            "op": 0 if not op else text(op),
            "phase": node.phase,
            "inputs": list(ids_of(node.inputs)),
            "shapes": [list(shape_of(array)) for array in node.arrays or ()],
            "call": 0 if call is None else call.id,
            "frame": tracer.frame_of(node),
            "twin": 0 if node.twin is None else node.twin.id,
            "iteration": node.iteration,
            "attrs": simple_attrs(node.attrs),
        },
    }


def describe_module(tracer: Tracer, call: ModuleCall, ran: bool = False) -> dict[str, Any]:
    """The position before module call `call` (or after it, where it `ran`)."""
    code = call.code
    filename = "" if code is None else code.co_filename
    return {
        "position": "module",
        "node": 0,
        "op": "",
        "phase": 0,
        "module": call.path,
        "file": tracer.lane().walker.text(filename),
        "path": filename,
        "line": 0 if code is None else line_of(code, call.lasti),
        "ran": ran,
        "iteration": iteration.coming,
        "text": f"Paused {'after' if ran else 'before'} module {call.path} ({call.cls})",
        "modules": module_list(tracer, call),
    }


def describe_line(tracer: Tracer, frame: FrameType | None, text: str = "") -> dict[str, Any]:
    """The position at a line where no node is about to run, in the person's innermost `frame`."""
    call = open_call()
    path = "" if frame is None else frame.f_code.co_filename
    line = 0 if frame is None else frame.f_lineno or 0
    where = f" in {os.path.basename(path)}:{line}" if path else ""
    return {
        "position": "line",
        "node": 0,
        "op": "",
        "phase": 0,
        "module": "" if call is None else call.path,
        "file": tracer.lane().walker.text(path) if path else 0,
        "path": path,
        "line": line,
        "iteration": iteration.index,
        "text": text or f"Paused at breakpoint(){where}",
        "modules": module_list(tracer, call),
    }


def describe_error(tracer: Tracer, failure: Any) -> dict[str, Any]:
    """The position before an op that is about to raise, with what is wrong."""
    position = describe_node(tracer, failure.node)
    error = error_record(tracer, failure)
    position["error"] = error
    position["text"] = error["sentence"]
    return position


def error_record(tracer: Tracer, failure: Any) -> dict[str, Any]:
    """What is wrong with the op: its operands, the dimensions that disagree, and where each came from."""
    node: Node = failure.node
    exception = failure.exception
    message = message_of(exception)
    clash: dict[int, list[int]] = {}
    for argument, dim in failure.clash or ():
        clash.setdefault(int(argument), []).append(int(dim))
    names = [name for name, _ in getattr(exception, "arguments", ())]
    op_names = () if node.op is None else node.op.arg_names
    operands = []
    for index, array in enumerate(node.arrays or ()):
        source = node.inputs[index] if index < len(node.inputs) else None
        if source is None and getattr(array, "shape", None) is None:
            continue
        name = (
            names[index]
            if index < len(names)
            else op_names[min(index, len(op_names) - 1)]
            if op_names
            else ""
        )
        operands.append(
            {
                "name": str(name),
                "shape": list(shape_of(array)),
                "dtype": str(getattr(array, "dtype", "")),
                "clash": clash.get(index, []),
                "node": 0 if source is None else source.id,
                "origins": origin_list(tracer, exception, index),
            }
        )
    return {
        "error": type(exception).__name__,
        "message": message,
        "sentence": str(getattr(exception, "sentence", "") or message.strip().split("\n", 1)[0]),
        "operands": operands,
        "hint": str(getattr(exception, "hint", "") or ""),
    }


def origin_list(tracer: Tracer, exception: Any, argument: int) -> list[dict[str, Any]]:
    """The lines that decided the sizes of one argument, as the page shows them."""
    text = tracer.lane().walker.text
    origins = getattr(exception, "origins", None) or ()
    return [
        {
            "file": text(origin.filename),
            "path": origin.filename,
            "line": origin.line,
            "text": origin.text.strip(),
            "note": origin.note,
        }
        for origin in (origins[argument] if argument < len(origins) else ())
    ]


def describe_post_mortem(tracer: Tracer, exception: BaseException) -> dict[str, Any]:
    """The position of an exception that ends the program: where the person's code was when it was raised."""
    walker = tracer.lane().walker
    trace = exception.__traceback__
    path, line, frame = "", 0, 0
    innermost = None
    for own in persons(tracer, trace):
        path, line = own.tb_frame.f_code.co_filename, own.tb_lineno
        innermost = own
    if isinstance(exception, SyntaxError) and exception.filename:
        path, line = exception.filename, exception.lineno or 0
    elif innermost is not None:
        chain = user_frames(innermost.tb_frame, tracer.places)
        for user in reversed(chain[:200]):
            lasti = innermost.tb_lasti if user is innermost.tb_frame else user.f_lasti
            frame = walker.at(frame, user.f_code, lasti)
    message = message_of(exception)
    name = type(exception).__name__
    node = _going_back(trace)
    about: dict[str, Any] = {"node": 0, "op": ""}
    hint = ""
    if node is not None and node.op is not None:
        module = "" if node.call is None else node.call.path
        about = {"node": node.id, "op": node.op.name, "phase": 1, "module": module}
        hint = f"It was raised in the backward pass, at the gradient of {node.op.name}{' in ' * bool(module)}{module}."
    return {
        "position": "end",
        **about,
        "file": walker.text(path) if path else 0,
        "path": path,
        "line": line,
        "text": f"{name}: {message.split(chr(10), 1)[0]}" if message else name,
        "frame": frame,
        "error": {
            "error": name,
            "message": message,
            "sentence": message or name,
            "operands": [],
            "hint": hint,
        },
    }


def _going_back(trace: TracebackType | None) -> Node | None:
    """The node whose gradient the innermost backward pass of a traceback was at."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code in LOOPS:
            found = trace.tb_frame.f_locals.get("node")
        trace = trace.tb_next
    return found if isinstance(found, Node) else None


def persons(tracer: Tracer, trace: TracebackType | None) -> list[TracebackType]:
    """The person's own part of a traceback, outermost first: not the libraries it ran into, unless there is nothing else."""
    found = []
    while trace is not None:
        if tracer.places.kind(trace.tb_frame.f_code) == USER:
            found.append(trace)
        trace = trace.tb_next
    own = [one for one in found if not _installed(one.tb_frame.f_code.co_filename)]
    return own or found


def _installed(path: str) -> bool:
    return f"{os.sep}site-packages{os.sep}" in path or f"{os.sep}dist-packages{os.sep}" in path


def module_list(tracer: Tracer, call: ModuleCall | None) -> list[dict[str, Any]]:
    """The module calls the position stands in, innermost first."""
    text = tracer.lane().walker.text
    found: list[dict[str, Any]] = []
    while call is not None and len(found) < 200:
        code = call.code
        path = "" if code is None else code.co_filename
        found.append(
            {
                "path": call.path,
                "cls": call.cls,
                "file": text(path) if path else 0,
                "line": 0 if code is None else line_of(code, call.lasti),
                "call": call.id,
            }
        )
        call = call.parent
    return found
