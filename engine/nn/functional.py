"""The functions of the flat namespace under the name PyTorch programs import them by: `ds.nn.functional`."""

from typing import Any as _Any

from engine.ops import ctc as _ctc
from engine.ops import extra_loss as _extra_loss
from engine.ops import fold as _fold
from engine.ops import grid as _grid
from engine.ops import neighbours as _neighbours
from engine.ops import shrink as _shrink
from engine.ops import unpool as _unpool
from engine.ops.activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from engine.ops.adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from engine.ops.assemble import channel_shuffle
from engine.ops.attention import scaled_dot_product_attention
from engine.ops.blend import bilinear
from engine.ops.cdist import pdist
from engine.ops.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from engine.ops.ctc import *  # noqa: F403
from engine.ops.distance import (
    cosine_similarity,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    normalize,
    one_hot,
    smooth_l1_loss,
)
from engine.ops.extra_loss import *  # noqa: F403
from engine.ops.fold import *  # noqa: F403
from engine.ops.gates import (
    celu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    logsigmoid,
    mish,
    prelu,
    relu6,
    selu,
    softsign,
)
from engine.ops.grid import *  # noqa: F403
from engine.ops.group_norm import group_norm, instance_norm
from engine.ops.indexing import embedding
from engine.ops.linear import linear
from engine.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)
from engine.ops.neighbours import *  # noqa: F403
from engine.ops.noise import dropout
from engine.ops.norm import batch_norm, layer_norm, rms_norm
from engine.ops.pad import pad
from engine.ops.pool import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from engine.ops.repeating import pixel_shuffle, pixel_unshuffle
from engine.ops.resize import interpolate, upsample, upsample_bilinear, upsample_nearest
from engine.ops.shrink import *  # noqa: F403
from engine.ops.statistics import pairwise_distance
from engine.ops.unpool import *  # noqa: F403

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


def _in_place(function: _Any) -> _Any:
    def change(input: _Any, *args: _Any, **kwargs: _Any) -> _Any:
        return function(input, *args, inplace=True, **kwargs)

    change.__name__ = change.__qualname__ = f"{function.__name__}_"
    change.__doc__ = f"`{function.__name__}`, written into `input`."
    return change


celu_, elu_, hardtanh_, leaky_relu_ = map(_in_place, (celu, elu, hardtanh, leaky_relu))
relu_, rrelu_, selu_, threshold_ = map(_in_place, (relu, _shrink.rrelu, selu, _shrink.threshold))
__all__ += ["celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_"]


def _with_indices(function: _Any) -> _Any:
    def both(input: _Any, *args: _Any, **kwargs: _Any) -> _Any:
        return function(input, *args, **{**kwargs, "return_indices": True})

    both.__name__ = both.__qualname__ = f"{function.__name__}_with_indices"
    both.__doc__ = f"`{function.__name__}`, and where the largest elements lie."
    return both


for _function in (
    max_pool1d, max_pool2d, max_pool3d, adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d
):  # fmt: skip
    _made = _with_indices(_function)
    globals()[_made.__name__] = _made
    __all__ += [_made.__name__]
for _part in (_ctc, _extra_loss, _fold, _grid, _neighbours, _shrink, _unpool):
    __all__ += _part.__all__
