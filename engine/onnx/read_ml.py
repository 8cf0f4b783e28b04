"""The ops of the domain ai.onnx.ml that linear models and networks of scikit-learn are exported with."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read import Step, Unreadable, plain, reads
from engine.tensor import Tensor


def _row(values: Any) -> Tensor:
    return plain(np.asarray(values, np.float32))


@reads("ai.onnx.ml.Scaler")
def _scaler(s: Step) -> Any:
    return (s.inputs[0].to(dtype="float32") - _row(s.attributes["offset"])) * _row(s.attributes["scale"])


@reads("ai.onnx.ml.ArrayFeatureExtractor")
def _features(s: Step) -> Any:
    x, index = s.inputs
    return ds.index_select(x if x.ndim > 1 else x.reshape(1, -1), -1, plain(index.array.reshape(-1)))


@reads("ai.onnx.ml.Binarizer")
def _binarizer(s: Step) -> Any:
    return (s.inputs[0] > s.attr("threshold", 0.0)).to(dtype=s.inputs[0].dtype)


@reads("ai.onnx.ml.Normalizer")
def _normalizer(s: Step) -> Any:
    x, norm = s.inputs[0], s.attr("norm", "MAX")
    size = {
        "MAX": lambda: ds.amax(ds.abs(x), -1, True),
        "L1": lambda: ds.sum(ds.abs(x), -1, True),
        "L2": lambda: ds.sqrt(ds.sum(x * x, -1, True)),
    }[norm]()
    return x / size


def _scored(s: Step) -> Any:
    coefficients = np.asarray(s.attributes["coefficients"], np.float32)
    rows = coefficients.reshape(-1, s.inputs[0].shape[-1])
    shift = s.attributes.get("intercepts")
    return ds.linear(s.inputs[0].to(dtype="float32"), plain(rows), _row(shift) if shift else None)


def _after(s: Step, scores: Any) -> Any:
    how = s.attr("post_transform", "NONE")
    if how == "NONE":
        return scores
    if how in ("SOFTMAX", "LOGISTIC"):
        return ds.softmax(scores, -1) if how == "SOFTMAX" else ds.sigmoid(scores)
    raise Unreadable(f"the transformation {how}")


@reads("ai.onnx.ml.LinearRegressor")
def _regressor(s: Step) -> Any:
    return _after(s, _scored(s))


@reads("ai.onnx.ml.LinearClassifier")
def _classifier(s: Step) -> Any:
    labels = s.attributes.get("classlabels_ints")
    if not labels:
        raise Unreadable("classes that are named by text")
    scores = _after(s, _scored(s))
    if scores.shape[-1] == 1:
        scores = ds.cat(
            [1 - scores if s.attr("post_transform", "NONE") == "LOGISTIC" else -scores, scores], -1
        )
    return [plain(np.asarray(labels, np.int64)[scores.array.argmax(-1)]), scores]
