"""How ONNX's reductions and orders are done with the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import READ, Reader, Step, plain, reads


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
