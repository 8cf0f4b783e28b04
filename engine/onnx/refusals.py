"""What of a file cannot be read: all of it, told when the file is loaded, with the names of the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx import defs as onnx_defs

from engine.onnx.read import READ

# Element types with no arrays here; of these a file may hold none.
UNKNOWN_TYPES = {TensorProto.COMPLEX64, TensorProto.COMPLEX128}
LISTED = 5  # nodes named for each op


def key_of(node: NodeProto) -> str:
    """The op's name, with its domain where that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def schema_of(node: NodeProto, version: int) -> Any:
    """What ONNX says of the op, None where it does not know it."""
    try:
        return onnx_defs.get_schema(node.op_type, version, node.domain)
    except onnx_defs.SchemaError:
        return None


def refusals(proto: ModelProto, version_of: Any) -> list[str]:
    """A sentence for each kind of thing that cannot be read; none where all can."""
    found: dict[str, list[str]] = {}
    types: dict[str, list[str]] = {}
    functions = {(f.domain, f.name): f for f in proto.functions}
    for node, inside in _nodes(proto.graph.node, functions, version_of, "", ()):
        found.setdefault(key_of(node), []).append(
            repr(node.name or inside or (node.output[0] if node.output else ""))
        )
    for what, kind in _types(proto.graph):
        if kind in UNKNOWN_TYPES:
            types.setdefault(TensorProto.DataType.Name(kind).lower(), []).append(what)
    said = []
    newest = onnx_defs.onnx_opset_version()
    asked = [item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")]
    if asked and max(asked) > newest:
        said.append(
            f"is of opset {max(asked)}, and the newest that the installed package onnx knows is {newest}"
        )
    if found:
        listed = ", ".join(f"{op} ({_some('node', names)})" for op, names in sorted(found.items()))
        said.append(f"needs ops that cannot be read: {listed}")
    if types:
        listed = ", ".join(f"{kind} ({', '.join(names[:LISTED])})" for kind, names in sorted(types.items()))
        said.append(f"has element types that cannot be read: {listed}")
    return said


def _some(what: str, names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:LISTED])}{more}"


def _nodes(
    nodes: Iterable[NodeProto], functions: dict[tuple[str, str], FunctionProto], version_of: Any, inside: str, around: tuple[Any, ...]
) -> Iterator[tuple[NodeProto, str]]:  # fmt: skip
    """The nodes nothing reads, also those inside branches, loops and functions (then with the name of the node outside)."""
    for node in nodes:
        name = inside or node.name
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)
            for graph in graphs:
                yield from _nodes(graph.node, functions, version_of, inside, around)
        local = functions.get((node.domain, node.op_type))
        if local is not None:
            if (node.domain, node.op_type) in around:  # it calls itself: it could never end
                yield node, name
            else:
                yield from _nodes(
                    local.node, functions, version_of, name, (*around, (node.domain, node.op_type))
                )
        elif key_of(node) not in READ:
            schema = schema_of(node, version_of(node))
            if schema is None or not (schema.has_function or schema.has_context_dependent_function):
                yield node, name
            elif schema.has_function:
                yield from _nodes(schema.function_body.node, {}, version_of, name, around)


def _types(graph: GraphProto) -> Iterator[tuple[str, int]]:
    for value in graph.input:
        yield f"input {value.name!r}", value.type.tensor_type.elem_type
    for tensor in graph.initializer:
        yield f"initializer {tensor.name!r}", tensor.data_type
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _types(attribute.g)
            elif attribute.name in ("to", "dtype") and attribute.type == AttributeProto.INT:
                yield f"node {node.name or node.output[0]!r}", attribute.i
            elif attribute.type == AttributeProto.TENSOR:
                yield f"node {node.name or node.output[0]!r}", attribute.t.data_type
