"""An ONNX file as a module: `ds.onnx.load(path)`. Its nodes are the engine's own ops: stepped, checked, differentiated.

Floating initializers become parameters and the others buffers, under their names in the file. `If`, `Loop` and `Scan` run as Python
runs them, so the graph shows which way was taken and how often. An op that ONNX defines by other ops is run as those.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper, numpy_helper

from engine.dtype import is_floating
from engine.module import Module
from engine.onnx.read import READ, Sequence, Step, Unreadable, dense
from engine.onnx.refusals import key_of, refusals, schema_of
from engine.tensor import Parameter, Tensor


class LoadError(ValueError):
    """A file that cannot become a module; the text says what is wrong with it, or lists every op it needs."""


class Unit(Module):
    """One node of the file, so that traces, switches and breakpoints know it by the name it has there.

    Its class is named after the op: `Conv`, `MatMul`.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_called"] = name

    def forward(self, apply: Any, *args: Any) -> Any:
        """What the node does."""
        return apply(*args)


_UNITS: dict[str, type[Unit]] = {}


def _unit(op: str, name: str) -> Unit:
    kind = _UNITS.get(op)
    if kind is None:
        kind = _UNITS[op] = type(op, (Unit,), {"__doc__": Unit.__doc__, "__module__": __name__})
    return kind(name)


class OnnxModule(Module):
    """A module made of an ONNX graph. `inputs` and `outputs` are the names in the file. Made by `load`.

    Each node is a submodule under its name in the file (dots become underscores), or as "MatMul_3" where it has none.
    """

    def __init__(self, proto: ModelProto) -> None:
        self.proto = proto
        self.opsets = {item.domain: item.version for item in proto.opset_import}
        self.functions = {(f.domain, f.name): f for f in proto.functions}
        graph = proto.graph
        self._names: dict[str, str] = {}
        self._units: dict[tuple[str, ...], Any] = {}
        # What a batch normalisation counted is no weight: no gradient leads to it.
        counted = {n for node in graph.node if node.op_type == "BatchNormalization" for n in node.input[3:5]}
        refused = refusals(proto, self._version)
        if refused:
            raise LoadError(f"the file {'; it '.join(refused)}")
        for tensor in graph.initializer:
            self._keep(tensor.name, numpy_helper.to_array(tensor), tensor.name not in counted)
        for sparse in graph.sparse_initializer:
            self._keep(sparse.values.name, dense(sparse), sparse.values.name not in counted)
        self.inputs = [i.name for i in graph.input if i.name not in self._names]
        self.outputs = [o.name for o in graph.output]
        self.nodes = self._name(graph)

    def _name(self, graph: GraphProto) -> list[str]:
        """Make a unit of each node of `graph` and those inside it; gives the names of its own."""
        names = []
        for number, node in enumerate(graph.node):
            name = wanted = node.name.replace(".", "_") or f"{node.op_type}_{number}"
            again = 1
            while name in self._modules:
                again += 1
                name = f"{wanted}#{again}"
            self._modules[name] = _unit(node.op_type, name)
            self._units[_mark(node)] = self._modules[name]
            names.append(name)
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    self._name(attribute.g)
        return names

    def _keep(self, name: str, array: Any, learned: bool) -> None:
        own = name.replace(".", "_").replace("/", "_").replace(":", "_") or "unnamed"
        while hasattr(self, own):
            own += "_"
        self._names[name] = own
        if is_floating(array.dtype) and learned:
            self.register_parameter(own, Parameter(Tensor(np.array(array))))
        else:
            self.register_buffer(own, Tensor(np.array(array)))

    def _version(self, node: NodeProto) -> int:
        return int(self.opsets.get(node.domain, self.opsets.get("ai.onnx" if not node.domain else "", 1)))

    def forward(self, *args: Any, **named: Any) -> Any:
        """The file's inputs, in order or by name, to its output (a tuple of them where there are several).

        Raises `TypeError` for an input that is missing or that the file does not have.
        """
        results = self.run_graph(self.proto.graph, self._start(*args, **named))
        return results[0] if len(results) == 1 else tuple(results)

    def begin(self, *args: Any, **named: Any) -> Run:
        """The same, node by node: what it gives runs the node whose name it is called with, in the file's order."""
        return Run(self, self._start(*args, **named))

    def _start(self, *args: Any, **named: Any) -> dict[str, Any]:
        """What is known before the first node runs."""
        if len(args) > len(self.inputs):
            raise TypeError(
                f"the file has {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {len(args)}"
            )
        given = dict(zip(self.inputs, args, strict=False))
        for name, value in named.items():
            if name not in self.inputs or name in given:
                raise TypeError(f"no input {name!r} is left; the file has {', '.join(self.inputs)}")
            given[name] = value
        optional = {i.name for i in self.proto.graph.input if i.type.HasField("optional_type")}
        missing = [name for name in self.inputs if name not in given and name not in optional]
        if missing:
            raise TypeError(f"the input {missing[0]!r} is missing; the file has {', '.join(self.inputs)}")
        env: dict[str, Any] = {
            name: value if value is None else _tensor(value) for name, value in given.items()
        }
        env.update({name: getattr(self, own) for name, own in self._names.items()})
        return env

    def run_graph(self, graph: GraphProto, env: dict[str, Any]) -> list[Any]:
        """Run the nodes of `graph` in `env`, which gets their results, and give the graph's outputs."""
        for tensor in graph.initializer:
            if tensor.name not in env:
                env[tensor.name] = Tensor(np.array(numpy_helper.to_array(tensor)))
        for node in graph.node:
            self.run_node(node, env, self._version(node), self._units.get(_mark(node)))
        return [env[output.name] for output in graph.output]

    def run_node(self, node: NodeProto, env: dict[str, Any], version: int, around: Any = None) -> None:
        """Run `node` in `env`, in the unit `around` where it has one."""
        inputs = [env[name] if name else None for name in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute if not a.ref_attr_name}
        given = (node, inputs, attributes, env, version)
        results = self._apply(*given) if around is None else around(self._apply, *given)
        for name, value in zip(node.output, results, strict=False):
            if name:
                env[name] = value

    def _apply(
        self, node: NodeProto, inputs: list[Any], attributes: dict[str, Any], env: dict[str, Any], version: int
    ) -> list[Any]:  # fmt: skip
        local = self.functions.get((node.domain, node.op_type))
        read = READ.get(key_of(node))
        if local is None and read is not None:
            step = Step(inputs, attributes, len(node.output), version, env, self)
            try:
                result = read(step)
            except Unreadable as reason:
                raise LoadError(f"{_said(node)}: {reason}") from None
            except (LookupError, TypeError, ValueError, MemoryError) as error:
                if not isinstance(error, MemoryError) and (
                    type(error).__module__ != "builtins" or "\n" in str(error)
                ):
                    raise  # the engine has said what did not fit, and where
                given = ", ".join(_shown(value) for value in inputs)
                raise LoadError(f"{_said(node)} cannot be run on {given or 'no inputs'}: {error}") from error
            return (
                list(result)
                if isinstance(result, (tuple, list)) and not isinstance(result, Sequence)
                else [result]
            )
        body = local or _body(node, inputs, version)
        if body is None:
            raise LoadError(f"{node.op_type} {node.name!r} has no definition for these inputs")
        inner: dict[str, Any] = {"": None}
        inner.update({name: inputs[i] if i < len(inputs) else None for i, name in enumerate(body.input)})
        schema = None if local else schema_of(node, version)
        defaults = {} if schema is None else {
            name: helper.get_attribute_value(a.default_value)
            for name, a in schema.attributes.items()
            if a.default_value.type != AttributeProto.UNDEFINED
        }  # fmt: skip
        defaults |= {a.name: helper.get_attribute_value(a) for a in body.attribute_proto}
        opset = next((i.version for i in body.opset_import if i.domain == ""), version)
        for each in _bound(body.node, {**defaults, **attributes}):
            self.run_node(each, inner, opset or self._version(each))
        return [inner.get(name) for name in body.output]


class Run:
    """An ONNX module that is run node by node: `run("conv1")`, in the file's order; then `outputs`."""

    def __init__(self, module: OnnxModule, env: dict[str, Any]) -> None:
        self.module, self.env = module, env
        graph = module.proto.graph
        for tensor in graph.initializer:
            env.setdefault(tensor.name, Tensor(np.array(numpy_helper.to_array(tensor))))
        self._nodes = dict(zip(module.nodes, graph.node, strict=True))

    def __call__(self, name: str) -> None:
        """Run the node of this name. Raises `KeyError` for one there is not."""
        node, module = self._nodes[name], self.module
        module.run_node(node, self.env, module._version(node), module._modules[name])

    @property
    def outputs(self) -> dict[str, Any]:
        """The model's outputs by name, once all nodes have run."""
        return {name: self.env[name] for name in self.module.outputs}


def _said(node: NodeProto) -> str:
    return f"{node.op_type} {(node.name or (node.output[0] if node.output else ''))!r}"


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return (
        "nothing"
        if value is None
        else f"a sequence of {len(value)}"
        if isinstance(value, list)
        else type(value).__name__
    )


def _mark(node: NodeProto) -> tuple[str, ...]:
    """What tells a node from the others (protobuf gives another object each time)."""
    return (node.op_type, node.name, *node.output)


def _bound(nodes: Any, attributes: dict[str, Any]) -> list[NodeProto]:
    """The nodes of a function with the attributes they take from its caller put in."""
    made = []
    for node in nodes:
        if not any(a.ref_attr_name for a in node.attribute):
            made.append(node)
            continue
        copy = NodeProto()
        copy.CopyFrom(node)
        del copy.attribute[:]
        for attribute in node.attribute:
            if not attribute.ref_attr_name:
                copy.attribute.append(attribute)
            elif attributes.get(attribute.ref_attr_name) is not None:
                copy.attribute.append(
                    helper.make_attribute(attribute.name, attributes[attribute.ref_attr_name])
                )
        made.append(copy)
    return made


def _body(node: NodeProto, inputs: list[Any], version: int) -> Any:
    schema = schema_of(node, version)
    if schema is None:
        return None
    if schema.has_function:
        return schema.function_body
    types = [_type_of(value) for value in inputs]
    made = onnx.FunctionProto()
    made.ParseFromString(schema.get_context_dependent_function(node.SerializeToString(), types))
    return made


def _type_of(value: Any) -> bytes:
    if value is None:
        return b""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return bytes(helper.make_tensor_type_proto(kind, value.shape).SerializeToString())


def _tensor(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, list):
        return Sequence(_tensor(part) for part in value)
    return Tensor(np.asarray(value))


def load(path: str | os.PathLike[str] | ModelProto) -> OnnxModule:
    """The ONNX file at `path` as a module.

    Raises `FileNotFoundError` for a missing file and `LoadError` for one that is no valid ONNX model, or that needs ops
    which cannot be read; all of them are listed. Code in a file is never run: there is none, only ops.
    """
    if isinstance(path, ModelProto):
        proto = path
    else:
        if not os.path.exists(path):
            raise FileNotFoundError(f"there is no file {os.fspath(path)}")
        if os.path.isdir(path):
            raise LoadError(f"{os.fspath(path)} is no valid ONNX model: it is a folder")
        try:
            proto = onnx.load(os.fspath(path))
            onnx.checker.check_model(proto)
            _check_names(proto.graph)
        except Exception as error:  # noqa: BLE001 - whatever parser and checker raise, it is about the file
            first = str(error).strip().splitlines()
            raise LoadError(
                f"{os.fspath(path)} is no valid ONNX model: {first[0].rstrip('.') if first else type(error).__name__}"
            ) from None
    try:
        return OnnxModule(proto)
    except LoadError:
        raise
    except Exception as error:  # the checker lets through tensors that are not what they say
        raise LoadError(
            f"{proto.graph.name if isinstance(path, ModelProto) else os.fspath(path)} is no valid ONNX model: {error}"
        ) from error


def _check_names(graph: GraphProto) -> None:
    """Raise `ValueError` for a name that is no text: the parser then gives bytes for it."""
    for node in graph.node:
        for name in (node.name, node.op_type, node.domain, *node.input, *node.output):
            if not isinstance(name, str):
                raise ValueError(f"the name {name!r} is no UTF-8")
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                _check_names(attribute.g)
    for value in (*graph.initializer, *graph.input, *graph.output):
        if not isinstance(value.name, str):
            raise ValueError(f"the name {value.name!r} is no UTF-8")
