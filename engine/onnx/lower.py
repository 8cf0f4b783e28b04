"""How each op is written in ONNX. An op whose record names an ONNX op that does the same needs no entry here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.onnx.symbol import Size
from engine.onnx.writer import KINDS, Unsupported, Writer
from engine.op import OPS
from engine.program import Call, Ref

Lowering = Callable[[Writer, Call], Any]
LOWER: dict[str, Lowering] = {}

# Elementwise ops whose record names the ONNX op that does exactly the same.
DIRECT = frozenset(
    [
        "abs",
        "neg",
        "exp",
        "log",
        "sqrt",
        "root",
        "relu",
        "tanh",
        "sigmoid",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
        "erf",
        "floor",
        "ceil",
        "sign",
        "reciprocal",
        "isnan",
        "isinf",
        "clone",
        "add",
        "sub",
        "mul",
        "maximum",
        "minimum",
        "eq",
        "lt",
        "le",
        "gt",
        "ge",
        "where",
        "matmul",
    ]
)


def lower(w: Writer, call: Call) -> Any:
    """Write `call`; gives the names of its results. Raises `Unsupported` with the reason."""
    made = LOWER.get(call.op)
    if made is not None:
        return made(w, call)
    record = OPS.get(call.op)
    if record is None or not record.onnx or not (call.op in DIRECT or record.custom):
        raise Unsupported("it has no ONNX form")
    if record.custom:
        return w.add(record.onnx, [w.arg(a, np.float32) for a in call.args])
    if call.op == "where":
        condition, *values = call.args
        return w.add("Where", [w.arg(condition), *w.same(values)])
    if len(call.args) == 1:
        return w.add(record.onnx, [w.arg(call.args[0])])
    return w.add(record.onnx, w.same(call.args))


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """The decorated function writes these ops."""

    def register(function: Lowering) -> Lowering:
        for name in names:
            LOWER[name] = function
        return function

    return register


def _one(w: Writer, call: Call) -> tuple[str, Any]:
    return w.arg(call.args[0]), w.kind_of(call.args[0])


def _axis(w: Writer, call: Call, dim: int) -> int:
    return dim % max(len(w.shape_of(call.args[0])), 1)


# --- element by element ---


@lowers("square", "rsqrt", "exp2", "expm1", "log1p", "log2", "log10", "silu", "trunc", "isfinite")
def _unary(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)

    def number(value: float) -> str:
        return w.constant(value, kind)

    match call.op:
        case "square":
            return w.add("Mul", [x, x])
        case "rsqrt":
            return w.add("Reciprocal", [w.add("Sqrt", [x])])
        case "exp2":
            return w.add("Exp", [w.add("Mul", [x, number(np.log(2.0))])])
        case "expm1":
            return w.add("Sub", [w.add("Exp", [x]), number(1)])
        case "log1p":
            return w.add("Log", [w.add("Add", [x, number(1)])])
        case "log2" | "log10":
            return w.add("Div", [w.add("Log", [x]), number(np.log(2.0 if call.op == "log2" else 10.0))])
        case "silu":
            return w.add("Mul", [x, w.add("Sigmoid", [x])])
        case "trunc":
            return w.add("Mul", [w.add("Sign", [x]), w.add("Floor", [w.add("Abs", [x])])])
    infinite = w.add("Or", [w.add("IsNaN", [x]), w.add("IsInf", [x])])
    return w.add("Not", [infinite])


@lowers("div", "pow", "floor_divide", "remainder", "ne", "masked_fill")
def _binary(w: Writer, call: Call) -> Any:
    if call.op == "masked_fill":
        x, mask = call.args
        return w.add("Where", [w.arg(mask), w.constant(call.kwargs["value"], w.kind_of(x)), w.arg(x)])
    met = w.met(call.args)
    if call.op == "div" and met.kind != "f":
        met = np.dtype("float64")
    a, b = w.same(call.args, met)
    if call.op == "ne":
        return w.add("Not", [w.add("Equal", [a, b])])
    if call.op == "floor_divide":
        if met.kind != "f":
            raise Unsupported("whole numbers are rounded towards 0 by ONNX's Div")
        return w.add("Floor", [w.add("Div", [a, b])])
    if call.op == "remainder":
        if met.kind != "f":
            return w.add("Mod", [a, b])
        return w.add("Sub", [a, w.add("Mul", [w.add("Floor", [w.add("Div", [a, b])]), b])])
    return w.add("Div" if call.op == "div" else "Pow", [a, b])


@lowers("logical_and", "logical_or", "logical_xor", "logical_not")
def _logical(w: Writer, call: Call) -> Any:
    names = [w.arg(a) if w.kind_of(a) == np.bool_ else w.cast(w.arg(a), "bool") for a in call.args]
    return w.add(call.op.removeprefix("logical_").capitalize(), names)


@lowers("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
def _bitwise(w: Writer, call: Call) -> Any:
    name = call.op.removeprefix("bitwise_").capitalize()
    names = w.same(call.args)
    return w.add(name if w.met(call.args) == np.bool_ else f"Bitwise{name}", names)


@lowers("any", "all")
def _truth(w: Writer, call: Call) -> Any:
    number = w.cast(w.cast(w.arg(call.args[0]), "bool"), "int32")
    name = "ReduceMax" if call.op == "any" else "ReduceMin"
    made = w.add(name, [number, *_axes(w, call.kwargs["dim"])], keepdims=int(call.kwargs["keepdim"]))
    return w.cast(made, "bool")


@lowers("round")
def _round(w: Writer, call: Call) -> Any:
    if call.kwargs["decimals"]:
        raise Unsupported("it rounds to whole numbers only")
    return w.add("Round", [w.arg(call.args[0])])


@lowers("clamp")
def _clamp(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    low, high = (call.kwargs[name] for name in ("min", "max"))
    return w.add(
        "Clip",
        [x, "" if low is None else w.constant(low, kind), "" if high is None else w.constant(high, kind)],
    )


@lowers("cast")
def _cast(w: Writer, call: Call) -> Any:
    return w.cast(w.arg(call.args[0]), call.kwargs["dtype"])


@lowers("gelu", "elu", "leaky_relu", "softplus", "softmax", "log_softmax")
def _activation(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    k = call.kwargs
    match call.op:
        case "gelu":
            return w.add("Gelu", [x], approximate=k["approximate"])
        case "elu":
            return w.add("Elu", [x], alpha=float(k["alpha"]))
        case "leaky_relu":
            return w.add("LeakyRelu", [x], alpha=float(k["negative_slope"]))
        case "softplus":
            beta = w.constant(k["beta"], kind)
            scaled = w.add("Mul", [x, beta])
            soft = w.add("Div", [w.add("Softplus", [scaled]), beta])
            return w.add("Where", [w.add("Greater", [scaled, w.constant(k["threshold"], kind)]), x, soft])
    return w.add("Softmax" if call.op == "softmax" else "LogSoftmax", [x], axis=int(k["dim"]))


# --- products ---


@lowers("linear")
def _linear(w: Writer, call: Call) -> Any:
    x, weight, bias = call.args
    a, b = w.same([x, weight])
    if bias is not None and len(w.shape_of(x)) == 2:
        return w.add("Gemm", [a, b, w.arg(bias)], transB=1)
    made = w.add("MatMul", [a, w.add("Transpose", [b], perm=[1, 0])])
    return made if bias is None else w.add("Add", [made, w.arg(bias)])


@lowers("einsum")
def _einsum(w: Writer, call: Call) -> Any:
    return w.add("Einsum", w.same(call.args), equation=call.kwargs["equation"])


@lowers("embedding")
def _embedding(w: Writer, call: Call) -> Any:
    weight, ids = call.args
    return w.add("Gather", [w.arg(weight), w.arg(ids)], axis=0)


def _batched(w: Writer, call: Call, n: int) -> None:
    if len(w.shape_of(call.args[0])) != n + 2:
        raise Unsupported("ONNX wants a batch dimension here")


def _each(value: Any, count: int) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)] * count


@lowers("conv1d", "conv2d", "conv3d")
def _conv(w: Writer, call: Call) -> Any:
    k, n = call.kwargs, int(call.op[4])
    _batched(w, call, n)
    padding = k["padding"]
    if padding == "same":
        pads, auto = None, "SAME_UPPER"
    else:
        pads = [0] * (2 * n) if padding == "valid" else [*_each(padding, n), *_each(padding, n)]
        auto = None
    inputs = [w.arg(a) for a in call.args if a is not None]
    return w.add(
        "Conv", inputs, strides=_each(k["stride"], n), dilations=_each(k["dilation"], n), group=int(k["groups"]),
        pads=pads, auto_pad=auto,
    )  # fmt: skip


@lowers("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(w: Writer, call: Call) -> Any:
    k, n = call.kwargs, int(call.op.removesuffix("_with_indices")[-2])
    _batched(w, call, n)
    pads = _each(k["padding"], n)
    return w.add(
        "ConvTranspose", [w.arg(a) for a in call.args if a is not None], strides=_each(k["stride"], n),
        dilations=_each(k["dilation"], n), group=int(k["groups"]), pads=[*pads, *pads],
        output_padding=_each(k["output_padding"], n),
    )  # fmt: skip


@lowers("scaled_dot_product_attention")
def _attention(w: Writer, call: Call) -> Any:
    query, key, value, mask = call.args
    k = call.kwargs
    if k["dropout_p"]:
        raise Unsupported("it drops weights at random; export in evaluation mode")
    kind = w.kind_of(query)
    scaled = w.add("Mul", [w.arg(query), w.constant(k["scale"], kind)])
    rank = len(w.shape_of(key))
    perm = [*range(rank - 2), rank - 1, rank - 2]
    scores = w.add("MatMul", [scaled, w.add("Transpose", [w.arg(key)], perm=perm)])
    lowest = w.constant(-np.inf, kind)
    if mask is not None:
        if w.kind_of(mask) == np.bool_:
            scores = w.add("Where", [w.arg(mask), scores, lowest])
        else:
            scores = w.add("Add", [scores, w.arg(mask)])
    if k["is_causal"]:
        rows = w.add("Shape", [scores], start=-2)
        ones = w.add("Expand", [w.constant(np.ones((1, 1), np.float32)), rows])
        lower = w.cast(w.add("Trilu", [ones], upper=0), "bool")
        scores = w.add("Where", [lower, scores, lowest])
    return w.add("MatMul", [w.add("Softmax", [scores], axis=-1), w.arg(value)])


# --- pooling and normalisation ---


@lowers(*[f"max_pool{n}d_with_indices" for n in (1, 2, 3)])
@lowers("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
def _pool(w: Writer, call: Call) -> Any:
    k, n = call.kwargs, int(call.op.removesuffix("_with_indices")[-2])
    _batched(w, call, n)
    pads = _each(k["padding"], n)
    kernel = _each(k["kernel_size"], n)
    more: dict[str, Any] = {}
    if call.op.startswith("avg"):
        if k["divisor_override"]:
            raise Unsupported("AveragePool has no divisor of its own")
        more["count_include_pad"] = int(k["count_include_pad"])
    else:
        more["dilations"] = _each(k["dilation"], n)
    both = call.op.endswith("_with_indices")
    made = w.add(
        "AveragePool" if call.op.startswith("avg") else "MaxPool", [w.arg(call.args[0])], 2 if both else 1,
        kernel_shape=kernel, strides=kernel if k["stride"] in (None, ()) else _each(k["stride"], n),
        pads=[*pads, *pads], ceil_mode=int(k["ceil_mode"]), **more,
    )  # fmt: skip
    if not both:
        return made
    # ONNX counts through the whole tensor, PyTorch within each plane.
    plane = w.add("ReduceProd", [w.add("Shape", [w.arg(call.args[0])], start=2)], keepdims=0)
    return [made[0], w.add("Mod", [made[1], plane])]


@lowers(*[f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)])
def _adaptive(w: Writer, call: Call) -> Any:
    average, n = "avg" in call.op, int(call.op[-2])
    _batched(w, call, n)
    sizes = w.shape_of(call.args[0])[-n:]
    wanted = [s if t is None else t for s, t in zip(sizes, call.kwargs["output_size"], strict=True)]
    x = w.arg(call.args[0])
    if all(size == 1 for size in wanted):
        return w.add("GlobalAveragePool" if average else "GlobalMaxPool", [x])
    if any(isinstance(t, Size) or s % t for s, t in zip(sizes, wanted, strict=True)):
        raise Unsupported(f"its windows differ in size ({list(sizes)} to {wanted})")
    w.fixed(call.args[0], *range(2, 2 + n))
    kernel = [s // t for s, t in zip(sizes, wanted, strict=True)]
    return w.add("AveragePool" if average else "MaxPool", [x], kernel_shape=kernel, strides=kernel)


def _or_constant(w: Writer, arg: Any, value: float, shape: tuple[int, ...], kind: Any) -> str:
    return w.arg(arg) if arg is not None else w.constant(np.full(shape, value), kind)


@lowers("batch_norm", "instance_norm", "group_norm")
def _norm(w: Writer, call: Call) -> Any:
    k = call.kwargs
    x, kind = _one(w, call)
    channels = (w.shape_of(call.args[0])[1],)
    w.fixed(call.args[0], 1)
    scale = _or_constant(w, call.args[-2], 1.0, channels, kind)
    shift = _or_constant(w, call.args[-1], 0.0, channels, kind)
    eps = float(k["eps"])
    if call.op == "group_norm":
        return w.add("GroupNormalization", [x, scale, shift], num_groups=int(k["num_groups"]), epsilon=eps)
    if call.op == "instance_norm":
        return w.add("InstanceNormalization", [x, scale, shift], epsilon=eps)
    if k["training"]:
        raise Unsupported("it uses the statistics of the batch; export in evaluation mode (model.eval())")
    return w.add(
        "BatchNormalization", [x, scale, shift, w.arg(call.args[1]), w.arg(call.args[2])], epsilon=eps
    )


@lowers("layer_norm")
def _layer_norm(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    shape = tuple(call.kwargs["normalized_shape"])
    scale = _or_constant(w, call.args[1], 1.0, shape, kind)
    inputs = [x, scale] if call.args[2] is None else [x, scale, w.arg(call.args[2])]
    return w.add("LayerNormalization", inputs, axis=-len(shape), epsilon=float(call.kwargs["eps"]))


@lowers("rms_norm")
def _rms_norm(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    axes = w.ints(list(range(-len(call.kwargs["normalized_shape"]), 0)))
    mean = w.add("ReduceMean", [w.add("Mul", [x, x]), axes], keepdims=1)
    made = w.add("Div", [x, w.add("Sqrt", [w.add("Add", [mean, w.constant(call.kwargs["eps"], kind)])])])
    return made if call.args[1] is None else w.add("Mul", [made, w.arg(call.args[1])])


# --- reductions and order ---

REDUCE = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


def _axes(w: Writer, dim: Any) -> list[str]:
    if dim is None:
        return []
    return [w.ints(list(dim) if isinstance(dim, (tuple, list)) else [dim])]


@lowers(*REDUCE)
def _reduce(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    if kind == np.bool_:
        x = w.cast(x, "int64")
    return w.add(REDUCE[call.op], [x, *_axes(w, call.kwargs["dim"])], keepdims=int(call.kwargs["keepdim"]))


@lowers("var")
def _var(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    shape, dim = w.shape_of(call.args[0]), call.kwargs["dim"]
    dims = range(len(shape)) if dim is None else dim if isinstance(dim, (tuple, list)) else [dim]
    axes = _axes(w, dim)
    away = w.add("Sub", [x, w.add("ReduceMean", [x, *axes], keepdims=1)])
    total = w.add("ReduceSum", [w.add("Mul", [away, away]), *axes], keepdims=int(call.kwargs["keepdim"]))
    count = w.add("Size", [x]) if dim is None else None
    if count is None:
        picked = w.add(
            "Gather", [w.add("Shape", [x]), w.constant(np.asarray([d % len(shape) for d in dims], np.int64))]
        )
        count = w.add("ReduceProd", [picked], keepdims=0)
    left = w.add("Sub", [count, w.constant(np.int64(call.kwargs["correction"]))])
    return w.add("Div", [total, w.cast(left, kind)])


@lowers("max", "min")
def _extreme(w: Writer, call: Call) -> Any:
    x, _ = _one(w, call)
    dim, keep = int(call.kwargs["dim"]), int(call.kwargs["keepdim"])
    name = "Max" if call.op == "max" else "Min"
    return [
        w.add(f"Reduce{name}", [x, w.ints([dim])], keepdims=keep),
        w.add(f"Arg{name}", [x], axis=dim, keepdims=keep),
    ]


@lowers("argmax", "argmin")
def _arg(w: Writer, call: Call) -> Any:
    x, _ = _one(w, call)
    dim = call.kwargs["dim"]
    name = "ArgMax" if call.op == "argmax" else "ArgMin"
    if dim is None:
        flat = w.add("Reshape", [x, w.ints([-1])])
        return w.add(name, [flat], axis=0, keepdims=0)
    return w.add(name, [x], axis=int(dim), keepdims=int(call.kwargs["keepdim"]))


@lowers("topk", "sort", "argsort")
def _topk(w: Writer, call: Call) -> Any:
    x, _ = _one(w, call)
    if not w.shape_of(call.args[0]):
        raise Unsupported("a number alone has no order")
    k, dim = call.kwargs, int(call.kwargs["dim"])
    if call.op == "topk":
        count, largest = w.ints([k["k"]]), int(k["largest"])
    else:
        at = _axis(w, call, dim)
        count, largest = w.add("Shape", [x], start=at, end=at + 1), int(k["descending"])
    made = w.add("TopK", [x, count], outputs=2, axis=dim, largest=largest, sorted=1)
    return made[1] if call.op == "argsort" else made


@lowers("cumsum")
def _cumsum(w: Writer, call: Call) -> Any:
    return w.add("CumSum", [w.arg(call.args[0]), w.constant(np.int64(call.kwargs["dim"]))])


@lowers("cross_entropy", "nll_loss")
def _loss(w: Writer, call: Call) -> Any:
    k = call.kwargs
    if len(w.shape_of(call.args[0])) < 2:
        raise Unsupported("ONNX wants a batch dimension here")
    if k.get("label_smoothing"):
        raise Unsupported("SoftmaxCrossEntropyLoss does not smooth labels")
    if w.kind_of(call.args[1]).kind == "f":
        raise Unsupported("SoftmaxCrossEntropyLoss takes class numbers, not probabilities")
    inputs = [w.arg(a) for a in call.args if a is not None]
    name = "SoftmaxCrossEntropyLoss" if call.op == "cross_entropy" else "NegativeLogLikelihoodLoss"
    return w.add(name, inputs, reduction=k["reduction"], ignore_index=int(k["ignore_index"]))


# --- shapes ---


@lowers("reshape", "expand")
def _reshape(w: Writer, call: Call) -> Any:
    shape = list(call.kwargs["shape"])
    if call.op == "reshape":
        return w.add("Reshape", [w.arg(call.args[0]), w.ints(shape)], allowzero=1 if 0 in shape else None)
    # To ONNX's Expand, 1 says what -1 says to us: as it is.
    return w.add("Expand", [w.arg(call.args[0]), w.ints([1 if size == -1 else size for size in shape])])


@lowers("permute", "transpose")
def _permute(w: Writer, call: Call) -> Any:
    rank = len(w.shape_of(call.args[0]))
    perm = list(range(rank))
    if call.op == "permute":
        perm = [d % rank for d in call.kwargs["dims"]]
    elif rank:
        a, b = call.kwargs["dim0"] % rank, call.kwargs["dim1"] % rank
        perm[a], perm[b] = perm[b], perm[a]
    return w.add("Transpose", [w.arg(call.args[0])], perm=perm)


@lowers("cat", "stack")
def _cat(w: Writer, call: Call) -> Any:
    names, dim = w.same(call.args), int(call.kwargs["dim"])
    if call.op == "stack":
        names = [w.add("Unsqueeze", [name, w.ints([dim])]) for name in names]
    return w.add("Concat", names, axis=dim)


@lowers("split", "unbind")
def _split(w: Writer, call: Call) -> Any:
    x, dim = w.arg(call.args[0]), int(call.kwargs["dim"])
    if call.op == "split":
        sizes = call.kwargs["sizes"]
        made = w.add("Split", [x, w.ints(sizes)], outputs=len(sizes), axis=dim)
        return [made] if isinstance(made, str) else made
    w.fixed(call.args[0], dim)
    count = w.shape_of(call.args[0])[dim]
    made = w.add("Split", [x], outputs=count, axis=dim, num_outputs=count)
    made = [made] if isinstance(made, str) else made
    return [w.add("Squeeze", [name, w.ints([dim])]) for name in made]


@lowers("pad")
def _pad(w: Writer, call: Call) -> Any:
    x, kind = _one(w, call)
    pads = call.kwargs["pad"]
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[
        call.kwargs["mode"]
    ]
    axes = list(range(-len(pads), 0))
    sizes = w.ints([*(before for before, _ in pads), *(after for _, after in pads)])
    rank = len(w.shape_of(call.args[0]))
    where = w.constant(np.asarray([a + rank for a in axes], np.int64))
    value = w.constant(call.kwargs["value"], kind) if mode == "constant" else ""
    return w.add("Pad", [x, sizes, value, where], mode=mode)


@lowers("flip")
def _flip(w: Writer, call: Call) -> Any:
    dims = [d % len(w.shape_of(call.args[0])) for d in call.kwargs["dims"]]
    least = np.iinfo(np.int64).min
    return w.add(
        "Slice", [w.arg(call.args[0]), w.ints([-1] * len(dims)), w.ints([least] * len(dims)), w.ints(dims), w.ints([-1] * len(dims))]
    )  # fmt: skip


@lowers("tril", "triu")
def _trilu(w: Writer, call: Call) -> Any:
    inputs = [w.arg(call.args[0]), w.constant(np.int64(call.kwargs["diagonal"]))]
    return w.add("Trilu", inputs, upper=int(call.op == "triu"))


@lowers("pixel_shuffle")
def _shuffle(w: Writer, call: Call) -> Any:
    return w.add(
        "DepthToSpace", [w.arg(call.args[0])], blocksize=int(call.kwargs["upscale_factor"]), mode="CRD"
    )


@lowers("pixel_unshuffle")
def _unshuffle(w: Writer, call: Call) -> Any:
    shape, r = w.shape_of(call.args[0]), int(call.kwargs["downscale_factor"])
    if len(shape) != 4:
        raise Unsupported("ONNX wants a batch dimension here")
    w.fixed(call.args[0], 1, 2, 3)
    _, c, high, wide = shape
    parts = w.add("Reshape", [w.arg(call.args[0]), w.ints([-1, c, high // r, r, wide // r, r])])
    turned = w.add("Transpose", [parts], perm=[0, 1, 3, 5, 2, 4])
    return w.add("Reshape", [turned, w.ints([-1, c * r * r, high // r, wide // r])])


@lowers("roll")
def _roll(w: Writer, call: Call) -> Any:
    dims = call.kwargs["dims"]
    if dims is None:
        raise Unsupported("it rolls through all dimensions at once; name dims")
    x, shape = w.arg(call.args[0]), w.shape_of(call.args[0])
    for shift, dim in zip(call.kwargs["shifts"], dims, strict=True):
        w.fixed(call.args[0], dim)
        at = -shift % shape[dim] if shape[dim] else 0
        far = np.iinfo(np.int64).max
        tail = w.add("Slice", [x, w.ints([at]), w.ints([far]), w.ints([dim])])
        head = w.add("Slice", [x, w.ints([0]), w.ints([at]), w.ints([dim])])
        x = w.add("Concat", [tail, head], axis=dim)
    return x


@lowers("repeat_interleave")
def _repeat(w: Writer, call: Call) -> Any:
    dim, repeats = int(call.kwargs["dim"]), call.kwargs["repeats"]
    w.fixed(call.args[0], dim)
    index = np.repeat(np.arange(w.shape_of(call.args[0])[dim]), np.asarray(repeats))
    return w.add("Gather", [w.arg(call.args[0]), w.constant(index, np.int64)], axis=dim)


@lowers("scatter", "scatter_add")
def _scatter(w: Writer, call: Call) -> Any:
    data, index, source = call.args
    if not isinstance(source, Ref) or w.shape_of(source) != w.shape_of(index):
        raise Unsupported("index and src have to be of one shape")
    a, b = w.same([data, source])
    return w.add(
        "ScatterElements", [a, w.arg(index), b], axis=int(call.kwargs["dim"]),
        reduction="add" if call.op == "scatter_add" else None,
    )  # fmt: skip


@lowers("gather")
def _gather(w: Writer, call: Call) -> Any:
    return w.add("GatherElements", [w.arg(a) for a in call.args], axis=int(call.kwargs["dim"]))


@lowers("interpolate")
def _interpolate(w: Writer, call: Call) -> Any:
    k = call.kwargs
    if k["mode"] not in ("nearest", "bilinear", "linear", "trilinear"):
        raise Unsupported(f"Resize has no mode {k['mode']!r} that does the same")
    nearest = k["mode"] == "nearest"
    x, shape = w.arg(call.args[0]), w.shape_of(call.args[0])
    n = len(shape) - 2
    coordinates = "asymmetric" if nearest else "align_corners" if k["align_corners"] else "half_pixel"
    inputs = [x, "", ""]
    if k["size"] is not None:
        lead = w.add("Shape", [x], start=0, end=2)
        inputs.append(w.add("Concat", [lead, w.ints(list(k["size"]))], axis=0))
    else:
        factor = k["scale_factor"]
        factors = list(factor) if isinstance(factor, (tuple, list)) else [factor] * n
        inputs[2] = w.constant(np.asarray([1.0, 1.0, *factors], np.float32))
    return w.add(
        "Resize", inputs, mode="nearest" if nearest else "linear", coordinate_transformation_mode=coordinates,
        nearest_mode="floor" if nearest else None,
    )  # fmt: skip


@lowers("getitem")
def _getitem(w: Writer, call: Call) -> Any:
    index = call.kwargs["index"]
    index = index if isinstance(index, tuple) else (index,)
    x, rank = w.arg(call.args[0]), len(w.shape_of(call.args[0]))
    used = sum(1 for part in index if part is not None and part is not Ellipsis)
    full: list[Any] = []
    for part in index:
        full += [slice(None)] * (rank - used) if part is Ellipsis else [part]
    dim = 0
    starts: list[tuple[int, Any]] = []
    picks: list[tuple[int, Any]] = []
    fresh: list[int] = []
    out = 0
    for part in full:
        if part is None:
            fresh.append(out)
            out += 1
            continue
        if isinstance(part, slice):
            if part != slice(None):
                starts.append((dim, part))
            out += 1
        elif isinstance(part, (int, np.integer, Size)) and not isinstance(part, bool):
            picks.append((dim, part))
        elif isinstance(part, np.ndarray) and part.dtype.kind in "iu":
            picks.append((dim, part))
            out += part.ndim
        else:
            raise Unsupported("an index that is a mask has no ONNX form here")
        dim += 1
    arrays = [part for _, part in picks if isinstance(part, np.ndarray) and part.ndim]
    if len(arrays) > 1 or (arrays and len(picks) > 1):
        raise Unsupported("several index arrays at once have no ONNX form here")
    if starts:
        far = np.iinfo(np.int64).max
        begin = [0 if p.start is None else p.start for _, p in starts]
        end = [far if p.stop is None else p.stop for _, p in starts]
        step = [1 if p.step is None else p.step for _, p in starts]
        x = w.add("Slice", [x, w.ints(begin), w.ints(end), w.ints([d for d, _ in starts]), w.ints(step)])
    for at, part in sorted(picks, key=lambda pick: -pick[0]):
        if isinstance(part, Size):
            place = w.add("Squeeze", [w.size(part), w.ints([0])])
        else:
            place = w.constant(np.asarray(part, np.int64))
        x = w.add("Gather", [x, place], axis=at)
    return w.add("Unsqueeze", [x, w.ints(fresh)]) if fresh else x


@lowers("rand", "randn")
def _random(w: Writer, call: Call) -> Any:
    name = "RandomUniform" if call.op == "rand" else "RandomNormal"
    if any(isinstance(size, Size) for size in call.kwargs["shape"]):
        raise Unsupported("random numbers of a size that depends on the input")
    shape = [int(n) for n in call.kwargs["shape"]]
    return w.add(name, [], shape=shape, dtype=KINDS[call.kwargs["dtype"]])
