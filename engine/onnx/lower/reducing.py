"""Reductions, orders and losses, as ONNX has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.lower.table import axes_of, axis_of, lowers, one_of
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call

REDUCE = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


@lowers(*REDUCE)
def _reduce(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    if kind == np.bool_:
        x = w.cast(x, "int64")
    return w.add(REDUCE[call.op], [x, *axes_of(w, call.kwargs["dim"])], keepdims=int(call.kwargs["keepdim"]))


@lowers("var")
def _var(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    shape, dim = w.shape_of(call.args[0]), call.kwargs["dim"]
    dims = range(len(shape)) if dim is None else dim if isinstance(dim, (tuple, list)) else [dim]
    axes = axes_of(w, dim)
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
    x, _ = one_of(w, call)
    dim, keep = int(call.kwargs["dim"]), int(call.kwargs["keepdim"])
    name = "Max" if call.op == "max" else "Min"
    return [
        w.add(f"Reduce{name}", [x, w.ints([dim])], keepdims=keep),
        w.add(f"Arg{name}", [x], axis=dim, keepdims=keep),
    ]


@lowers("argmax", "argmin")
def _arg(w: Writer, call: Call) -> Any:
    x, _ = one_of(w, call)
    dim = call.kwargs["dim"]
    name = "ArgMax" if call.op == "argmax" else "ArgMin"
    if dim is None:
        flat = w.add("Reshape", [x, w.ints([-1])])
        return w.add(name, [flat], axis=0, keepdims=0)
    return w.add(name, [x], axis=int(dim), keepdims=int(call.kwargs["keepdim"]))


@lowers("topk", "sort", "argsort")
def _topk(w: Writer, call: Call) -> Any:
    x, _ = one_of(w, call)
    if not w.shape_of(call.args[0]):
        raise Unsupported("a number alone has no order")
    k, dim = call.kwargs, int(call.kwargs["dim"])
    if call.op == "topk":
        count, largest = w.ints([k["k"]]), int(k["largest"])
    else:
        at = axis_of(w, call, dim)
        count, largest = w.add("Shape", [x], start=at, end=at + 1), int(k["descending"])
    made = w.add("TopK", [x, count], outputs=2, axis=dim, largest=largest, sorted=1)
    return made[1] if call.op == "argsort" else made


@lowers("kthvalue")
def _kth(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    k, dim = call.kwargs["k"], int(call.kwargs["dim"])
    if not w.shape_of(call.args[0]):
        raise Unsupported("a number alone has no order")
    if k > 0:
        made = w.add("TopK", [x, w.ints([k])], outputs=2, axis=dim, largest=0, sorted=1)
        return [w.add("Gather", [part, w.ints([k - 1])], axis=dim) for part in made]
    # The middle. ONNX has no order of NaN, so these count as infinite, and are seen to afterwards.
    at = axis_of(w, call, dim)
    size, two = w.add("Shape", [x], start=at, end=at + 1), w.ints([2])
    hole = None if kind.kind != "f" else w.add("IsNaN", [x])
    plain = x if hole is None else w.add("Where", [hole, w.constant(np.inf, kind), x])
    values, places = w.add("TopK", [plain, size], outputs=2, axis=dim, largest=0, sorted=1)
    last = w.add("Sub", [size, w.ints([1])])
    if hole is None:
        middle = w.add("Div", [last, two])
        return [w.add("Gather", [part, middle], axis=dim) for part in (values, places)]
    holes = w.add("ReduceSum", [w.cast(hole, "int64"), w.ints([dim])], keepdims=1)
    skipped = holes if k == -2 else w.add("Mul", [holes, w.ints([0])])
    rank = w.add("Div", [w.add("Max", [w.add("Sub", [last, skipped]), w.ints([0])]), two])
    value, place = (w.add("GatherElements", [part, rank], axis=dim) for part in (values, places))
    bad = w.add("Equal", [holes, size]) if k == -2 else w.add("Greater", [holes, w.ints([0])])
    first = w.add("ArgMax", [w.cast(hole, "int32")], axis=dim, keepdims=1)
    return [
        w.add("Where", [bad, w.constant(np.nan, kind), value]),
        w.add("Where", [bad, first, place]),
    ]


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


@lowers("searchsorted")
def _search(w: Writer, call: Call) -> Any:
    line, x = call.args
    if len(w.shape_of(line)) != 1:
        raise Unsupported("it searches in one vector only")
    a, b = w.same([line, x])
    below = w.add(
        "LessOrEqual" if call.kwargs["right"] else "Less", [a, w.add("Unsqueeze", [b, w.ints([-1])])]
    )
    return w.add("ReduceSum", [w.cast(below, "int64"), w.ints([-1])], keepdims=0)


@lowers("isin")
def _isin(w: Writer, call: Call) -> Any:
    a, b = w.same(call.args)
    alike = w.add("Equal", [w.add("Unsqueeze", [a, w.ints([-1])]), w.add("Reshape", [b, w.ints([-1])])])
    return w.cast(w.add("ReduceMax", [w.cast(alike, "int32"), w.ints([-1])], keepdims=0), "bool")


@lowers("norm")
def _norm(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    return _length(w, x, kind, call.kwargs["p"], axes_of(w, call.kwargs["dim"]), int(call.kwargs["keepdim"]))


@lowers("cdist")
def _cdist(w: Writer, call: Call) -> Any:
    a, b = w.same(call.args)
    apart = w.add("Sub", [w.add("Unsqueeze", [a, w.ints([-2])]), w.add("Unsqueeze", [b, w.ints([-3])])])
    return _length(w, apart, w.kind_of(call.args[0]), call.kwargs["p"], [w.ints([-1])], 0)


@lowers("pdist")
def _pdist(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    above = np.triu_indices(w.shape_of(call.args[0])[0], 1)
    a, b = (w.add("Gather", [x, w.ints(rows.tolist())], axis=0) for rows in above)
    return _length(w, w.add("Sub", [a, b]), kind, call.kwargs["p"], [w.ints([-1])], 0)


def _length(w: Writer, x: Any, kind: Any, p: float, axes: list[Any], keep: int) -> Any:
    if p in (1, 2):
        return w.add(f"ReduceL{int(p)}", [x, *axes], keepdims=keep)
    size = w.add("Abs", [x])
    if np.isinf(p):
        return w.add("ReduceMax" if p > 0 else "ReduceMin", [size, *axes], keepdims=keep)
    if not p:
        return w.add(
            "ReduceSum", [w.cast(w.add("Greater", [size, w.constant(0, kind)]), kind), *axes], keepdims=keep
        )
    total = w.add("ReduceSum", [w.add("Pow", [size, w.constant(p, kind)]), *axes], keepdims=keep)
    return w.add("Pow", [total, w.constant(1 / p, kind)])


@lowers("any", "all")
def _truth(w: Writer, call: Call) -> Any:
    number = w.cast(w.cast(w.arg(call.args[0]), "bool"), "int32")
    name = "ReduceMax" if call.op == "any" else "ReduceMin"
    made = w.add(name, [number, *axes_of(w, call.kwargs["dim"])], keepdims=int(call.kwargs["keepdim"]))
    return w.cast(made, "bool")
