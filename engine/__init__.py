"""A define-by-run engine on NumPy and CuPy: tensors, exact gradients of any order, and events of all it does.

The names are PyTorch's. People write `import dsviz as ds` and find all of this there.
"""

from engine import nn, optim
from engine.asserts import assert_shape
from engine.autograd import backward, grad
from engine.bus import bus
from engine.creation import (
    arange, bernoulli, empty, empty_like, eye, full, full_like, linspace, ones, ones_like, rand, rand_like,
    randint, randn, randn_like, randperm, zeros, zeros_like,
)  # fmt: skip
from engine.dtype import get_default_dtype, set_default_dtype
from engine.errors import DeviceMismatchError, DtypeMismatchError, ShapeMismatchError
from engine.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from engine.module import Module
from engine.nn import (
    ELU, GELU, BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Dropout, Embedding, Flatten, Identity, L1Loss,
    LeakyReLU, Linear, LogSoftmax, LSTMCell, ModuleDict, ModuleList, MSELoss, NLLLoss, ReLU, Sequential, Sigmoid,
    SiLU, Softmax, Softplus, Tanh,
)  # fmt: skip
from engine.op import OPS
from engine.ops.activation import (
    elu, gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh,
)  # fmt: skip
from engine.ops.arithmetic import (
    abs, add, clamp, div, floor_divide, maximum, minimum, mul, neg, pow, reciprocal, remainder, rsqrt, sign, sqrt,
    square, sub,
)  # fmt: skip
from engine.ops.cast import clone
from engine.ops.comparison import (
    eq, ge, gt, isfinite, isinf, isnan, le, logical_and, logical_not, logical_or, logical_xor, lt, masked_fill, ne,
    where,
)  # fmt: skip
from engine.ops.exponential import erf, exp, exp2, expm1, log, log1p, log2, log10
from engine.ops.gather import gather, index_select
from engine.ops.indexing import embedding, nonzero
from engine.ops.layout import (
    broadcast_to, cat, flatten, flip, permute, repeat, reshape, squeeze, stack, t, transpose, unflatten, unsqueeze,
)  # fmt: skip
from engine.ops.linear import bmm, linear, matmul, mm
from engine.ops.loss import (
    binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, l1_loss, mse_loss, nll_loss,
)  # fmt: skip
from engine.ops.noise import dropout
from engine.ops.reduction import (
    all, amax, amin, any, argmax, argmin, cumsum, logsumexp, max, mean, min, norm, prod, std, sum, var,
)  # fmt: skip
from engine.ops.rounding import ceil, floor, round, trunc
from engine.ops.split import chunk, split, unbind
from engine.ops.trigonometric import (
    acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, sin, sinh, tan,
)  # fmt: skip
from engine.random import Generator, initial_seed, manual_seed
from engine.switches import switches
from engine.tensor import Parameter, Tensor, as_tensor, from_numpy, tensor
from engine.trace import Graph, trace

__all__ = [
    "ELU", "GELU", "OPS", "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "DeviceMismatchError", "Dropout",
    "DtypeMismatchError", "Embedding", "Flatten", "Generator", "Graph", "Identity", "L1Loss", "LSTMCell",
    "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter",
    "ReLU", "Sequential", "ShapeMismatchError", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "Tensor", "abs",
    "acos", "acosh", "add", "all", "amax", "amin", "any", "arange", "argmax", "argmin", "as_tensor", "asin",
    "asinh", "assert_shape", "atan", "atan2", "atanh", "backward", "bernoulli", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "bmm", "broadcast_to", "bus", "cat", "ceil", "chunk", "clamp", "clone",
    "cos", "cosh", "cross_entropy", "cumsum", "div", "dropout", "elu", "embedding", "empty", "empty_like",
    "enable_grad", "eq", "erf", "exp", "exp2", "expm1", "eye", "flatten", "flip", "floor", "floor_divide",
    "from_numpy", "full", "full_like", "gather", "ge", "gelu", "get_default_dtype", "grad", "gt", "index_select",
    "initial_seed", "is_grad_enabled", "isfinite", "isinf", "isnan", "l1_loss", "le", "leaky_relu", "linear",
    "linspace", "log", "log10", "log1p", "log2", "log_softmax", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logsumexp", "lt", "manual_seed", "masked_fill", "matmul", "max", "maximum", "mean", "min",
    "minimum", "mm", "mse_loss", "mul", "ne", "neg", "nll_loss", "nn", "no_grad", "nonzero", "norm", "ones",
    "ones_like", "optim", "permute", "pow", "prod", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "reciprocal", "relu", "remainder", "repeat", "reshape", "round", "rsqrt", "set_default_dtype",
    "set_grad_enabled", "sigmoid", "sign", "silu", "sin", "sinh", "softmax", "softplus", "split", "sqrt", "square",
    "squeeze", "stack", "std", "sub", "sum", "switches", "t", "tan", "tanh", "tensor", "trace", "transpose",
    "trunc", "unbind", "unflatten", "unsqueeze", "var", "where", "zeros", "zeros_like",
]  # fmt: skip
