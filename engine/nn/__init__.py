"""Modules, under PyTorch's names."""

import sys as _sys

from engine.module import Module
from engine.nn import extra_loss as _extra_loss
from engine.nn import functional, init, utils
from engine.nn import lazy as _lazy
from engine.nn import padding as _padding
from engine.nn import parameters as _parameters
from engine.nn import rearrange as _rearrange
from engine.nn import shrink as _shrink
from engine.nn import transformer as _transformer
from engine.nn.activation import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from engine.nn.adaptive import AdaptiveLogSoftmaxWithLoss
from engine.nn.attention import MultiheadAttention, TransformerEncoder, TransformerEncoderLayer
from engine.nn.container import ModuleDict, ModuleList, Sequential
from engine.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from engine.nn.distance import CosineSimilarity, HuberLoss, KLDivLoss, MarginRankingLoss, SmoothL1Loss
from engine.nn.dropout import Dropout, Dropout1d, Dropout2d, Dropout3d
from engine.nn.embedding import Embedding
from engine.nn.extra_loss import *  # noqa: F403
from engine.nn.gates import (
    CELU,
    GLU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LogSigmoid,
    Mish,
    PReLU,
    ReLU6,
    Softsign,
)
from engine.nn.lazy import *  # noqa: F403
from engine.nn.linear import Flatten, Identity, Linear
from engine.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from engine.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    RMSNorm,
)
from engine.nn.padding import *  # noqa: F403
from engine.nn.parallel import DataParallel, SyncBatchNorm
from engine.nn.parameters import *  # noqa: F403
from engine.nn.pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
    PixelShuffle,
    Upsample,
)
from engine.nn.rearrange import *  # noqa: F403
from engine.nn.recurrent import GRUCell, LSTMCell, RNNCell, RNNCellBase
from engine.nn.sequence import GRU, LSTM, RNN
from engine.nn.sequence import _Recurrent as RNNBase
from engine.nn.shrink import *  # noqa: F403
from engine.nn.transformer import *  # noqa: F403
from engine.tensor import Buffer, Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveLogSoftmaxWithLoss",
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
    "Buffer",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "DataParallel",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "Flatten",
    "GRUCell",
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
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "PixelShuffle",
    "RMSNorm",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Softsign",
    "SyncBatchNorm",
    "Tanh",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Upsample",
    "functional",
    "init",
    "utils",
]
for _part in (_extra_loss, _lazy, _padding, _parameters, _rearrange, _shrink, _transformer):
    __all__ += _part.__all__

# PyTorch's paths to the same: `nn.modules.conv.Conv2d`, `nn.parameter.Parameter`.
modules = parameter = _sys.modules[__name__]
