"""A define-by-run engine on NumPy and CuPy: tensors, exact gradients of any order, and events of all it does.

The names are PyTorch's. People write `import dsviz as ds` and find all of this there.
"""

import math as _math
from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

import numpy as _numpy

from engine import also as _also
from engine import amp, autograd, backends, cuda, linalg, nn, optim
from engine import memory_order as _memory_order
from engine import settings as _settings
from engine import threads as _threads
from engine.also import *  # noqa: F403
from engine.amp import report as amp_report
from engine.asserts import assert_shape
from engine.autocast import autocast
from engine.autograd import backward, grad
from engine.backend import Device as device  # noqa: N813 - PyTorch's name
from engine.bus import bus
from engine.config import ConfigError, configure, graph_config, load_config
from engine.creation import (
    arange,
    asarray,
    bernoulli,
    can_cast,
    detach,
    empty,
    empty_like,
    eye,
    fill,
    full,
    full_like,
    is_complex,
    is_floating_point,
    is_nonzero,
    linspace,
    logspace,
    ones,
    ones_like,
    promote_types,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    range,
    result_type,
    scalar_tensor,
    zeros,
    zeros_like,
)
from engine.custom import custom_op, register_derivative
from engine.dtype import (
    bfloat16,
    bool,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    set_default_dtype,
    short,
    uint8,
)
from engine.errors import DeviceMismatchError, DtypeMismatchError, ShapeMismatchError
from engine.files import FileFormatError, load, save
from engine.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from engine.jit.asking import jit, no_jit
from engine.jit.report import report as jit_report
from engine.memory_order import *  # noqa: F403
from engine.memory_report import memory_report
from engine.module import Module
from engine.nn import (
    CELU,
    ELU,
    GELU,
    GLU,
    GRU,
    LSTM,
    RNN,
    SELU,
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    BCELoss,
    BCEWithLogitsLoss,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    CosineSimilarity,
    CrossEntropyLoss,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    Embedding,
    Flatten,
    GroupNorm,
    GRUCell,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    HuberLoss,
    Identity,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    KLDivLoss,
    L1Loss,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    LSTMCell,
    MarginRankingLoss,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    Mish,
    ModuleDict,
    ModuleList,
    MSELoss,
    MultiheadAttention,
    NLLLoss,
    PixelShuffle,
    PReLU,
    ReLU,
    ReLU6,
    RMSNorm,
    RNNCell,
    Sequential,
    Sigmoid,
    SiLU,
    SmoothL1Loss,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    TransformerEncoder,
    TransformerEncoderLayer,
    Upsample,
)
from engine.op import OPS

# fmt: off
from engine.ops import (
    aliases as _aliases,
)
from engine.ops import (
    assemble as _assemble,
)
from engine.ops import (
    bessel as _bessel,
)
from engine.ops import (
    blend as _blend,
)
from engine.ops import (
    cdist as _cdist,
)
from engine.ops import (
    complex as _complex,
)
from engine.ops import (
    ctc as _ctc,
)
from engine.ops import (
    extra_loss as _extra_loss,
)
from engine.ops import (
    fold as _fold,
)
from engine.ops import (
    fourier as _fourier,  # noqa: F401 - a recording may name its ops
)
from engine.ops import (
    grid as _grid,
)
from engine.ops import (
    median as _median,
)
from engine.ops import (
    neighbours as _neighbours,
)
from engine.ops import (
    pairwise as _pairwise,
)
from engine.ops import (
    placed as _placed,
)
from engine.ops import (
    shrink as _shrink,
)
from engine.ops import (
    special as _special,
)
from engine.ops import (
    statistics as _statistics,
)
from engine.ops import (
    strided as _strided,
)
from engine.ops import (
    whole as _whole,
)
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
from engine.ops.aliases import *  # noqa: F403
from engine.ops.arithmetic import (
    abs,
    add,
    clamp,
    div,
    floor_divide,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    reciprocal,
    remainder,
    rsqrt,
    sign,
    sqrt,
    square,
    sub,
)
from engine.ops.assemble import *  # noqa: F403
from engine.ops.attention import scaled_dot_product_attention
from engine.ops.bessel import *  # noqa: F403
from engine.ops.blend import *  # noqa: F403
from engine.ops.cast import clone
from engine.ops.cdist import *  # noqa: F403
from engine.ops.close import allclose, equal, is_tensor, numel
from engine.ops.comparison import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    masked_fill,
    ne,
    where,
)
from engine.ops.complex import *  # noqa: F403
from engine.ops.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from engine.ops.ctc import *  # noqa: F403
from engine.ops.diagonal import diag, diag_embed, diagonal, tril, triu
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
from engine.ops.einsum import einsum
from engine.ops.exponential import erf, exp, exp2, expm1, log, log1p, log2, log10
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
from engine.ops.gather import gather, index_select
from engine.ops.grid import *  # noqa: F403
from engine.ops.group_norm import group_norm, instance_norm
from engine.ops.indexing import embedding, nonzero
from engine.ops.layout import (
    broadcast_to,
    cat,
    flatten,
    flip,
    permute,
    repeat,
    reshape,
    squeeze,
    stack,
    t,
    transpose,
    unflatten,
    unsqueeze,
)
from engine.ops.length import norm
from engine.ops.linear import bmm, linear, matmul, mm
from engine.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)
from engine.ops.masked import masked_select
from engine.ops.median import *  # noqa: F403
from engine.ops.neighbours import *  # noqa: F403
from engine.ops.noise import dropout, normal, poisson
from engine.ops.norm import batch_norm, layer_norm, rms_norm
from engine.ops.pad import pad
from engine.ops.pairwise import *  # noqa: F403
from engine.ops.part import movedim, narrow, select
from engine.ops.placed import *  # noqa: F403
from engine.ops.pool import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from engine.ops.products import dot, mv, outer, tensordot
from engine.ops.reduction import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from engine.ops.repeating import pixel_shuffle, pixel_unshuffle, repeat_interleave, roll
from engine.ops.resize import interpolate, upsample
from engine.ops.rounding import ceil, floor, round, trunc
from engine.ops.running import cumprod
from engine.ops.scatter import scatter, scatter_add
from engine.ops.shrink import *  # noqa: F403
from engine.ops.sort import argsort, sort, topk
from engine.ops.special import *  # noqa: F403
from engine.ops.split import chunk, split, unbind
from engine.ops.statistics import *  # noqa: F403
from engine.ops.strided import *  # noqa: F403
from engine.ops.trigonometric import acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, sin, sinh, tan
from engine.ops.whole import *  # noqa: F403
from engine.partition import Partition, partition
from engine.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from engine.reuse import report as reuse_report
from engine.settings import *  # noqa: F403
from engine.size import Size
from engine.state_dict import StateError
from engine.stream import stream_graph
from engine.switches import switches
from engine.tensor import Parameter, Tensor, as_tensor, from_numpy, tensor
from engine.threads import *  # noqa: F403
from engine.trace import Graph, trace

# fmt: on

if TYPE_CHECKING:
    from engine import accelerator as accelerator
    from engine import distributed as distributed
    from engine import distributions as distributions
    from engine import fft as fft
    from engine import special as special
    from engine import testing as testing
    from engine import utils as utils

# What PyTorch has as types and constants, and NumPy has already.
finfo, iinfo = _numpy.finfo, _numpy.iinfo
inf, nan, pi, e = _math.inf, _math.nan, _math.pi, _math.e
newaxis = None

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "OPS",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "ConfigError",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "DeviceMismatchError",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "DtypeMismatchError",
    "Embedding",
    "FileFormatError",
    "Flatten",
    "GRUCell",
    "Generator",
    "Graph",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "Partition",
    "PixelShuffle",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "Sequential",
    "ShapeMismatchError",
    "SiLU",
    "Sigmoid",
    "Size",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Softsign",
    "StateError",
    "Tanh",
    "Tensor",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Upsample",
    "abs",
    "acos",
    "acosh",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "add",
    "all",
    "allclose",
    "amax",
    "amin",
    "amp",
    "amp_report",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "as_tensor",
    "asarray",
    "asin",
    "asinh",
    "assert_shape",
    "atan",
    "atan2",
    "atanh",
    "autocast",
    "autograd",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "backends",
    "backward",
    "batch_norm",
    "bernoulli",
    "bfloat16",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "bmm",
    "bool",
    "broadcast_to",
    "bus",
    "can_cast",
    "cat",
    "cdouble",
    "ceil",
    "celu",
    "cfloat",
    "chunk",
    "clamp",
    "clone",
    "complex64",
    "complex128",
    "configure",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cos",
    "cosh",
    "cosine_similarity",
    "cross_entropy",
    "cuda",
    "cumprod",
    "cumsum",
    "custom_op",
    "detach",
    "device",
    "diag",
    "diag_embed",
    "diagonal",
    "div",
    "dot",
    "double",
    "dropout",
    "e",
    "einsum",
    "elu",
    "embedding",
    "empty",
    "empty_like",
    "enable_grad",
    "eq",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "eye",
    "fill",
    "finfo",
    "flatten",
    "flip",
    "float",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_numpy",
    "full",
    "full_like",
    "gather",
    "ge",
    "gelu",
    "get_default_dtype",
    "get_rng_state",
    "glu",
    "grad",
    "graph_config",
    "group_norm",
    "gt",
    "half",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "iinfo",
    "index_select",
    "inf",
    "inference_mode",
    "initial_seed",
    "instance_norm",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "interpolate",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_nonzero",
    "is_tensor",
    "isfinite",
    "isinf",
    "isnan",
    "jit",
    "jit_report",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "le",
    "leaky_relu",
    "linalg",
    "linear",
    "linspace",
    "load",
    "load_config",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsigmoid",
    "logspace",
    "logsumexp",
    "long",
    "lt",
    "manual_seed",
    "margin_ranking_loss",
    "masked_fill",
    "masked_select",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "maximum",
    "mean",
    "memory_report",
    "min",
    "minimum",
    "mish",
    "mm",
    "movedim",
    "mse_loss",
    "mul",
    "mv",
    "nan",
    "narrow",
    "ne",
    "neg",
    "newaxis",
    "nll_loss",
    "nn",
    "no_grad",
    "no_jit",
    "nonzero",
    "norm",
    "normal",
    "normalize",
    "numel",
    "one_hot",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "pad",
    "partition",
    "permute",
    "pi",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson",
    "pow",
    "prelu",
    "prod",
    "promote_types",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "range",
    "reciprocal",
    "register_derivative",
    "relu",
    "relu6",
    "remainder",
    "repeat",
    "repeat_interleave",
    "reshape",
    "result_type",
    "reuse_report",
    "rms_norm",
    "roll",
    "round",
    "rsqrt",
    "save",
    "scalar_tensor",
    "scaled_dot_product_attention",
    "scatter",
    "scatter_add",
    "seed",
    "select",
    "selu",
    "set_default_dtype",
    "set_grad_enabled",
    "set_rng_state",
    "short",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stream_graph",
    "sub",
    "sum",
    "switches",
    "t",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "unbind",
    "unflatten",
    "unsqueeze",
    "upsample",
    "var",
    "where",
    "zeros",
    "zeros_like",
]
for _part in (
    _aliases,
    _also,
    _memory_order,
    _bessel,
    _strided,
    _whole,
    _assemble,
    _blend,
    _cdist,
    _complex,
    _ctc,
    _extra_loss,
    _fold,
    _grid,
    _median,
    _neighbours,
    _pairwise,
    _placed,
    _settings,
    _shrink,
    _special,
    _statistics,
    _threads,
):
    __all__ += _part.__all__

# Subpackages few programs use, loaded when asked for. Not in __all__, which `import dsviz` goes through.
_LAZY = (
    "accelerator",
    "compiler",
    "distributed",
    "distributions",
    "fft",
    "func",
    "special",
    "testing",
    "utils",
)


def __getattr__(name: str) -> _Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return _import_module(f"engine.{name}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, *_LAZY])
