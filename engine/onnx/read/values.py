"""ONNX's constants, and what is made of shapes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from engine.onnx.read.step import Step, Unreadable, kind_of, plain, reads
from engine.onnx.read.text import texts


def dense(sparse: Any) -> Any:
    """A sparse tensor as an array of all its elements."""
    values, index = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    made = np.zeros(int(np.prod(sparse.dims)), values.dtype)
    made[np.ravel_multi_index(tuple(index.T), tuple(sparse.dims)) if index.ndim == 2 else index] = values
    return made.reshape(tuple(sparse.dims))


@reads("Constant")
def _constant(s: Step) -> Any:
    for name, value in s.attributes.items():
        if name == "value":
            return plain(_read(value))
        if name in ("value_float", "value_floats"):
            return plain(np.asarray(value, np.float32))
        if name in ("value_int", "value_ints"):
            return plain(np.asarray(value, np.int64))
        if name == "sparse_value":
            return plain(dense(value))
        if name == "value_string":
            return plain(texts([value], ()))
        if name == "value_strings":
            return plain(texts(value))
    raise Unreadable("a constant without a value")


def _read(tensor: Any) -> Any:
    array = numpy_helper.to_array(tensor)
    return texts(array.reshape(-1), array.shape) if array.dtype.kind in "OUS" else array


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
