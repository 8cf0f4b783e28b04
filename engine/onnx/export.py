"""A module, or a trace, written as an ONNX file.

A module is run twice, at two sizes of its free axes; every number that differs between the two traces becomes a
computation on the inputs' shapes, so the file takes any size. The path of the module that ran each op is kept in the
names of the nodes, and the names of the parameters are those of the `state_dict`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper

from engine import backend
from engine.grad_mode import no_grad
from engine.module import Module
from engine.onnx.lower import lower
from engine.onnx.recurrent import whole_sequences
from engine.onnx.symbol import Axis, Size, Unexplained, merged
from engine.onnx.writer import KINDS, OPSET, Unsupported, Writer
from engine.program import Call, Program, Ref, program, run_calls
from engine.tensor import Tensor
from engine.trace import Graph, trace

# How much larger each free axis is in the second trace: different primes tell the axes apart. What is no first
# dimension grows by multiples of 16, so that a network that halves its input a few times takes it.
STEPS = (3, 5, 7, 11, 13)
WIDE = 16


class ExportError(ValueError):
    """A model that cannot be written; the text lists every op that has no form, with the person's lines."""


def export(
    model: Module | Graph,
    path: str | os.PathLike[str],
    args: Any = (),
    *,
    dynamic_axes: bool | Mapping[str, Mapping[int, str]] = True,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
) -> onnx.ModelProto:
    """Write `model` to `path` and return what was written.

    `model` is a module, called as `model(*args)` in evaluation mode, or a trace of level 2. For a module,
    `dynamic_axes` may be True (the first dimension of every input is free and called "batch"), False, or
    `{input name: {dimension: name}}`; axes of one name have one size. A trace is of the shapes it was made with.

    Raises `ExportError` that lists every op without an ONNX form, with its lines, or says which number could not be
    expressed by the inputs' sizes; `TypeError` and `ValueError` for arguments that do not fit. Nothing is written then.
    """
    place = _place(path)
    second: Program | None = None
    if isinstance(model, Graph):
        if dynamic_axes not in (True, False):
            raise ValueError(
                "a trace is of the shapes it was made with; give the module itself to name dynamic axes"
            )
        names, axes = list(input_names), []
        first, inputs, outputs, lines = program(model), [], [], _lines(model)
        inputs = [number for number in first.given if _role(model, number) == "input"]
        outputs = first.results
        calls = first.calls
    elif isinstance(model, Module):
        given = tuple(args) if isinstance(args, (tuple, list)) else (args,)
        if not given:
            raise ValueError("export needs `args`, an example of each input of the model")
        names = list(input_names) or _parameters_of(model, len(given))
        if len(names) != len(given):
            raise ValueError(f"input_names has {len(names)} names for {len(given)} inputs")
        tensors = [_tensor(i, a) for i, a in enumerate(given)]
        axes = _axes(names, tensors, dynamic_axes)
        first, inputs, outputs, lines = _traced(model, tensors)
        calls = first.calls
        first.given.update({t.node.id: t.array for t in tensors})
        if axes:
            second, *_ = _traced(model, _grown(names, tensors, axes))
            calls = _compared(first, second, lines, axes)
            first = _constants(first, second, {t.node.id for t in tensors}, axes)
    else:
        raise TypeError(f"export takes a module or a trace, got {type(model).__name__}")
    names = names or [f"input_{i}" for i in range(len(inputs))]
    if len(names) != len(inputs):
        raise ValueError(f"input_names has {len(names)} names for {len(inputs)} inputs")
    made = _written(model, first, calls, inputs, outputs, names, list(output_names), axes, lines, second)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, place)
    return made


def _place(path: Any) -> str:
    """Where the file goes. Raises before anything is traced where it cannot be made there."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path has to be the name of a file, got {type(path).__name__}")
    place = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(place))
    if os.path.basename(place).startswith("-"):
        raise ValueError(
            f"path is {place!r}, which looks like an option and not like a file; name one such as model.onnx"
        )
    if not place or os.path.isdir(place):
        raise IsADirectoryError(
            f"path is {place!r}, a folder; name a file in it, such as {os.path.join(place, 'model.onnx')}"
        )
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder} for {name}; make it first")
    return place


def _role(graph: Graph, number: int) -> str:
    return next((leaf.role for leaf in graph.leaves if leaf.id == number), "")


def _parameters_of(model: Module, count: int) -> list[str]:
    code = type(model).forward.__code__
    names = list(code.co_varnames[1 : code.co_argcount])[:count]
    return names if len(names) == count else [f"input_{i}" for i in range(count)]


def _tensor(i: int, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, (np.ndarray, np.generic)) or backend.is_array(value):
        return Tensor(np.asarray(value))
    raise TypeError(f"args[{i}] has to be a tensor or an array, got {type(value).__name__}")


def _axes(names: list[str], tensors: list[Tensor], wanted: Any) -> list[Axis]:
    if wanted is True:
        wanted = {name: {0: "batch"} for name, t in zip(names, tensors, strict=True) if t.ndim}
    axes: list[Axis] = []
    steps: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name, dims in (wanted or {}).items():
        if name not in names:
            raise ValueError(f"dynamic_axes names the input {name!r}; there are: {', '.join(names)}")
        tensor = tensors[names.index(name)]
        for dim, axis in dims.items():
            if not -tensor.ndim <= dim < tensor.ndim:
                raise ValueError(
                    f"dynamic_axes: {name!r} of shape {list(tensor.shape)} has no dimension {dim}"
                )
            size = tensor.shape[dim]
            if sizes.setdefault(axis, size) != size:
                raise ValueError(
                    f"axis {axis!r} has two sizes, {sizes[axis]} and {size}; axes of one name have one size"
                )
            step = steps.setdefault(axis, STEPS[len(steps) % len(STEPS)] * (WIDE if dim % tensor.ndim else 1))
            axes.append(Axis(axis, name, dim % tensor.ndim, size, size + step))
    return axes


def _traced(model: Module, tensors: list[Tensor]) -> tuple[Program, list[int], list[Ref], dict[int, Origin]]:
    """The program of one run, the numbers of its inputs and results, and where each call comes from."""
    training = {id(m): m.training for m in model.modules()}
    model.eval()
    try:
        with no_grad(), whole_sequences(), trace(level=2, budget=0) as graph:
            result = model(*tensors)
    finally:
        for module in model.modules():
            module.__dict__["training"] = training[id(module)]
    flat = list(_flat(result))
    made = program(graph)
    outputs = [
        Ref(t.node.id, t.node.kwargs["index"] if t.node.op and t.node.op.name == "part" else None)
        for t in flat
    ]
    return made, [t.node.id for t in tensors], outputs, _lines(graph)


def _flat(value: Any) -> Any:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _flat(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _flat(part)
    elif value is not None:
        raise TypeError(
            f"the model returns a {type(value).__name__}; tensors, tuples, lists and dicts of them can be exported"
        )


class Origin(NamedTuple):
    """Where a call comes from: the person's line, and the path of the module."""

    line: str
    module: str


NOWHERE = Origin("?", "")


def _lines(graph: Graph) -> dict[int, Origin]:
    return {
        n.id: Origin(f"{os.path.basename(n.filename)}:{n.line}", n.call.path if n.call else "")
        for n in graph.nodes
    }


def _grown(names: list[str], tensors: list[Tensor], axes: list[Axis]) -> list[Tensor]:
    """The inputs at the second size: their values repeated, so that they stay what the model can take."""
    grown = []
    for name, tensor in zip(names, tensors, strict=True):
        array = np.asarray(tensor.array)
        for axis in axes:
            if axis.input == name:
                array = np.take(array, np.arange(axis.second) % max(axis.first, 1), axis.dim)
        grown.append(Tensor(array))
    return grown


def _compared(first: Program, second: Program, lines: dict[int, Origin], axes: list[Axis]) -> list[Call]:
    """The calls with every number that depends on the inputs' sizes said as a `Size`."""
    free = ", ".join(dict.fromkeys(axis.name for axis in axes))
    if [c.op for c in first.calls] != [c.op for c in second.calls]:
        at = next(
            (a.number for a, b in zip(first.calls, second.calls, strict=False) if a.op != b.op),
            first.calls[-1].number,
        )
        raise ExportError(
            f"the graph itself depends on the size of {free}: {len(first.calls)} ops at one size, "
            f"{len(second.calls)} at another, first at {lines.get(at, NOWHERE).line}. A Python loop over a dynamic axis has "
            "no ONNX form; leave that axis out of dynamic_axes"
        )
    calls = []
    for a, b in zip(first.calls, second.calls, strict=True):
        try:
            kwargs = {
                key: merged(a.kwargs[key], b.kwargs[key], axes)
                for key in a.kwargs
                if key not in ("seed", "counter")
            }
            plain = [
                x if isinstance(x, Ref) else merged(x, y, axes) for x, y in zip(a.args, b.args, strict=True)
            ]
        except Unexplained:
            raise ExportError(
                f"{a.op} at {lines.get(a.number, NOWHERE).line} holds a number that changes with {free}, but is no multiple of "
                "their sizes; leave that axis out of dynamic_axes"
            ) from None
        calls.append(Call(a.number, a.op, tuple(plain), {**a.kwargs, **kwargs}))
    return calls


def _constants(first: Program, second: Program, own: set[int], axes: list[Axis]) -> Program:
    """Constants made inside the model whose size depends on the input become computed ones."""
    pairs: dict[int, int] = {}
    for a, b in zip(first.calls, second.calls, strict=True):
        for x, y in zip(a.args, b.args, strict=True):
            if isinstance(x, Ref) and isinstance(y, Ref):
                pairs[x.number] = y.number
    given = dict(first.given)
    for number, array in first.given.items():
        other = second.given.get(pairs.get(number, 0))
        if number not in own and other is not None and other.shape != array.shape:
            given[number] = _computed(array, other, axes)
    return first._replace(given=given)


class Fill:
    """A constant of one value whose shape depends on the input."""

    def __init__(self, shape: tuple[Any, ...], value: Any, like: Any) -> None:
        self.sizes, self.value, self.shape, self.dtype = shape, value, like.shape, like.dtype


class Count:
    """0, 1, 2, ... up to a size that depends on the input."""

    def __init__(self, size: Size, like: Any) -> None:
        self.size, self.shape, self.dtype = size, like.shape, like.dtype


def _computed(first: Any, second: Any, axes: list[Axis]) -> Any:
    try:
        shape = merged(first.shape, second.shape, axes)
    except Unexplained:
        shape = None
    if (
        shape is not None
        and first.size
        and second.size
        and (second == first.flat[0]).all()
        and (first == first.flat[0]).all()
    ):
        return Fill(shape, first.flat[0], first)
    if shape is not None and first.ndim == 1 and np.array_equal(second, np.arange(second.size)):
        return Count(shape[0], first)
    raise ExportError(
        f"a constant of shape {list(first.shape)} that is made inside the model changes with the size of the input; "
        "make it in __init__ at its largest size, or leave that axis out of dynamic_axes"
    )


def _written(
    model: Any, source: Program, calls: list[Call], inputs: list[int], outputs: list[Ref], names: list[str],
    output_names: list[str], axes: list[Axis], lines: dict[int, Origin], second: Program | None,
) -> onnx.ModelProto:  # fmt: skip
    w = Writer()
    w.arrays = {n: a for n, a in source.given.items() if isinstance(a, np.ndarray)}
    paths = _paths(model)
    declared = [w.name(name) for name in names]
    for number, name in zip(inputs, declared, strict=True):
        w.values[Ref(number)] = name
    for number, array in source.given.items():
        ref = Ref(number)
        w.dtypes[ref], w.shapes[ref] = array.dtype, array.shape
        if ref in w.values:
            continue
        if isinstance(array, Fill):
            w.values[ref] = w.add("Expand", [w.constant(array.value), w.ints(array.sizes)])
        elif isinstance(array, Count):
            limit = w.add("Squeeze", [w.size(array.size), w.ints([0])])
            whole = w.add("Range", [w.constant(np.int64(0)), limit, w.constant(np.int64(1))])
            w.values[ref] = whole if array.dtype == np.int64 else w.cast(whole, array.dtype)
        else:
            w.values[ref] = w.initializer(array, paths.get(id(array), "constant"))
    made = _values(source)
    for ref, array in made.items():
        w.dtypes[ref], w.shapes[ref] = array.dtype, array.shape
    if second is not None:  # the same calls in the same order, at another size
        for ref, array in zip(made, _values(second).values(), strict=True):
            w.varying[ref] = tuple(a != b for a, b in zip(w.shapes[ref], array.shape, strict=True))
        for number, name in zip(inputs, names, strict=True):
            changed = {axis.dim for axis in axes if axis.input == name}
            w.varying[Ref(number)] = tuple(d in changed for d in range(len(w.shapes[Ref(number)])))
    wrong: dict[str, list[str]] = {}
    for call in calls:
        w.scope = lines.get(call.number, NOWHERE).module
        try:
            w.define(call, lower(w, call))
        except Unsupported as reason:
            wrong.setdefault(f"{call.op}: {reason}", []).append(lines.get(call.number, NOWHERE).line)
            w.define(call, [f"missing{call.number}.{i}" for i in range(8)])
            w.values[Ref(call.number)] = f"missing{call.number}"
    w.scope = ""
    if wrong:
        listed = "\n".join(f"  {what} ({', '.join(dict.fromkeys(where))})" for what, where in wrong.items())
        raise ExportError(f"these ops cannot be exported:\n{listed}")
    ends = output_names or (["output"] if len(outputs) == 1 else [f"output_{i}" for i in range(len(outputs))])
    if len(ends) != len(outputs):
        raise ValueError(f"output_names has {len(ends)} names for {len(outputs)} outputs")
    for ref, name in zip(outputs, ends, strict=True):
        w.nodes.append(
            helper.make_node("Identity", [w.values[ref]], [name], name=w.node_name(f"{name}/Identity"))
        )
    used = {name for node in w.nodes for name in node.input}
    kept = [tensor for tensor in w.initializers if tensor.name in used]
    free = {(axis.input, axis.dim): axis.name for axis in axes}
    value_in = [
        helper.make_tensor_value_info(
            name,
            KINDS[w.dtypes[Ref(number)].name],
            [free.get((name, d), n) for d, n in enumerate(w.shapes[Ref(number)])],
        )
        for number, name in zip(inputs, declared, strict=True)
    ]
    value_out = [
        helper.make_tensor_value_info(
            name, KINDS[w.dtypes[ref].name], [None if axes else n for n in w.shapes[ref]]
        )
        for ref, name in zip(outputs, ends, strict=True)
    ]
    title = type(model).__name__ if isinstance(model, Module) else "trace"
    graph = helper.make_graph(w.nodes, title, value_in, value_out, kept)
    written = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10, producer_name="dsviz"
    )
    if isinstance(model, Module):
        structure = {path or "(model)": type(m).__name__ for path, m in model.named_modules()}
        helper.set_model_props(written, {f"module.{path}": cls for path, cls in structure.items()})
    return written


def _paths(model: Any) -> dict[int, str]:
    """The `state_dict` name of each parameter and buffer, by its array."""
    if not isinstance(model, Module):
        return {}
    return {id(t.array): name for name, t in [*model.named_parameters(), *model.named_buffers()]}


def _values(source: Program) -> dict[Ref, Any]:
    """Every computed value, from running the program once more on its example."""
    given = {Ref(n): _example(a) for n, a in source.given.items()}
    return run_calls(source.calls, given)


def _example(array: Any) -> Any:
    if isinstance(array, Fill):
        return np.full(array.shape, array.value, array.dtype)
    return np.arange(array.shape[0], dtype=array.dtype) if isinstance(array, Count) else array
