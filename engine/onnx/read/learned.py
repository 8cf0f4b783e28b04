"""The ops of the domain ai.onnx.ml that what scikit-learn prepares data and separates classes with is exported as."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

import engine as ds
from engine.onnx.read.step import Sequence, Step, Unreadable, plain, reads
from engine.onnx.read.text import texts
from engine.tensor import Tensor


def _row(values: Any) -> Tensor:
    return plain(np.asarray(values, np.float32))


# --- what goes in ---


@reads("ai.onnx.ml.Scaler")
def _scaler(s: Step) -> Any:
    return (s.inputs[0].to(dtype="float32") - _row(s.attributes["offset"])) * _row(s.attributes["scale"])


@reads("ai.onnx.ml.ArrayFeatureExtractor")
def _features(s: Step) -> Any:
    x, index = s.inputs
    rows = x if x.ndim > 1 else x.reshape(1, -1)
    return ds.index_select(rows, -1, plain(index.array.reshape(-1).astype(np.int64)))


@reads("ai.onnx.ml.FeatureVectorizer")
def _vectorizer(s: Step) -> Any:
    rows = [x.reshape(x.shape[0], -1).to(dtype="float32") for x in s.inputs]
    sizes = s.attr("inputdimensions") or [x.shape[1] for x in rows]
    return [ds.cat([ds.narrow(x, 1, 0, n) for x, n in zip(rows, sizes, strict=True)], 1)]


@reads("ai.onnx.ml.Binarizer")
def _binarizer(s: Step) -> Any:
    return (s.inputs[0] > s.attr("threshold", 0.0)).to(dtype=s.inputs[0].dtype)


@reads("ai.onnx.ml.Normalizer")
def _normalizer(s: Step) -> Any:
    x, norm = s.inputs[0].to(dtype="float32"), s.attr("norm", "MAX")
    size = {
        "MAX": lambda: ds.amax(x, -1, True),
        "L1": lambda: ds.sum(ds.abs(x), -1, True),
        "L2": lambda: ds.sqrt(ds.sum(x * x, -1, True)),
    }[norm]()
    return x / ds.where(size == 0, ds.ones_like(size), size)


@reads("ai.onnx.ml.Imputer")
def _imputer(s: Step) -> Any:
    x = s.inputs[0]
    whole = "imputed_value_int64s" in s.attributes
    fill = np.asarray(s.attributes["imputed_value_int64s" if whole else "imputed_value_floats"], x.dtype)
    gone = s.attr("replaced_value_int64", 0) if whole else s.attr("replaced_value_float", 0.0)
    lost = np.isnan(x.array) if not whole and np.isnan(gone) else x.array == gone
    return ds.where(plain(lost), plain(np.broadcast_to(fill, x.shape).copy()), x)


@reads("ai.onnx.ml.OneHotEncoder")
def _one_hot(s: Step) -> Any:
    x, words = s.inputs[0].array, s.attributes.get("cats_strings")
    known = texts(words) if words else np.asarray(s.attributes["cats_int64s"])
    made = x[..., None] == known
    if not s.attr("zeros", 1) and not made.any(-1).all():
        raise Unreadable(f"{x[~made.any(-1)].reshape(-1)[0]!r} is no category it knows")
    return plain(made.astype(np.float32))


KINDS = {"strings": object, "int64s": np.int64, "floats": np.float32}


def _listed(s: Step, which: str) -> Any:
    """Keys or values of a LabelEncoder, whichever attribute holds them."""
    tensor = s.attributes.get(f"{which}_tensor")
    if tensor is not None:
        found = numpy_helper.to_array(tensor)
        return texts(found) if found.dtype.char == "O" else found
    for suffix, kind in KINDS.items():
        values = s.attributes.get(f"{which}_{suffix}")
        if values is not None:
            return texts(values) if kind is object else np.asarray(values, kind)
    return None


@reads("ai.onnx.ml.LabelEncoder")
def _label_encoder(s: Step) -> Any:
    if "classes_strings" in s.attributes:  # as opset 1 has it: the place in a list, or what stands there
        words = texts(s.attributes["classes_strings"])
        to_text = s.inputs[0].array.dtype.char != "O"
        keys, values = (np.arange(len(words)), words) if to_text else (words, np.arange(len(words)))
        other = s.attr("default_string", "_Unused") if to_text else s.attr("default_int64", -1)
    else:
        keys, values, other = _listed(s, "keys"), _listed(s, "values"), _default(s)
    if keys is None or values is None:
        raise Unreadable("keys and values are needed")
    if other is None:
        other = "_Unused" if values.dtype.char == "O" else -0.0 if values.dtype.kind == "f" else -1
    x = s.inputs[0].array
    table = dict(zip(keys.tolist(), values.tolist(), strict=True))
    nans = [v for k, v in table.items() if k != k]
    found = [nans[0] if v != v and nans else table.get(v, other) for v in x.reshape(-1).tolist()]
    return plain(
        texts(found, x.shape)
        if values.dtype.char == "O"
        else np.asarray(found, values.dtype).reshape(x.shape)
    )


def _default(s: Step) -> Any:
    tensor = s.attributes.get("default_tensor")
    if tensor is not None:
        return numpy_helper.to_array(tensor).reshape(-1).tolist()[0]
    suffix = next((k for k in KINDS if s.attributes.get(f"values_{k}") is not None), "")
    return s.attr(f"default_{suffix.removesuffix('s')}") if suffix else None


@reads("ai.onnx.ml.CategoryMapper")
def _category(s: Step) -> Any:
    x, words, numbers = (
        s.inputs[0].array,
        texts(s.attributes["cats_strings"]),
        list(s.attributes["cats_int64s"]),
    )
    if x.dtype.char == "O":
        table = dict(zip(words.tolist(), numbers, strict=True))
        made = [table.get(str(v), s.attr("default_int64", -1)) for v in x.reshape(-1)]
        return plain(np.asarray(made, np.int64).reshape(x.shape))
    back = dict(zip(numbers, words.tolist(), strict=True))
    return plain(
        texts([back.get(int(v), s.attr("default_string", "_Unused")) for v in x.reshape(-1)], x.shape)
    )


# --- scores and classes ---


def transformed(scores: Any, how: str) -> Any:
    """What `post_transform` makes of scores."""
    if how == "NONE":
        return scores
    if how == "SOFTMAX":
        return ds.softmax(scores, -1)
    if how == "LOGISTIC":
        return ds.sigmoid(scores)
    if how == "SOFTMAX_ZERO":  # a score of 0 stays 0
        lost = scores == 0
        return ds.masked_fill(ds.softmax(ds.masked_fill(scores, lost, -np.inf), -1), lost, 0.0)
    if how == "PROBIT":
        return 2**0.5 * ds.erfinv(2 * scores - 1)
    raise Unreadable(f"the transformation {how!r}")


def labels_of(s: Step) -> Any:
    """The names of the classes, numbers or texts."""
    words = s.attributes.get("classlabels_strings")
    if words:
        return texts(words)
    numbers = s.attributes.get("classlabels_ints") or s.attributes.get("classlabels_int64s")
    if not numbers:
        raise Unreadable("the classes have no names")
    return np.asarray(numbers, np.int64)


def classified(scores: Any, labels: Any, how: str, shares: bool = False) -> list[Any]:
    """The label of each row and the scores. One column of scores for two classes speaks for the second.

    `shares` says that such a score is a probability, which decides at a half, and not a distance, which decides at 0.
    """
    if scores.shape[-1] == 1 and len(labels) == 2:
        chosen = (scores.array[:, 0] > (0.5 if shares else 0)).astype(np.int64)
        made = transformed(scores, how)
        first = 1 - made if shares or how == "LOGISTIC" else -made
        return [plain(labels[chosen]), ds.cat([first, made], -1)]
    return [plain(labels[scores.array.argmax(-1)]), transformed(scores, how)]


def _scored(s: Step) -> Any:
    x = s.inputs[0].to(dtype="float32")
    x = x if x.ndim > 1 else x.reshape(1, -1)
    rows = np.asarray(s.attributes["coefficients"], np.float32).reshape(-1, x.shape[-1])
    shift = s.attributes.get("intercepts")
    return ds.linear(x, plain(rows), _row(shift) if shift else None)


@reads("ai.onnx.ml.LinearRegressor")
def _regressor(s: Step) -> Any:
    return transformed(_scored(s), s.attr("post_transform", "NONE"))


@reads("ai.onnx.ml.LinearClassifier")
def _classifier(s: Step) -> Any:
    return classified(_scored(s), labels_of(s), s.attr("post_transform", "NONE"))


@reads("ai.onnx.ml.ZipMap")
def _zip_map(s: Step) -> Any:
    """A dict for each row: what each class was given."""
    names = labels_of(s).tolist()
    return Sequence(
        dict(zip(names, row, strict=True)) for row in s.inputs[0].array.reshape(-1, len(names)).tolist()
    )


@reads("ai.onnx.ml.DictVectorizer")
def _dict_vectorizer(s: Step) -> Any:
    words = s.attributes.get("string_vocabulary")
    keys = [w.decode() for w in words] if words else list(s.attributes["int64_vocabulary"])
    rows = s.inputs[0] if isinstance(s.inputs[0], Sequence) else [s.inputs[0]]
    return plain(np.asarray([[row.get(key, 0) for key in keys] for row in rows], np.float32))
