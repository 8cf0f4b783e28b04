"""How far two tensors are from each other, and lengths."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import namespace
from engine.complexes import real_only
from engine.errors import shape_text
from engine.located import located
from engine.location import user_frame
from engine.ops import reduction as reducing
from engine.ops.arithmetic import abs, clamp, div, maximum, mul, sqrt, square, sub
from engine.ops.cast import cast
from engine.ops.comparison import eq, ne, where
from engine.ops.exponential import exp, log
from engine.ops.length import norm
from engine.ops.loss import mean_or_sum

if TYPE_CHECKING:
    from engine.tensor import Tensor


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Tensor:
    """Mean of the squared differences; with `weight`, of the shape of `input`, the mean weighted by it.

    Warns where the shapes differ: what is compared then is hardly ever what is meant.
    """
    _alike("mse_loss", input, target, weight)
    real_only("mse_loss", input, target)
    return _averaged(square(sub(input, target)), weight, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Tensor:
    """Mean of the absolute differences; `weight` and shapes as in `mse_loss`."""
    _alike("l1_loss", input, target, weight)
    return _averaged(abs(sub(input, target)), weight, reduction)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Tensor:
    """`d² / 2` where the difference d is at most `delta`, `delta (|d| - delta / 2)` beyond; each times `weight`.

    Raises `ValueError` unless `delta` is positive. Warns where the shapes differ.
    """
    _alike("huber_loss", input, target, weight)
    loss = _huber(input, target, delta)
    return mean_or_sum(loss if weight is None else loss * weight, reduction)  # type: ignore[no-any-return]


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """`huber_loss` with `delta=beta`, divided by `beta`; for `beta` 0 the absolute difference. Warns where the shapes differ."""
    _alike("smooth_l1_loss", input, target, None)
    if beta == 0:
        return mean_or_sum(abs(sub(input, target)), reduction)  # type: ignore[no-any-return]
    return div(mean_or_sum(_huber(input, target, beta), reduction), beta)


def _huber(input: Any, target: Any, delta: float) -> Tensor:
    if delta <= 0:
        raise located(ValueError(f"delta has to be positive, got {delta}"))
    size = abs(sub(input, target))
    near = clamp(size, max=delta)
    return mul(near, size - near * 0.5)


def _averaged(loss: Tensor, weight: Any, reduction: str) -> Tensor:
    if weight is None:
        return mean_or_sum(loss, reduction)  # type: ignore[no-any-return]
    if reduction == "mean":
        return div(reducing.sum(loss * weight), reducing.sum(weight))
    return mean_or_sum(loss * weight, reduction)  # type: ignore[no-any-return]


def _alike(name: str, input: Any, target: Any, weight: Any) -> None:
    """Warn, at the person's line, of an input and a target that only broadcasting makes fit; a weight has to fit."""
    shape, other = tuple(getattr(input, "shape", ())), tuple(getattr(target, "shape", ()))
    if weight is not None and tuple(weight.shape) != shape:
        raise located(
            ValueError(
                f"weight of {name} has to have the shape of input, {shape_text(shape)}; got {shape_text(weight.shape)}"
            )
        )
    if shape == other:
        return
    try:
        together = np.broadcast_shapes(shape, other)
    except ValueError:
        return  # the op says what does not fit
    frame = user_frame(2)
    warnings.warn_explicit(
        f"{name} of an input of shape {shape_text(shape)} and a target of shape {shape_text(other)} compares "
        f"{shape_text(together)} values by broadcasting; give them one shape",
        UserWarning, frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", "?"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )  # fmt: skip


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """`target (log(target) - input)`: `input` holds log probabilities, `target` probabilities or their logarithms.

    `reduction` "batchmean" divides the sum by the size of dimension 0: the Kullback-Leibler divergence itself.
    """
    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        # Nothing is expected of what never happens: 0 log 0 is 0, in the value and in the gradient.
        here = ne(target, 0)
        safe = where(here, target, 1.0)
        loss = sub(where(here, mul(safe, log(safe)), 0.0), mul(target, input))
    if reduction == "batchmean":
        return div(reducing.sum(loss), max(1, input.shape[0]))
    return mean_or_sum(loss, reduction)  # type: ignore[no-any-return]


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between `x1` and `x2` along `dim`; each length counts as `eps` at least."""
    product = reducing.sum(mul(x1, x2), dim)
    lengths = [clamp(sqrt(reducing.sum(square(x), dim)), min=eps) for x in (x1, x2)]
    return div(product, mul(lengths[0], lengths[1]))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """`input` divided by its `p`-norm along `dim`, or by `eps` where that is less."""
    return div(input, clamp(norm(input, p, dim, True), min=eps))


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Rows of zeros with a 1 at the place that each number names; int64.

    Raises `RuntimeError` for a number below 0, or too large for `num_classes`.
    """
    from engine.tensor import Tensor

    raw = tensor.array
    least, most = (int(raw.min()), int(raw.max())) if raw.size else (0, -1)
    classes = most + 1 if num_classes == -1 else num_classes
    if least < 0 or most >= classes:
        raise located(
            RuntimeError(f"the numbers go from {least} to {most}, but the classes are 0 to {classes - 1}")
        )
    places = Tensor(namespace(raw).arange(classes), role="constant")
    return cast(eq(tensor.unsqueeze(-1), places), dtype=np.int64)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """`max(0, -target (input1 - input2) + margin)`, with `target` 1 or -1."""
    return mean_or_sum(maximum(mul(sub(input2, input1), target) + margin, 0.0), reduction)  # type: ignore[no-any-return]
