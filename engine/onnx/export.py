"""A module, or a trace, written as an ONNX file.

A module is run twice, at two sizes of its free axes; every number that differs between the two traces becomes a
computation on the inputs' shapes, so the file takes any size. The path of the module that ran each op is kept in the
names of the nodes, and the names of the parameters are those of the `state_dict`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from engine import backend
from engine.bus import bus
from engine.grad_mode import no_grad
from engine.module import Module
from engine.onnx.compared import (
    NOWHERE,
    ExportError,
    Origin,
    Traced,
    computed,
    origin,
    with_sizes,
    without_values,
)
from engine.onnx.lower import lower
from engine.onnx.made import MADE
from engine.onnx.recurrent import whole_sequences
from engine.onnx.symbol import Axis
from engine.onnx.writer import KINDS, OPSET, Unsupported, Writer
from engine.program import Call, Program, Ref, program, run_calls
from engine.tensor import Tensor
from engine.trace import Graph, trace

# How much larger each free axis is in the second trace: different primes tell the axes apart. What is no first
# dimension grows by many times that: by an odd number at first, which shows how halves are rounded; by multiples of 16
# for a network that halves its input a few times and takes nothing else; by less where a table of positions ends.
STEPS = (3, 5, 7, 11, 13)
WIDE = (17, 16, 4, 1)
UNSEEN = -1_000_000  # numbers below it stand for inputs that are not in the trace


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
    second: Traced | None = None
    axes: list[Axis] = []
    if isinstance(model, Graph):
        if dynamic_axes not in (True, False):
            raise ValueError(
                "a trace is of the shapes it was made with; give the module itself to name dynamic axes"
            )
        names, source = list(input_names), program(model)
        inputs = [number for number in source.given if _role(model, number) == "input"]
        first = Traced(source, inputs, source.results, _lines(model), {}, [])
        calls = source.calls
    elif isinstance(model, Module):
        given = tuple(args) if isinstance(args, (tuple, list)) else (args,)
        if not given:
            raise ValueError("export needs `args`, an example of each input of the model")
        names = list(input_names) or _parameters_of(model, len(given))
        if len(names) != len(given):
            raise ValueError(f"input_names has {len(names)} names for {len(given)} inputs")
        tensors = [_tensor(i, a) for i, a in enumerate(given)]
        axes = _axes(names, tensors, dynamic_axes)
        first = _traced(model, tensors)
        calls = first.calls()
        first.source.given.update({n: t.array for n, t in zip(first.inputs, tensors, strict=True)})
        _check_values(model, first, tensors)
        if axes:
            first, second, calls, axes = _at_another_size(model, names, tensors, axes, first)
    else:
        raise TypeError(f"export takes a module or a trace, got {type(model).__name__}")
    names = names or [f"input_{i}" for i in range(len(first.inputs))]
    if len(names) != len(first.inputs):
        raise ValueError(f"input_names has {len(names)} names for {len(first.inputs)} inputs")
    made = _written(model, first, calls, names, list(output_names), axes, second)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, place)
    return made


def _check_values(model: Module, first: Traced, tensors: list[Tensor]) -> None:
    """Raise `ExportError` where the model decides or computes outside the graph by what is in its inputs."""
    for factor in (0.9, -1.0):
        others = []
        for tensor in tensors:
            array = np.ascontiguousarray(tensor.array)
            turned = array.reshape(-1)[::-1].reshape(array.shape)
            others.append(
                Tensor((turned * factor).astype(array.dtype) if array.dtype.kind == "f" else turned.copy())
            )
        try:
            with np.errstate(all="ignore"):
                other = _traced(model, others)
        except Exception:  # noqa: BLE001 - it does not take these values, so there is nothing to compare
            continue
        without_values(first, other)


def _at_another_size(
    model: Module, names: list[str], tensors: list[Tensor], axes: list[Axis], first: Traced
) -> tuple[Traced, Traced, list[Call], list[Axis]]:
    """The first run with what depends on the sizes said so, the second, the calls, and the axes with their second sizes."""
    told: Exception | None = None
    for factor in WIDE:
        grown = [a._replace(second=a.first + (a.second - a.first) * (factor if a.dim else 1)) for a in axes]
        try:
            second = _traced(model, _grown(names, tensors, grown))
            shapes = [_shapes(run) for run in (first, second)]
            calls = with_sizes(first, second, grown, shapes)
            return first._replace(source=computed(first, second, grown)), second, calls, grown
        except Exception as error:  # noqa: BLE001 - the model's own, or what is wrong at this size: it is told below
            if told is None or (isinstance(error, ExportError) and not isinstance(told, ExportError)):
                told = error
    if isinstance(told, ExportError):
        raise told
    sizes = ", ".join(f"{a.input!r} dimension {a.dim} of {a.first} and {a.second}" for a in axes)
    raise ExportError(
        f"the model runs on its example, but not with other sizes of its free axes ({sizes}): {told}\n"
        "Leave what is fixed out of dynamic_axes"
    ) from told


def _shapes(run: Traced) -> dict[Ref, Any]:
    """The shapes of all values of a run."""
    found = {Ref(number): array.shape for number, array in run.source.given.items()}
    return found | {ref: array.shape for ref, array in _values(run.source).items()}


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
            step = steps.setdefault(axis, STEPS[len(steps) % len(STEPS)])
            axes.append(Axis(axis, name, dim % tensor.ndim, size, size + step))
    return axes


def _traced(model: Module, tensors: list[Tensor]) -> Traced:
    """One run of the model in evaluation mode."""
    training = {id(m): m.training for m in model.modules()}
    model.eval()
    owners: dict[int, Ref] = {}
    kept: list[Any] = [t.array for t in tensors]

    def seen(kind: str, node: Any) -> None:
        if not node.id:
            return
        made = node.made if isinstance(node.made, tuple) else (node.made,)
        for pick, array in enumerate(made):
            owners[id(array)] = Ref(node.id, pick if isinstance(node.made, tuple) else None)
            kept.append(array)

    handle = bus.subscribe(seen, "op_finish")
    try:
        with no_grad(), whole_sequences(), trace(level=2, budget=0) as graph:
            result = model(*tensors)
    finally:
        handle.close()
        for module in model.modules():
            module.__dict__["training"] = training[id(module)]
    outputs = [
        Ref(t.node.id, t.node.kwargs["index"] if t.node.op and t.node.op.name == "part" else None)
        for t in _flat(result)
    ]
    # An input that no op is given as it is (but detached, or not at all) has no number in the trace.
    inputs = [t.node.id or UNSEEN - i for i, t in enumerate(tensors)]
    owners.update({id(t.array): Ref(number) for t, number in zip(tensors, inputs, strict=True)})
    made = program(graph)
    for i, tensor in enumerate(_flat(result)):
        if tensor.node.op is None and outputs[i].number not in inputs:
            # No op of the graph made it: a parameter, a value whose history was cut off, or a constant.
            outputs[i] = owners.get(id(tensor.array), Ref(-1 - i))
            if outputs[i].number < 0:
                made.given[-1 - i] = np.asarray(tensor.array)
    return Traced(made, inputs, outputs, _lines(graph), owners, kept)


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


def _lines(graph: Graph) -> dict[int, Origin]:
    return {n.id: origin(n.filename, n.line, n.call.path if n.call else "") for n in graph.nodes}


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


def _written(
    model: Any, first: Traced, calls: list[Call], names: list[str], output_names: list[str], axes: list[Axis], second: Traced | None,
) -> onnx.ModelProto:  # fmt: skip
    source, inputs, outputs, lines = first.source, first.inputs, first.outputs, first.lines
    w = Writer()
    w.arrays = {n: a for n, a in source.given.items() if isinstance(a, np.ndarray)}
    paths = _paths(model)
    declared = [w.name(name) for name in names]
    for number, name in zip(inputs, declared, strict=True):
        w.values[Ref(number)] = name
    for number, array in source.given.items():
        ref = Ref(number)
        example = array.example if isinstance(array, MADE) else array
        w.dtypes[ref], w.shapes[ref] = example.dtype, example.shape
        if ref in w.values:
            continue
        if isinstance(array, MADE):
            w.values[ref] = array.write(w)
        else:
            w.values[ref] = w.initializer(array, paths.get(id(array), "constant"))
    made = _values(source)
    for ref, array in made.items():
        w.dtypes[ref], w.shapes[ref] = array.dtype, array.shape
    if second is not None:  # the same calls in the same order, at another size
        for ref, array in zip(made, _values(second.source).values(), strict=True):
            w.varying[ref] = tuple(a != b for a, b in zip(w.shapes[ref], array.shape, strict=True))
        for number, name in zip(inputs, names, strict=True):
            changed = {axis.dim for axis in axes if axis.input == name}
            w.varying[Ref(number)] = tuple(d in changed for d in range(len(w.shapes[Ref(number)])))
    complex_ones = {ref.number for ref, kind in w.dtypes.items() if kind.kind == "c"}
    wrong: dict[str, list[str]] = {}
    for call in calls:
        w.scope = lines.get(call.number, NOWHERE).module
        try:
            if call.number in complex_ones or any(
                a.number in complex_ones for a in call.args if isinstance(a, Ref)
            ):
                raise Unsupported(
                    "it has no ONNX form for complex numbers; compute with real and imaginary parts"
                )
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
    return array.example if isinstance(array, MADE) else array
