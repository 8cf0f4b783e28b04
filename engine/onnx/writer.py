"""A graph being written: nodes, constants and computed sizes, with names that do not clash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engine.onnx.symbol import Axis, Size
from engine.program import Call, Ref

OPSET = 21
KINDS = {
    "float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL,
}  # fmt: skip


class Unsupported(Exception):  # noqa: N818 - collected and told together
    """An op, or a use of it, that has no ONNX form here; the text says why."""


class Writer:
    """Collects the nodes of one graph. `values` names what each `Ref` of the program is called in it."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.values: dict[Ref, str] = {}
        self.dtypes: dict[Ref, np.dtype[Any]] = {}
        self.shapes: dict[Ref, tuple[int, ...]] = {}
        self.varying: dict[Ref, tuple[bool, ...]] = {}  # which dimensions depend on the inputs' sizes
        self.arrays: dict[int, Any] = {}  # the leaves' values
        self._names: set[str] = set()  # of values
        self._nodes: set[str] = set()  # of nodes, which ONNX keeps apart from those of values
        self._constants: dict[tuple[Any, ...], str] = {}
        self._sizes: dict[Any, str] = {}
        self.scope = ""

    def name(self, wish: str) -> str:
        """A name for a value: `wish`, or it with a number where it is taken."""
        return _free(wish, self._names)

    def node_name(self, wish: str) -> str:
        """The same for a node."""
        return _free(wish, self._nodes)

    def add(self, op: str, inputs: Sequence[str], outputs: int = 1, wish: str = "", **attributes: Any) -> Any:
        """Append a node and give the name of its output (a list of names for several)."""
        base = f"{self.scope}/{wish or op}" if self.scope else wish or op
        names = [self.name(base if outputs == 1 else f"{base}_{i}") for i in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op, list(inputs), names, name=self.node_name(base), **given))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of an initializer that holds `value`; equal ones are one."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.initializer(array, "constant")
        return self._constants[key]

    def initializer(self, array: Any, wish: str) -> str:
        """A new initializer."""
        name = self.name(wish)
        self.initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        )
        return name

    def arg(self, arg: Any, like: Any = None) -> str:
        """The name of an argument: a value, or a plain number in the type `like`."""
        if isinstance(arg, Ref):
            return self.values[arg]
        if isinstance(arg, Size):
            number = str(self.add("Squeeze", [self.size(arg), self.ints([0])]))
            return number if like is None else self.cast(number, like)
        return "" if arg is None else self.constant(arg, like)

    def shape_of(self, arg: Any) -> tuple[int, ...]:
        """Its shape in the first trace."""
        return self.shapes[arg] if isinstance(arg, Ref) else np.shape(arg)

    def fixed(self, arg: Any, *dims: int) -> None:
        """Raise `Unsupported` where one of these dimensions depends on the inputs' sizes."""
        varying = self.varying.get(arg, ())
        if any(varying[dim] for dim in dims if -len(varying) <= dim < len(varying)):
            raise Unsupported("it needs a size that is dynamic; leave that axis out of dynamic_axes")

    def kind_of(self, arg: Any) -> Any:
        """Its element type, None for a plain number."""
        return self.dtypes[arg] if isinstance(arg, Ref) else None

    def met(self, args: Sequence[Any]) -> np.dtype[Any]:
        """The type in which arguments meet, as the engine has it."""
        kinds = [self.dtypes[a] for a in args if isinstance(a, Ref)]
        plain = [
            a.first if isinstance(a, Size) else a for a in args if not isinstance(a, Ref) and a is not None
        ]
        return np.result_type(*kinds, *plain)

    def same(self, args: Sequence[Any], dtype: Any = None) -> list[str]:
        """The arguments in one type, cast where they differ."""
        met = np.dtype(self.met(args) if dtype is None else dtype)
        return [
            self.values[a] if isinstance(a, Ref) and self.dtypes[a] == met
            else self.cast(self.values[a], met) if isinstance(a, Ref)
            else self.arg(a, met)
            for a in args
        ]  # fmt: skip

    def cast(self, name: str, dtype: Any) -> str:
        """`name` in another element type."""
        return str(self.add("Cast", [name], to=KINDS[np.dtype(dtype).name]))

    # --- sizes ---

    def ints(self, values: Sequence[Any]) -> str:
        """A vector of int64, computed from the inputs' shapes where a value is a `Size`."""
        if not any(isinstance(v, Size) for v in values):
            return self.constant(np.asarray(values, np.int64).reshape(len(values)))
        parts = [
            self.size(v) if isinstance(v, Size) else self.constant(np.asarray([v], np.int64)) for v in values
        ]
        return str(self.add("Concat", parts, axis=0)) if len(parts) > 1 else parts[0]

    def size(self, size: Size) -> str:
        """A `Size` as a vector of one int64."""
        key = (size.factor, size.axes, size.offset, size.part)
        if key not in self._sizes:
            scope, self.scope = self.scope, ""
            name = self._axis(size.axes[0])
            for axis in size.axes[1:]:
                name = self.add("Mul", [name, self._axis(axis)])
            added, divisor = size.part
            if added:
                name = self.add("Add", [name, self.constant(np.asarray([added], np.int64))])
            if divisor != 1:
                name = self.add("Div", [name, self.constant(np.asarray([divisor], np.int64))])
            if size.factor != 1:
                name = self.add("Mul", [name, self.constant(np.asarray([size.factor], np.int64))])
            if size.offset:
                name = self.add("Add", [name, self.constant(np.asarray([size.offset], np.int64))])
            self._sizes[key] = name
            self.scope = scope
        return self._sizes[key]

    def _axis(self, axis: Axis) -> str:
        key = (axis.input, axis.dim)
        if key not in self._sizes:
            source = self.values[axis.input] if isinstance(axis.input, Ref) else axis.input
            self._sizes[key] = self.add("Shape", [source], start=axis.dim, end=axis.dim + 1, wish=axis.name)
        return self._sizes[key]

    def define(self, call: Call, names: Any) -> None:
        """`names` are what the call's results are called."""
        if isinstance(names, str):
            self.values[Ref(call.number)] = names
        else:
            for i, name in enumerate(names):
                self.values[Ref(call.number, i)] = name


def _free(wish: str, taken: set[str]) -> str:
    name, i = wish, 1
    while name in taken:
        i += 1
        name = f"{wish}_{i}"
    taken.add(name)
    return name
