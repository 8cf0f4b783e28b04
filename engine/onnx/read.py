"""How each ONNX op is done with the engine's own: element by element, reductions, shapes, and control flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import helper, numpy_helper

import engine as ds
from engine.tensor import Tensor

Reader = Callable[["Step"], Any]
READ: dict[str, Reader] = {}


class Unreadable(Exception):  # noqa: N818 - told with the node it is about
    """A use of an op that cannot be done here; the text says why."""


class Sequence(list):  # type: ignore[type-arg]
    """A value that is a sequence of tensors, which is one result and not several."""


class Step(NamedTuple):
    """One node to run: its inputs (None for one left out), attributes, how many results, the opset, and around it."""

    inputs: list[Any]
    attributes: dict[str, Any]
    outputs: int
    opset: int
    env: dict[str, Any]
    module: Any

    def get(self, at: int) -> Any:
        """Input `at`, None where it was left out."""
        return self.inputs[at] if at < len(self.inputs) else None

    def ints(self, at: int, name: str = "") -> list[int] | None:
        """Whole numbers from input `at`, or from the attribute that older opsets have in its place."""
        value = self.get(at)
        if value is not None:
            return [int(v) for v in np.atleast_1d(value.array)]
        if name and self.attributes.get(name) is not None:
            found = self.attributes[name]
            return [int(v) for v in found] if isinstance(found, (list, tuple)) else [int(found)]
        return None

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute; text as text."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value


def reads(*names: str) -> Callable[[Reader], Reader]:
    """The decorated function does these ops."""

    def register(function: Reader) -> Reader:
        for name in names:
            READ[name] = function
        return function

    return register


def plain(value: Any) -> Tensor:
    """An array as a tensor."""
    return Tensor(np.asarray(value))


def kind_of(code: int) -> Any:
    """The NumPy type of an ONNX type number."""
    return helper.tensor_dtype_to_np_dtype(code)


# --- element by element ---

UNARY: dict[str, Any] = {
    "Abs": ds.abs, "Neg": ds.neg, "Exp": ds.exp, "Log": ds.log, "Sqrt": ds.sqrt, "Relu": ds.relu, "Tanh": ds.tanh,
    "Sigmoid": ds.sigmoid, "Sin": ds.sin, "Cos": ds.cos, "Tan": ds.tan, "Asin": ds.asin, "Acos": ds.acos,
    "Atan": ds.atan, "Sinh": ds.sinh, "Cosh": ds.cosh, "Asinh": ds.asinh, "Acosh": ds.acosh, "Atanh": ds.atanh,
    "Erf": ds.erf, "Floor": ds.floor, "Ceil": ds.ceil, "Round": ds.round, "Sign": ds.sign, "Reciprocal": ds.reciprocal,
    "Not": ds.logical_not, "IsNaN": ds.isnan, "Softsign": ds.softsign, "Mish": ds.mish,
    "BitwiseNot": ds.bitwise_not, "HardSwish": ds.hardswish,
}  # fmt: skip
BINARY: dict[str, Any] = {
    "Add": ds.add, "Sub": ds.sub, "Mul": ds.mul, "Equal": ds.eq, "Less": ds.lt, "LessOrEqual": ds.le, "Greater": ds.gt,
    "GreaterOrEqual": ds.ge, "And": ds.logical_and, "Or": ds.logical_or, "Xor": ds.logical_xor,
    "BitwiseAnd": ds.bitwise_and, "BitwiseOr": ds.bitwise_or, "BitwiseXor": ds.bitwise_xor, "MatMul": ds.matmul,
}  # fmt: skip
for _name, _function in UNARY.items():
    READ[_name] = lambda s, f=_function: f(s.inputs[0])  # type: ignore[misc]
for _name, _function in BINARY.items():
    READ[_name] = lambda s, f=_function: f(s.inputs[0], s.inputs[1])  # type: ignore[misc]


@reads("Identity")
def _identity(s: Step) -> Any:
    return [s.inputs[0]]


@reads("Div")
def _div(s: Step) -> Any:
    a, b = s.inputs
    if a.dtype.kind == "f":
        return a / b
    # Whole numbers are rounded towards 0.
    x, y = a.array.astype(np.int64), b.array.astype(np.int64)
    return plain((np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))).astype(a.dtype))


@reads("Mod")
def _mod(s: Step) -> Any:
    a, b = s.inputs
    return plain(np.fmod(a.array, b.array)) if s.attr("fmod", 0) else ds.remainder(a, b)


@reads("Pow")
def _pow(s: Step) -> Any:
    a, b = s.inputs
    return (
        plain(np.power(a.array.astype(np.float64), b.array).astype(a.dtype))
        if a.dtype.kind != "f"
        else (a ** b.to(a.dtype))
    )


def _folded(function: Any, mean: bool = False) -> Reader:
    def read(s: Step) -> Any:
        out = s.inputs[0]
        for other in s.inputs[1:]:
            out = function(out, other)
        return [out / len(s.inputs) if mean else out]

    return read


READ["Max"], READ["Min"] = _folded(ds.maximum), _folded(ds.minimum)
READ["Sum"], READ["Mean"] = _folded(ds.add), _folded(ds.add, True)


@reads("IsInf")
def _isinf(s: Step) -> Any:
    x = s.inputs[0]
    found = ds.isinf(x)
    if not s.attr("detect_negative", 1):
        found = ds.logical_and(found, x > 0)
    if not s.attr("detect_positive", 1):
        found = ds.logical_and(found, x < 0)
    return found


@reads("Clip")
def _clip(s: Step) -> Any:
    x, low, high = s.inputs[0], s.get(1), s.get(2)
    low = (
        low
        if low is not None or "min" not in s.attributes
        else plain(np.asarray(s.attributes["min"], x.dtype))
    )
    high = (
        high
        if high is not None or "max" not in s.attributes
        else plain(np.asarray(s.attributes["max"], x.dtype))
    )
    if low is not None:
        x = ds.maximum(x, low)
    return [x if high is None else ds.minimum(x, high)]


@reads("Where")
def _where(s: Step) -> Any:
    return ds.where(*s.inputs)


@reads("Cast")
def _cast(s: Step) -> Any:
    return [_as(s.inputs[0], kind_of(s.attributes["to"]))]


@reads("CastLike")
def _cast_like(s: Step) -> Any:
    return [_as(s.inputs[0], s.inputs[1].dtype)]


def _as(x: Any, wanted: Any) -> Any:
    kind = np.dtype(wanted)
    if kind.kind not in "fiub" or kind.name.startswith(
        ("float8", "float4", "bfloat", "int4", "uint4", "int2", "uint2")
    ):
        raise Unreadable(f"the engine has no element type {kind.name}")
    if x.dtype.kind not in "fiub":
        raise Unreadable(f"the engine has no element type {x.dtype}")
    return x.to(dtype=kind)


@reads("LeakyRelu")
def _leaky(s: Step) -> Any:
    return ds.leaky_relu(s.inputs[0], s.attr("alpha", 0.01))


@reads("Elu")
def _elu(s: Step) -> Any:
    return ds.elu(s.inputs[0], s.attr("alpha", 1.0))


@reads("Celu")
def _celu(s: Step) -> Any:
    return ds.celu(s.inputs[0], s.attr("alpha", 1.0))


@reads("Softplus")
def _softplus(s: Step) -> Any:
    return ds.softplus(s.inputs[0], 1.0, 1e9)


@reads("Gelu")
def _gelu(s: Step) -> Any:
    return ds.gelu(s.inputs[0], approximate=s.attr("approximate", "none"))


READ["Softmax"] = lambda s: _along(s, ds.softmax)
READ["LogSoftmax"] = lambda s: _along(s, ds.log_softmax)


@reads("Hardmax")
def _hardmax(s: Step) -> Any:
    def hard(x: Any, dim: int) -> Any:
        return plain((np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
                      == np.expand_dims(x.array.argmax(dim), dim)).astype(x.dtype))  # fmt: skip

    return _along(s, hard)


def _along(s: Step, function: Any) -> Any:
    x = s.inputs[0]
    if s.opset >= 13:
        return function(x, int(s.attr("axis", -1)))
    axis = int(s.attr("axis", 1)) % max(x.ndim, 1)
    lead = int(np.prod(x.shape[:axis]))
    return function(x.reshape(lead, -1), 1).reshape(*x.shape)


# --- reductions and order ---


def _reduced(function: Any) -> Reader:
    def read(s: Step) -> Any:
        x, keep = s.inputs[0], bool(s.attr("keepdims", 1))
        axes = s.ints(1, "axes")
        if not axes:
            if s.attr("noop_with_empty_axes", 0):
                return [function(x.unsqueeze(0), (0,), False)]
            axes = list(range(x.ndim))
        dims = tuple(a % max(x.ndim, 1) for a in axes)
        return [function(x, dims, keep) if dims else function(x.unsqueeze(0), (0,), False)]

    return read


def _over(function: Any) -> Any:
    """A reduction that an empty extent does not stop."""
    return lambda x, dims, keep: function(x, dims, keep)


def _kept_kind(function: Any) -> Any:
    return lambda x, dims, keep: function(x, dims, keep).to(dtype=x.dtype)


def _product(x: Any, dims: Any, keep: bool) -> Any:
    for dim in sorted(dims, reverse=True):
        x = ds.prod(x, dim, keep)
    return x


def _extreme(name: str) -> Any:
    def reduce(x: Any, dims: Any, keep: bool) -> Any:
        if x.dtype.kind == "b" or not x.array.size:
            least = -np.inf if name == "max" else np.inf
            if x.dtype.kind == "b":
                return plain((np.any if name == "max" else np.all)(x.array, axis=dims, keepdims=keep))
            start = (
                least
                if x.dtype.kind == "f"
                else getattr(np.iinfo(x.dtype), "min" if name == "max" else "max")
            )
            return plain(getattr(np, name)(x.array, axis=dims, keepdims=keep, initial=start))
        return (ds.amax if name == "max" else ds.amin)(x, dims, keep)

    return reduce


def _log_sum_exp(x: Any, dims: Any, keep: bool) -> Any:
    if not x.array.size:
        return ds.log(ds.sum(ds.exp(x), dims, keep))
    return ds.logsumexp(x, dims, keep)


READ["ReduceSum"] = _reduced(_kept_kind(ds.sum))
READ["ReduceMean"] = _reduced(_over(ds.mean))
READ["ReduceProd"] = _reduced(_kept_kind(_product))
READ["ReduceMax"], READ["ReduceMin"] = _reduced(_extreme("max")), _reduced(_extreme("min"))
READ["ReduceL1"] = _reduced(_kept_kind(lambda x, d, k: ds.sum(ds.abs(x), d, k)))
READ["ReduceL2"] = _reduced(lambda x, d, k: ds.sqrt(ds.sum(x * x, d, k)))
READ["ReduceSumSquare"] = _reduced(_kept_kind(lambda x, d, k: ds.sum(x * x, d, k)))
READ["ReduceLogSum"] = _reduced(lambda x, d, k: ds.log(ds.sum(x, d, k)))
READ["ReduceLogSumExp"] = _reduced(_log_sum_exp)


def _arg_of(name: str) -> Reader:
    def read(s: Step) -> Any:
        x, axis, keep = s.inputs[0], int(s.attr("axis", 0)), bool(s.attr("keepdims", 1))
        if s.attr("select_last_index", 0):
            flipped = getattr(np, name)(np.flip(x.array, axis), axis=axis)
            found = x.shape[axis] - 1 - flipped
            return plain(np.expand_dims(found, axis) if keep else found)
        return getattr(ds, name)(x, axis, keep)

    return read


READ["ArgMax"], READ["ArgMin"] = _arg_of("argmax"), _arg_of("argmin")


@reads("TopK")
def _topk(s: Step) -> Any:
    x, axis = s.inputs[0], int(s.attr("axis", -1))
    (k,) = s.ints(1, "k") or [1]
    order = np.argsort(
        -x.array.astype(np.float64) if s.attr("largest", 1) else x.array, axis=axis, kind="stable"
    )
    index = plain(np.take(order, np.arange(k), axis=axis))
    return [ds.gather(x, axis, index), index]


@reads("CumSum")
def _cumsum(s: Step) -> Any:
    x, (axis,) = s.inputs[0], s.ints(1) or [0]
    if s.attr("reverse", 0):
        x = ds.flip(x, (axis,))
    out = ds.cumsum(x, axis).to(dtype=x.dtype)
    if s.attr("exclusive", 0):
        out = out - x
    return ds.flip(out, (axis,)) if s.attr("reverse", 0) else [out]


@reads("NonZero")
def _nonzero(s: Step) -> Any:
    return plain(np.array(np.nonzero(s.inputs[0].array), np.int64).reshape(max(s.inputs[0].ndim, 0), -1))


# --- values ---


@reads("Constant")
def _constant(s: Step) -> Any:
    for name, value in s.attributes.items():
        if name == "value":
            return plain(numpy_helper.to_array(value))
        if name in ("value_float", "value_floats"):
            return plain(np.asarray(value, np.float32))
        if name in ("value_int", "value_ints"):
            return plain(np.asarray(value, np.int64))
    raise Unreadable("a constant that is text or sparse")


@reads("ConstantOfShape")
def _filled(s: Step) -> Any:
    value = (
        numpy_helper.to_array(s.attributes["value"]) if "value" in s.attributes else np.zeros(1, np.float32)
    )
    return plain(np.full(s.ints(0) or [], value.flat[0], value.dtype))


@reads("Range")
def _range(s: Step) -> Any:
    start, stop, step = (x.array.item() for x in s.inputs)
    return plain(np.arange(start, stop, step).astype(s.inputs[0].dtype))


@reads("Shape")
def _shape(s: Step) -> Any:
    shape = s.inputs[0].shape
    return plain(np.asarray(shape[s.attr("start", 0) : s.attr("end", len(shape))], np.int64))


@reads("Size")
def _size(s: Step) -> Any:
    return plain(np.asarray(s.inputs[0].array.size, np.int64))


@reads("EyeLike")
def _eye(s: Step) -> Any:
    x = s.inputs[0]
    kind: Any = kind_of(s.attributes["dtype"]) if "dtype" in s.attributes else x.dtype
    rows, columns = x.shape
    return plain(np.eye(rows, columns, k=s.attr("k", 0), dtype=kind))


# --- sequences ---


@reads("SequenceConstruct")
def _sequence(s: Step) -> Any:
    return Sequence(s.inputs)


@reads("SequenceEmpty")
def _empty(s: Step) -> Any:
    return Sequence()


def _insert(s: Step) -> Any:
    made = Sequence(s.inputs[0])
    at = s.get(2)
    made.insert(len(made) if at is None else _place(at, len(made) + 1), s.inputs[1])
    return made


def _erase(s: Step) -> Any:
    made, at = Sequence(s.inputs[0]), s.get(1)
    del made[-1 if at is None else int(at.array.item())]
    return made


def _place(at: Any, count: int) -> int:
    number = int(at.array.item())
    return number if number >= 0 else number + count - 1


READ["SequenceInsert"], READ["SequenceErase"] = _insert, _erase
READ["SequenceAt"] = lambda s: s.inputs[0][int(s.inputs[1].array.item())]
READ["SequenceLength"] = lambda s: plain(np.asarray(len(s.inputs[0]), np.int64))
READ["ConcatFromSequence"] = lambda s: (ds.stack if s.attr("new_axis", 0) else ds.cat)(
    s.inputs[0], s.attributes["axis"]
)
READ["OptionalHasElement"] = lambda s: plain(np.asarray(s.get(0) is not None))
READ["OptionalGetElement"] = READ["Optional"] = lambda s: [s.inputs[0]]


@reads("SplitToSequence")
def _split_to(s: Step) -> Any:
    x, given, axis = s.inputs[0], s.get(1), int(s.attr("axis", 0))
    n = x.shape[axis]
    if given is None:
        parts = ds.split(x, 1, axis)
        return Sequence(parts if s.attr("keepdims", 1) else [p.squeeze(axis) for p in parts])
    sizes = [int(v) for v in given.array] if given.ndim else int(given.array)
    return Sequence(ds.split(x, sizes, axis) if n else [])


# --- control flow ---


def _run(s: Step, graph: Any, given: list[Any]) -> list[Any]:
    env = dict(s.env)
    env.update({i.name: value for i, value in zip(graph.input, given, strict=False)})
    return list(s.module.run_graph(graph, env))


@reads("If")
def _if(s: Step) -> Any:
    if bool(s.inputs[0].array.item()):
        return _run(s, s.attributes["then_branch"], [])
    return _run(s, s.attributes["else_branch"], [])


@reads("Loop")
def _loop(s: Step) -> Any:
    limit, condition, *carried = s.inputs
    body = s.attributes["body"]
    going = True if condition is None else bool(condition.array.item())
    count = len(carried)
    scanned: list[Any] = [[] for _ in range(len(body.output) - 1 - count)]
    turn = 0
    while going and (limit is None or turn < int(limit.array.item())):
        out = _run(s, body, [plain(np.asarray(turn, np.int64)), plain(np.asarray(going)), *carried])
        going, carried = bool(out[0].array.item()), out[1 : 1 + count]
        for kept, value in zip(scanned, out[1 + count :], strict=True):
            kept.append(value)
        turn += 1
    return [*carried, *(ds.stack(kept) for kept in scanned)]


@reads("Scan")
def _scan(s: Step) -> Any:
    if s.opset < 9:
        raise Unreadable("Scan of opset 8 is not the Scan of later ones")
    body, count = s.attributes["body"], s.attributes["num_scan_inputs"]
    states, sequences = s.inputs[: len(s.inputs) - count], s.inputs[len(s.inputs) - count :]
    axes = s.attr("scan_input_axes") or [0] * count
    backwards = s.attr("scan_input_directions") or [0] * count
    length = sequences[0].shape[axes[0]]
    scanned: list[Any] = [[] for _ in range(len(body.output) - len(states))]
    for t in range(length):
        parts = [
            ds.select(x, axis, length - 1 - t if back else t)
            for x, axis, back in zip(sequences, axes, backwards, strict=True)
        ]
        out = _run(s, body, [*states, *parts])
        states = out[: len(states)]
        for kept, value in zip(scanned, out[len(states) :], strict=True):
            kept.append(value)
    out_axes = s.attr("scan_output_axes") or [0] * len(scanned)
    out_back = s.attr("scan_output_directions") or [0] * len(scanned)
    return [
        *states,
        *(
            ds.stack(k[::-1] if back else k, axis)
            for k, axis, back in zip(scanned, out_axes, out_back, strict=True)
        ),
    ]


from engine.onnx import read_ml, read_network, read_shape  # noqa: E402, F401 - they fill the table
