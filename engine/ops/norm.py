"""Normalisation over the batch, a layer, groups of channels, or each instance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.dnn import normalisation
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.op import op
from engine.ops import standardise
from engine.ops.nested import on_arrays, on_gpu
from engine.ops.window import frozen
from engine.pool import pool
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

NORM: dict[str, Any] = {
    "family": "other",
    "dtype": dtype.first,
    "origin": shapes.same_origin,
    "saves": ("input", "weight"),
    "saved_for": {"input": ("input", "weight"), "weight": ("input",)},
    "check": True,
    "quiet": True,
}


def recorded(
    xp: Any, g: Any, x: Any, weight: Any, axes: tuple[int, ...], affine: tuple[int, ...], eps: float,
    centre: bool = True, stats: tuple[Any, Any] | None = None,
) -> Any:  # fmt: skip
    """The gradients of x, weight and bias in terms of ops that can be differentiated again.

    x is normalised over `axes`; `weight` broadcasts to it and is summed over `affine`. `stats`: mean and 1 /
    deviation that do not depend on x.
    """
    if stats is not None:
        mean, rstd = stats
        hat = (x - mean) * rstd
    else:
        hat = x - xp.mean(x, axis=axes, keepdims=True) if centre else x
        rstd = 1 / xp.sqrt(xp.mean(hat * hat, axis=axes, keepdims=True) + eps)
        hat = hat * rstd
    to_weight = xp.sum(g * hat, axis=affine, keepdims=True)
    to_bias = xp.sum(g, axis=affine, keepdims=True)
    gw = g if weight is None else g * weight
    if stats is not None:
        return gw * rstd, to_weight, to_bias
    inner = gw - hat * xp.mean(gw * hat, axis=axes, keepdims=True)
    if centre:
        inner = inner - xp.mean(gw, axis=axes, keepdims=True)
    return inner * rstd, to_weight, to_bias


def per_channel(values: Any, what: int, channels: int, at: int) -> None:
    """Raise `ShapeClash` unless argument `what` has one number for each channel (dimension `at` of the
    input).
    """
    if values is not None and sizes(values) != (channels,):
        got = sizes(values)
        raise ShapeClash(
            [channels], what, [(0, at), (what, 0)] if len(got) == 1 else [],
            f"{{0}} has {channels} channels, but {{{what}}} has "
            + (f"{got[0]} numbers." if len(got) == 1 else f"{len(got)} dimensions."),
        )  # fmt: skip


def fresh(xp: Any, x: Any) -> Any:
    """An array for a result like `x`."""
    return pool.empty(x.shape, x.dtype) if xp is np else xp.empty(x.shape, x.dtype)


def wants(*nodes: Any) -> bool:
    """Whether one of these arguments takes a gradient."""
    return any(n is not None and getattr(n, "requires", True) for n in nodes)


# --- over the batch --------------------------------------------------------------------------------------


def _batch_shape(
    x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, *, training: bool, **_: Any
) -> Shape:
    x = sizes(x)
    if len(x) < 2:
        raise ShapeClash(
            ["batch", "channels"],
            0,
            [],
            f"{{op}} needs {{0}} with at least 2 dimensions, {{0}} has {len(x)}.",
        )
    for i, values in enumerate((running_mean, running_var, weight, bias), 1):
        per_channel(values, i, x[1], 1)
    if training and math.prod(x) // max(x[1], 1) == 1:
        raise ArgumentProblem(
            ValueError,
            f"training needs more than one value for each channel; {{0}} of shape {list(x)} has one",
            0,
        )
    if not training and (running_mean is None or running_var is None):
        raise ArgumentProblem(ValueError, "without training, running_mean and running_var have to be given")
    return tuple(x)


def _batch_axes(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank))


def _batch_vjp(
    xp: Any, g: Any, out: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    *, training: bool, momentum: float, eps: float, mean: Any, rstd: Any, affine: bool,
) -> Any:  # fmt: skip
    rank = g.ndim
    channels = g.shape[1]
    if input is None:
        return None, None, None, None, xp.sum(g, axis=_batch_axes(rank)) if wants(bias) else None
    if not on_arrays(xp):
        across = (1, channels, *(1,) * (rank - 2))
        axes = _batch_axes(rank)
        stats = None if training else (mean.reshape(across), rstd.reshape(across))
        w = None if weight is None else xp.reshape(weight, across)
        to_input, to_weight, to_bias = recorded(xp, g, input, w, axes, axes, eps, stats=stats)
        flat = (channels,)
        return (
            to_input,
            None,
            None,
            xp.reshape(to_weight, flat) if affine else None,
            xp.reshape(to_bias, flat),
        )
    fast = None
    if xp is np and training and not (affine and weight is None):
        fast = normalisation.gradients(g, input, weight, mean, rstd, eps)
    elif on_gpu(xp) and training and not (affine and weight is None):
        from engine.gpu import normalisation as gpu

        fast = gpu.gradients(g, input, weight, mean, rstd, eps)
    if fast is not None:
        return fast[0], None, None, fast[1], fast[2] if wants(bias) else None
    view = (g.shape[0], channels, -1)
    to_input = None if affine and weight is None else xp.empty(g.shape, g.dtype)
    to_weight, to_bias = standardise.backward(
        xp, g.reshape(view).swapaxes(0, 1), input.reshape(view).swapaxes(0, 1),
        None if to_input is None else to_input.reshape(view).swapaxes(0, 1),
        None if weight is None else weight[:, None, None], mean, rstd,
        affine or wants(bias), given=not training,
    )  # fmt: skip
    if to_weight is not None:
        to_weight, to_bias = to_weight.sum(axis=(1, 2)), to_bias.sum(axis=(1, 2))
    return to_input, None, None, to_weight if affine else None, to_bias if wants(bias) else None


@op(
    "batch_norm",
    **NORM,
    shape=_batch_shape,
    vjp=_batch_vjp,
    extras=("mean", "rstd", "affine"),
    onnx="BatchNormalization",
    formula="(input - mean) / √(var + eps) · weight + bias, over all but the channels",
    source="Ioffe and Szegedy 2015, arXiv:1502.03167",
)
def BATCH_NORM(
    xp: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    *, training: bool, momentum: float, eps: float,
) -> Any:  # fmt: skip
    """Each channel with mean 0 and variance 1.

    In training by its own statistics, which the running ones follow.
    """
    fast = normalisation.normalise(input, weight, bias, eps) if xp is np and training else None
    if fast is not None:
        out, mean, var = fast
        follow(running_mean, running_var, mean, var, input.size // input.shape[1], momentum)
        return out, mean, 1 / np.sqrt(var + eps), weight is not None
    if on_gpu(xp) and training:
        from engine.gpu import normalisation as gpu

        found = gpu.normalise(input, weight, bias, running_mean, running_var, momentum, eps)
        if found is not None:
            return *found, True
    view = (input.shape[0], input.shape[1], -1) if input.size else (*input.shape[:2], 0)
    out = xp.empty(input.shape, input.dtype)
    x, into = input.reshape(view).swapaxes(0, 1), out.reshape(view).swapaxes(0, 1)
    w = None if weight is None else weight[:, None, None]
    b = None if bias is None else bias[:, None, None]
    if not training:
        kind = standardise.working(input)
        mean = running_mean.astype(kind)  # a copy: the running ones go on changing
        rstd = (1 / xp.sqrt(running_var + eps)).astype(kind, copy=False)
        standardise.scaled(xp, x, into, w, b, mean, rstd)
        return out, mean, rstd, weight is not None
    mean, var, rstd = standardise.forward(xp, x, into, w, b, eps)
    follow(running_mean, running_var, mean, var, input.size // input.shape[1], momentum)
    return out, mean, rstd, weight is not None


def follow(running_mean: Any, running_var: Any, mean: Any, var: Any, count: int, momentum: float) -> None:
    """Move the running statistics towards those of a batch; the running variance is the unbiased one."""
    if running_mean is not None:
        running_mean *= 1 - momentum
        running_mean += momentum * mean
    if running_var is not None:
        running_var *= 1 - momentum
        running_var += momentum * var * (count / max(count - 1, 1))


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalise each channel of [batch, channels, ...], scale by `weight` and add `bias`, one number a
    channel.

    In `training` the statistics are the batch's, and `running_mean` and `running_var` move towards them by
    `momentum` in place (the variance unbiased); otherwise the running ones serve.
    Raises `ShapeMismatchError` for other channels and `ValueError` in training on one value a channel.
    """
    attrs = {"training": training, "momentum": momentum, "eps": eps}
    args = (input, running_mean, running_var, weight, bias)
    if training and weight is not None and getattr(weight, "node", None) and weight.node.foreseen:
        from engine import foreseen  # made of this

        made = foreseen.batch_norm(args, attrs)
        if made is not None:
            return made
    return apply(BATCH_NORM, args, attrs)  # type: ignore[no-any-return]


# --- over the last dimensions ----------------------------------------------------------------------------


def _layer_shape(x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: Shape, **_: Any) -> Shape:
    x = sizes(x)
    n = len(normalized_shape)
    if n == 0:
        raise ArgumentProblem(ValueError, "normalized_shape needs at least one dimension")
    if len(x) < n or x[len(x) - n :] != tuple(normalized_shape):
        clash = [
            (0, len(x) - n + i) for i in range(n) if len(x) >= n and x[len(x) - n + i] != normalized_shape[i]
        ]
        got = list(x[-n:])
        raise ShapeClash(
            ["batch", *x[1 : len(x) - n], *normalized_shape], 0, clash,
            f"{{module}} normalises over {list(normalized_shape)}, but {{0}} ends in {got}.",
        )  # fmt: skip
    for i, values in enumerate((weight, bias), 1):
        if values is not None and sizes(values) != tuple(normalized_shape):
            raise ShapeClash(
                list(normalized_shape), i, [],
                f"{{{i}}} has shape {list(sizes(values))}, but the normalised dimensions are "
                f"{list(normalized_shape)}.",
            )  # fmt: skip
    return tuple(x)


def _layer_vjp(
    xp: Any, g: Any, out: Any, input: Any, weight: Any, bias: Any = None,
    *, normalized_shape: Shape, eps: float, rstd: Any, affine: bool, mean: Any = None,
) -> Any:  # fmt: skip
    n = len(normalized_shape)
    centre = mean is not None
    lead = tuple(range(g.ndim - n))
    if input is None:
        found = (None, None, xp.sum(g, axis=lead) if wants(bias) else None)
    elif not on_arrays(xp):
        axes = tuple(range(g.ndim - n, g.ndim))
        to_input, to_weight, to_bias = recorded(xp, g, input, weight, axes, lead, eps, centre)
        shape = tuple(normalized_shape)
        found = to_input, xp.reshape(to_weight, shape) if affine else None, xp.reshape(to_bias, shape)
    elif not g.size:
        nothing = xp.zeros(tuple(normalized_shape), g.dtype)
        found = xp.zeros(g.shape, g.dtype), nothing if affine else None, nothing
    else:
        size = math.prod(normalized_shape)
        if xp is np and centre and weight is not None:
            flat = (-1, size)
            fast = normalisation.row_gradients(
                g.reshape(flat), input.reshape(flat), weight.reshape(size), mean, rstd, eps, g.shape
            )
            if fast is not None:
                shape = tuple(normalized_shape)
                return fast[0], fast[1].reshape(shape), fast[2].reshape(shape)
        if on_gpu(xp) and centre and weight is not None:
            from engine.gpu import elementwise as gpu

            fast = gpu.layer_norm_gradients(g, input, weight, mean.reshape(-1), rstd.reshape(-1), size)
            if fast is not None:
                shape = tuple(normalized_shape)
                return fast[0], fast[1].reshape(shape), fast[2].reshape(shape)
        view = (math.prod(g.shape[: g.ndim - n]), 1, size)
        to_input = None if affine and weight is None else fresh(xp, g)
        # Without a weight there is still one of ones: it says that its gradient is summed over the rows.
        w = (
            weight.reshape(1, 1, size)
            if weight is not None
            else xp.ones((1, 1, size), g.dtype)
            if affine
            else None
        )
        to_weight, to_bias = standardise.backward(
            xp, g.reshape(view), input.reshape(view), None if to_input is None else to_input.reshape(view),
            w, mean, rstd, affine, centre=centre,
        )  # fmt: skip
        if affine:
            to_weight, to_bias = to_weight.reshape(normalized_shape), to_bias.reshape(normalized_shape)
        elif wants(bias):
            to_bias = xp.sum(g, axis=lead)
        found = to_input, to_weight, to_bias
    return found if centre else found[:2]


@op(
    "layer_norm",
    **NORM,
    shape=_layer_shape,
    vjp=_layer_vjp,
    extras=("mean", "rstd", "affine"),
    fuses=True,
    onnx="LayerNormalization",
    formula="(input - mean) / √(var + eps) · weight + bias, over the last dimensions",
    source="Ba, Kiros and Hinton 2016, arXiv:1607.06450",
)
def LAYER_NORM(xp: Any, input: Any, weight: Any, bias: Any, *, normalized_shape: Shape, eps: float) -> Any:
    """Each sample with mean 0 and variance 1 over its last dimensions."""
    if not on_arrays(xp):
        axes = tuple(range(-len(normalized_shape), 0))
        mean = xp.mean(input, axis=axes, keepdims=True)
        centred = input - mean
        rstd = 1 / xp.sqrt(xp.mean(centred * centred, axis=axes, keepdims=True) + eps)
        return centred * rstd * weight + bias, mean, rstd, True
    size = math.prod(normalized_shape)
    if xp is np and weight is not None and bias is not None and input.size:
        fast = normalisation.normalise_rows(
            input.reshape(-1, size), weight.reshape(size), bias.reshape(size), eps, input.shape
        )
        if fast is not None:
            return fast[0], fast[1], 1 / np.sqrt(fast[2] + eps), True
    if on_gpu(xp) and input.size:
        from engine.gpu import elementwise as gpu

        found = gpu.layer_norm(input, weight, bias, size, eps)
        if found is not None:
            return *found, True
    out = fresh(xp, input)
    view = (input.size // size if size else 0, 1, size)
    w = None if weight is None else weight.reshape(1, 1, size)
    b = None if bias is None else bias.reshape(1, 1, size)
    mean, _, rstd = standardise.forward(xp, input.reshape(view), out.reshape(view), w, b, eps)
    return out, mean, rstd, weight is not None


@op(
    "rms_norm",
    **{**NORM, "saves": ("input", "weight")},
    shape=_layer_shape,
    vjp=_layer_vjp,
    extras=("rstd", "affine"),
    onnx="RMSNormalization",
    formula="input / √(mean(input²) + eps) · weight, over the last dimensions",
    source="Zhang and Sennrich 2019, arXiv:1910.07467",
)
def RMS_NORM(xp: Any, input: Any, weight: Any, *, normalized_shape: Shape, eps: float) -> Any:
    """Each sample with mean square 1 over its last dimensions."""
    size = math.prod(normalized_shape)
    out = fresh(xp, input)
    view = (input.size // size if size else 0, 1, size)
    w = None if weight is None else weight.reshape(1, 1, size)
    _, _, rstd = standardise.forward(xp, input.reshape(view), out.reshape(view), w, None, eps, centre=False)
    return out, rstd, weight is not None


def _normalized(shape: Any) -> Shape:
    return (shape,) if isinstance(shape, int) else tuple(frozen(shape))


def layer_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalise over the last dimensions, which have `normalized_shape`; `weight` and `bias` have that shape.

    Raises `ShapeMismatchError` where the input ends in other sizes.
    """
    attrs = {"normalized_shape": _normalized(normalized_shape), "eps": eps}
    return apply(LAYER_NORM, (input, weight, bias), attrs)  # type: ignore[no-any-return]


def rms_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None
) -> Tensor:
    """Divide by the root of the mean square over the last dimensions, which have `normalized_shape`.

    `eps` is the smallest difference of the input's type unless given.
    Raises `ShapeMismatchError` where the input ends in other sizes.
    """
    if eps is None:
        eps = float(np.finfo(input.dtype).eps)
    attrs = {"normalized_shape": _normalized(normalized_shape), "eps": eps}
    return apply(RMS_NORM, (input, weight), attrs)  # type: ignore[no-any-return]
