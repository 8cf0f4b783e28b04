"""Losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.dtype import is_floating, promoted
from engine.errors import ArgumentProblem, Shape, ShapeClash, shape_text
from engine.located import located
from engine.op import Op, op
from engine.ops import reduction
from engine.ops.activation import log_softmax_of
from engine.ops.bounds import outside
from engine.ops.nested import on_gpu
from engine.woven import LEAST, apart

if TYPE_CHECKING:
    from engine.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")

LOSS: dict[str, Any] = {"family": "reduce", "dtype": dtype.first, "quiet": True}


def _class_shape(input: Any, target: Any, weight: Any = None, *, reduction: str, **_: Any) -> Shape:
    """[N, C, ...] with targets [N, ...], or [C] with one target."""
    given, classes = shapes.sizes(input), shapes.sizes(target)
    if not given:
        raise ShapeClash(
            ["batch", "classes"], 0, [], "{0} has no dimensions; it has to hold one score a class."
        )
    want = given[:1] + given[2:] if len(given) > 1 else ()
    if classes != want:
        clash = [
            (0, 0 if i == 0 else i + 1) for i, (a, b) in enumerate(zip(want, classes, strict=False)) if a != b
        ]
        clash += [(1, i) for i, (a, b) in enumerate(zip(want, classes, strict=False)) if a != b]
        raise ShapeClash(
            want,
            1,
            clash,
            f"{{0}} scores {shape_text(want)} items, but {{1}} names classes for {shape_text(classes)}.",
        )
    if weight is not None:
        c = given[1] if len(given) > 1 else given[0]
        if shapes.sizes(weight) != (c,):
            raise ShapeClash(
                [c],
                2,
                [(2, 0)],
                f"{{2}} needs one weight for each of {c} classes, but is {shape_text(shapes.sizes(weight))}.",
            )
    return want if reduction == "none" else ()


def _checked(xp: Any, target: Any, classes: int, ignore: int) -> Any:
    """Which targets count (None: all), with those that do not made class 0."""
    if target.dtype.kind not in "iu":
        raise ArgumentProblem(TypeError, f"{{1}} has to hold class numbers (integers), got {target.dtype}", 1)
    if xp is np and target.size and not 0 <= ignore < classes:
        least, most = np.minimum.reduce(target, axis=None), np.maximum.reduce(target, axis=None)
        if least >= 0 and most < classes:
            return None, target
    valid = target != ignore
    safe = xp.where(valid, target, 0)
    if (bad := outside(safe, classes)) is not None:
        raise _outside(bad, classes)
    return valid, safe


def _outside(bad: int, classes: int) -> ArgumentProblem:
    return ArgumentProblem(
        IndexError, f"{{1}} holds class {bad}, but there are classes 0 to {classes - 1}", 1
    )


def _counted_on_gpu(target: Any, dtype: Any, classes: int, ignore: int, how: str) -> tuple[Any, Any] | None:
    """What each class counts, and the classes with those that are ignored made 0, by one launch."""
    from engine.gpu import capture
    from engine.gpu import elementwise as gpu

    made = gpu.classes(target, dtype, ignore, how == "mean")
    if made is None:
        return None
    counts, safe, found = made
    if not capture.recording:  # nothing can be waited for; the calls before looked
        least, most = found.tolist()
        if least < 0 or most >= classes:
            raise _outside(most if most >= classes else least, classes)
    return counts, safe


def _class_dim(input: Any) -> int:
    return 1 if input.ndim > 1 else 0


def _nll_weights(xp: Any, valid: Any, safe: Any, weight: Any, dtype: Any, how: str) -> Any:
    """What each item counts in the result."""
    if valid is None and weight is None:
        return xp.full(safe.shape, 1 / safe.size if how == "mean" else 1.0, dtype)
    counts = xp.ones(safe.shape, dtype) if valid is None else valid.astype(dtype)
    if weight is not None:
        counts = counts * weight[safe]
    if how == "mean":
        counts = counts / counts.sum()
    return counts


def _nll_vjp(
    xp: Any,
    g: Any,
    out: Any,
    input: Any,
    target: Any,
    weight: Any,
    *,
    reduction: str,
    ignore_index: int,
    counts: Any,
    safe: Any,
) -> Any:
    d = 1 if len(input.shape) > 1 else 0
    spread = xp.expand_dims(g * counts, d) * -1.0
    return reduction_put(xp, spread, np_expand(safe, d), input.shape, d), None, None


def np_expand(array: Any, d: int) -> Any:
    """A raw array with a new dimension at `d`."""
    return array.reshape((*array.shape[:d], 1, *array.shape[d:]))


def reduction_put(xp: Any, value: Any, index: Any, shape: Shape, d: int) -> Any:
    """Zeros of `shape` with `value` at `index` along `d`, on arrays or Tensors."""
    return reduction.put_along(xp, value, index, shape, d)


def _nll_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(1, dim)]


@op(
    "nll_loss",
    **LOSS,
    shape=_class_shape,
    origin=_nll_origin,
    extras=("counts", "safe"),
    onnx="NegativeLogLikelihoodLoss",
    formula="-Σ weight[target] input[target] / Σ weight[target]",
    vjp=_nll_vjp,
    check=True,
)
def NLL_LOSS(xp: Any, input: Any, target: Any, weight: Any, *, reduction: str, ignore_index: int) -> Any:
    """Negative log likelihood of the target classes."""
    d = _class_dim(input)
    valid, safe = _checked(xp, target, input.shape[d], ignore_index)
    counts = _nll_weights(xp, valid, safe, weight, input.dtype, reduction)
    picked = xp.take_along_axis(input, np_expand(safe, d), axis=d).reshape(target.shape)
    loss = xp.where(counts != 0, -picked * counts, counts)
    return (loss if reduction == "none" else loss.sum()), counts, safe


def _exponentials(xp: Any, x: Any) -> Any:
    """Softmax of rows, and of each its largest value and the sum of what e is raised to less that."""
    most = x.max(axis=-1, keepdims=True)
    made = xp.exp(x - most)
    total = made.sum(axis=-1, keepdims=True)
    return made / total, most, total


def _scaled(xp: Any, x: Any, each: Any) -> Any:
    return x * each


def _cross_vjp(
    xp: Any, g: Any, out: Any, input: Any, target: Any, weight: Any, *,
    reduction: str, ignore_index: int, label_smoothing: float, probabilities: Any, counts: Any, safe: Any,
) -> Any:  # fmt: skip
    d = 1 if len(input.shape) > 1 else 0
    # d loss / d input = (softmax - onehot) * counts, and with smoothing the class means beside it.
    if xp is np and probabilities.ndim == 2:
        each = g * counts
        to_input = apart(_scaled, probabilities, each[:, None])
        to_input[np.arange(each.size), safe] -= each
        return to_input, None, None
    if on_gpu(xp) and probabilities.ndim == 2:
        from engine.gpu import elementwise as gpu

        each = xp.broadcast_to(g * counts, safe.shape)
        if (made := gpu.cross_entropy_gradient(probabilities, safe, xp.ascontiguousarray(each))) is not None:
            return made, None, None
    spread = xp.expand_dims(g * counts, d)
    if hasattr(g, "node"):
        from engine.ops.activation import softmax

        probabilities = softmax(input, d)
        to_input = probabilities * spread - reduction_put(xp, spread, np_expand(safe, d), input.shape, d)
    else:
        to_input = probabilities * spread
        index = np_expand(safe, d)
        at = xp.take_along_axis(to_input, index, axis=d)
        xp.put_along_axis(to_input, index, at - spread, axis=d)
    return to_input, None, None


@op(
    "cross_entropy",
    **LOSS,
    shape=_class_shape,
    origin=_nll_origin,
    extras=("probabilities", "counts", "safe"),
    saves=("input",),
    onnx="SoftmaxCrossEntropyLoss",
    formula="-Σ weight[target] log_softmax(input)[target] / Σ weight[target]",
    vjp=_cross_vjp,
)
def CROSS_ENTROPY(
    xp: Any,
    input: Any,
    target: Any,
    weight: Any,
    *,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> Any:
    """Negative log likelihood of the target classes under softmax, without underflow."""
    if input.ndim != 2 or weight is not None or target.shape != input.shape[:1]:
        _class_shape(input.shape, target.shape, None if weight is None else weight.shape, reduction=reduction)
    d = _class_dim(input)
    counted = None
    if on_gpu(xp) and weight is None:
        counted = _counted_on_gpu(target, input.dtype, input.shape[d], ignore_index, reduction)
    if counted is not None:
        counts, safe = counted
    else:
        valid, safe = _checked(xp, target, input.shape[d], ignore_index)
        counts = _nll_weights(xp, valid, safe, weight, input.dtype, reduction)
    if xp is np and input.ndim == 2 and safe is target and weight is None and target.size:
        # The usual case in few steps: every item counts, and alike.
        if input.nbytes >= LEAST:
            probabilities, most, total = apart(_exponentials, input)
            picked = input[np.arange(target.size), target] - most[:, 0]
            loss = np.log(total[:, 0])
            loss -= picked
            loss *= counts
            return (loss if reduction == "none" else np.add.reduce(loss)), probabilities, counts, safe
        shifted = input - np.maximum.reduce(input, axis=1, keepdims=True)
        picked = shifted[np.arange(target.size), target]
        np.exp(shifted, out=shifted)
        total = np.add.reduce(shifted, axis=1, keepdims=True)
        shifted /= total
        loss = np.log(total[:, 0])
        loss -= picked
        loss *= counts
        return (loss if reduction == "none" else np.add.reduce(loss)), shifted, counts, safe
    if on_gpu(xp) and weight is None:
        from engine.gpu import elementwise as gpu

        if (found := gpu.cross_entropy(input, safe, counts)) is not None:
            loss = found[1]
            return (loss if reduction == "none" else loss.sum()), found[0], counts, safe
    logs = log_softmax_of(xp, input, d)
    picked = xp.take_along_axis(logs, np_expand(safe, d), axis=d).reshape(target.shape)
    loss = xp.where(counts != 0, -picked * counts, counts)
    return (loss if reduction == "none" else loss.sum()), xp.exp(logs, out=logs), counts, safe


def mean_or_sum(loss: Any, how: str) -> Any:
    """`loss` reduced by "mean" or "sum", or as it is for "none". Raises `ValueError` for another word."""
    if how not in REDUCTIONS:
        raise located(ValueError(f"reduction is one of {', '.join(REDUCTIONS)}, got {how!r}"))
    return loss if how == "none" else reduction.mean(loss) if how == "mean" else reduction.sum(loss)


def _known(how: str) -> str:
    if how not in REDUCTIONS:
        raise located(ValueError(f"reduction is one of {', '.join(REDUCTIONS)}, got {how!r}"))
    return how


# --- the functions people call ----------------------------------------------------------------------


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of scores `input` [N, C, ...] (or [C]) with `target`.

    `target` holds class numbers [N, ...], or probabilities of the shape of `input`. `weight` [C] counts classes
    differently; items of class `ignore_index` do not count. `reduction` is "mean", "sum" or "none".
    """
    _known(reduction)
    kind = getattr(target, "dtype", None)
    if kind is not None and is_floating(kind) and tuple(target.shape) == tuple(input.shape):
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)  # type: ignore[no-any-return]
    if label_smoothing:
        return _smooth_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)  # type: ignore[no-any-return]
    kwargs = {"reduction": reduction, "ignore_index": ignore_index, "label_smoothing": 0.0}
    return apply(CROSS_ENTROPY, (input, target, weight), kwargs)  # type: ignore[no-any-return]


def _soft_cross_entropy(input: Any, target: Any, weight: Any, how: str, smoothing: float) -> Any:
    from engine.ops.activation import log_softmax

    d = 1 if len(input.shape) > 1 else 0
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[d]
    logs = log_softmax(input, d)
    if weight is not None:
        logs = logs * weight.reshape(*([1] * d), -1, *([1] * (len(input.shape) - d - 1)))
    loss = -reduction.sum(logs * target, d)
    if how == "mean":
        return reduction.sum(loss) / (loss.numel() or 1)
    return mean_or_sum(loss, how)


def _smooth_cross_entropy(
    input: Any, target: Any, weight: Any, ignore: int, how: str, smoothing: float
) -> Any:
    """`(1 - s) · nll + s/C · Σ over classes`, each averaged by the weights of the targets."""
    from engine.ops.activation import log_softmax
    from engine.ops.comparison import where

    d = 1 if len(input.shape) > 1 else 0
    logs = log_softmax(input, d)
    hard = nll_loss(logs, target, weight, ignore, how)
    spread = -logs
    if weight is not None:
        spread = spread * weight.reshape(*([1] * d), -1, *([1] * (len(input.shape) - d - 1)))
    raw = getattr(target, "array", target)
    soft = where(raw != ignore, reduction.sum(spread, d), 0.0)
    if how == "sum":
        soft = reduction.sum(soft)
    elif how == "mean":
        valid = raw != ignore
        counts = valid.sum() if weight is None else (weight.array[np.where(valid, raw, 0)] * valid).sum()
        soft = reduction.sum(soft) / float(counts)
    return hard * (1 - smoothing) + soft * (smoothing / input.shape[d])


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Negative log likelihood: `input` [N, C, ...] holds log probabilities, `target` [N, ...] class numbers."""
    kwargs = {"reduction": _known(reduction), "ignore_index": ignore_index}
    return apply(NLL_LOSS, (input, target, weight), kwargs)  # type: ignore[no-any-return]


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Binary cross entropy of scores with probabilities `target`, without overflow."""
    from engine.ops.activation import softplus
    from engine.ops.arithmetic import mul, neg

    _alike("binary_cross_entropy_with_logits", input, target)
    # The threshold of softplus is out of reach, so that it is exact.
    if pos_weight is None:
        loss = mul(input, 1 - target) + softplus(neg(input), threshold=1e9)
    else:
        positive = mul(softplus(neg(input), threshold=1e9), target) * pos_weight
        loss = positive + mul(softplus(input, threshold=1e9), 1 - target)
    if weight is not None:
        loss = loss * weight
    return mean_or_sum(loss, reduction)  # type: ignore[no-any-return]


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Binary cross entropy of probabilities with probabilities; logarithms are held above -100.

    Raises `RuntimeError` for an input that is no probability.
    """
    from engine.ops.exponential import held_log

    _alike("binary_cross_entropy", input, target)
    raw = getattr(input, "array", input)
    if isinstance(raw, np.ndarray) and raw.size:
        least, most = raw.min(), raw.max()
        if not (least >= 0 and most <= 1):
            _refuse("binary_cross_entropy", input, target, _improbable)
    loss = -(held_log(input) * target + held_log(1 - input) * (1 - target))
    if weight is not None:
        loss = loss * weight
    return mean_or_sum(loss, reduction)  # type: ignore[no-any-return]


def _alike_shape(input: Shape, target: Shape) -> Shape:
    wrong = [(1, d) for d, (a, b) in enumerate(zip(input, target, strict=False)) if a != b]
    sentence = f"{{1}} has to have the shape of {{0}}, {shape_text(input)}: each value is compared with its own target."
    raise ShapeClash(input, 1, wrong, sentence)


def _never(xp: Any, input: Any, target: Any) -> Any:
    return input


def _improbable(xp: Any, input: Any, target: Any) -> Any:
    sentence = (
        f"{{0}} has to hold probabilities from 0 to 1, got {input.min():.4g} to {input.max():.4g}; "
        "of scores there is binary_cross_entropy_with_logits"
    )
    raise ArgumentProblem(RuntimeError, sentence, 0)


def _refuse(name: str, input: Any, target: Any, forward: Any, shape: Any = None) -> None:
    """Fail as an op of this name would, where a person and the debugger look for it."""
    rules: dict[str, Any] = {"dtype": promoted, "vjp": None, "check": shape is not None}
    rules["shape"] = shape or shapes.same
    apply(
        Op(name, forward, family="elementwise", arg_names=("input", "target"), **rules), (input, target), {}
    )


def _alike(name: str, input: Any, target: Any) -> None:
    """A target that only broadcasting would make fit is a mismatch, where a person and the debugger look for one."""
    shape, other = getattr(input, "shape", None), getattr(target, "shape", None)
    if shape is None or other is None or tuple(shape) == tuple(other):
        return
    _refuse(name, input, target, _never, _alike_shape)
