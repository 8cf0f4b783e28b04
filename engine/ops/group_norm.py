"""Normalisation over groups of channels of each sample, and over each channel of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.op import op
from engine.ops import standardise
from engine.ops.nested import on_arrays
from engine.ops.norm import NORM, batch_norm, follow, per_channel, recorded, wants
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _group_shape(x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Shape:
    x = sizes(x)
    if len(x) < 2:
        raise ShapeClash(
            ["batch", "channels"],
            0,
            [],
            f"{{op}} needs {{0}} with at least 2 dimensions, {{0}} has {len(x)}.",
        )
    if num_groups < 1 or x[1] % num_groups:
        raise ArgumentProblem(
            ValueError, f"num_groups={num_groups} does not divide the {x[1]} channels of {{0}}", 0
        )
    per_channel(weight, 1, x[1], 1)
    per_channel(bias, 2, x[1], 1)
    return tuple(x)


def gradients(
    xp: Any,
    g: Any,
    input: Any,
    weight: Any,
    bias: Any,
    groups: int,
    eps: float,
    mean: Any,
    rstd: Any,
    affine: bool,
) -> Any:
    """The gradients of input, weight and bias of a normalisation over groups of channels."""
    samples, channels = g.shape[:2]
    if input is None:
        axes = (0, *range(2, g.ndim))
        return None, None, xp.sum(g, axis=axes) if wants(bias) else None
    if not on_arrays(xp):
        # [samples, groups, channels of a group, the rest]
        split = (samples, groups, channels // groups, -1)
        w = None if weight is None else xp.reshape(weight, (1, groups, channels // groups, 1))
        to_input, to_weight, to_bias = recorded(
            xp, xp.reshape(g, split), xp.reshape(input, split), w, (2, 3), (0, 3), eps
        )
        flat = (channels,)
        return (
            xp.reshape(to_input, g.shape),
            xp.reshape(to_weight, flat) if affine else None,
            xp.reshape(to_bias, flat),
        )
    view = rows(g.shape, groups)
    to_input = None if affine and weight is None else xp.empty(g.shape, g.dtype)
    to_weight, to_bias = standardise.backward(
        xp, g.reshape(view), input.reshape(view), None if to_input is None else to_input.reshape(view),
        spread(xp, weight, samples, groups), mean, rstd, affine or wants(bias),
    )  # fmt: skip
    if to_weight is not None:
        to_weight = to_weight.reshape(samples, channels).sum(axis=0)
        to_bias = to_bias.reshape(samples, channels).sum(axis=0)
    return to_input, to_weight if affine else None, to_bias if wants(bias) else None


def rows(shape: Shape, groups: int) -> tuple[int, int, int]:
    """The view in which each group of each sample is one row."""
    samples, channels, *rest = shape
    size = 1
    for n in rest:
        size *= n
    return samples * groups, channels // groups, size


def spread(xp: Any, values: Any, samples: int, groups: int) -> Any:
    """One number a channel as [rows, channels of a group, 1]."""
    if values is None:
        return None
    return xp.tile(values.reshape(groups, -1), (samples, 1))[:, :, None]


def _group_vjp(
    xp: Any, g: Any, out: Any, input: Any, weight: Any, bias: Any,
    *, num_groups: int, eps: float, mean: Any, rstd: Any, affine: bool,
) -> Any:  # fmt: skip
    return gradients(xp, g, input, weight, bias, num_groups, eps, mean, rstd, affine)


@op(
    "group_norm",
    **NORM,
    shape=_group_shape,
    vjp=_group_vjp,
    extras=("mean", "rstd", "affine"),
    onnx="GroupNormalization",
    formula="(input - mean) / √(var + eps) · weight + bias, over each group of channels of a sample",
    source="Wu and He 2018, arXiv:1803.08494",
)
def GROUP_NORM(xp: Any, input: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    """Each group of channels of each sample with mean 0 and variance 1."""
    view = rows(input.shape, num_groups)
    out = xp.empty(input.shape, input.dtype)
    w, b = (spread(xp, v, input.shape[0], num_groups) for v in (weight, bias))
    mean, _, rstd = standardise.forward(xp, input.reshape(view), out.reshape(view), w, b, eps)
    return out, mean, rstd, weight is not None


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each of `num_groups` groups of channels of each sample of [batch, channels, ...].

    Raises `ValueError` when the groups do not divide the channels, `ShapeMismatchError` for a wrong weight or
    bias.
    """
    attrs = {"num_groups": num_groups, "eps": eps}
    return apply(GROUP_NORM, (input, weight, bias), attrs)  # type: ignore[no-any-return]


def _instance_shape(
    x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, *, momentum: float, eps: float
) -> Shape:
    x = sizes(x)
    if len(x) < 3:
        raise ShapeClash(
            ["batch", "channels", "length"],
            0,
            [],
            f"{{op}} needs {{0}} with at least 3 dimensions, {{0}} has {len(x)}.",
        )
    for i, values in enumerate((running_mean, running_var, weight, bias), 1):
        per_channel(values, i, x[1], 1)
    if rows(x, x[1])[2] == 1:
        raise ArgumentProblem(
            ValueError, f"there has to be more than one spatial element; {{0}} of shape {list(x)} has one", 0
        )
    return tuple(x)


def _instance_vjp(
    xp: Any, g: Any, out: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    *, momentum: float, eps: float, mean: Any, rstd: Any, affine: bool,
) -> Any:  # fmt: skip
    found = gradients(xp, g, input, weight, bias, g.shape[1], eps, mean, rstd, affine)
    return found[0], None, None, found[1], found[2]


@op(
    "instance_norm",
    **NORM,
    shape=_instance_shape,
    vjp=_instance_vjp,
    extras=("mean", "rstd", "affine"),
    onnx="InstanceNormalization",
    formula="(input - mean) / √(var + eps) · weight + bias, over each channel of a sample",
    source="Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022",
)
def INSTANCE_NORM(
    xp: Any,
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    *,
    momentum: float,
    eps: float,
) -> Any:
    """Each channel of each sample with mean 0 and variance 1."""
    samples, channels = input.shape[:2]
    view = rows(input.shape, channels)
    out = xp.empty(input.shape, input.dtype)
    w, b = (spread(xp, v, samples, channels) for v in (weight, bias))
    mean, var, rstd = standardise.forward(xp, input.reshape(view), out.reshape(view), w, b, eps)
    if running_mean is not None or running_var is not None:
        each = (samples, channels)
        follow(
            running_mean,
            running_var,
            mean.reshape(each).mean(axis=0),
            var.reshape(each).mean(axis=0),
            view[2],
            momentum,
        )
    return out, mean, rstd, weight is not None


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalise each channel of each sample of [batch, channels, spatial...].

    Running statistics, where given, move towards the mean over the batch; without `use_input_stats` they are
    used.
    Raises `ValueError` for one spatial element, `ShapeMismatchError` for other channels.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    attrs = {"momentum": momentum, "eps": eps}
    return apply(INSTANCE_NORM, (input, running_mean, running_var, weight, bias), attrs)  # type: ignore[no-any-return]
