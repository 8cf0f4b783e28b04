"""Activations, and softmax with its logarithm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply, unary
from engine.dnn import elementwise, loop
from engine.located import located
from engine.op import HOLOMORPHIC, op
from engine.ops.arithmetic import UNARY
from engine.ops.exponential import erf_in_place, erf_of, pieces
from engine.ops.inplace import over
from engine.ops.nested import on_arrays, on_gpu
from engine.pool import compute, is_last, pool

if TYPE_CHECKING:
    from engine.tensor import Tensor

ACTIVATION: dict[str, Any] = {**UNARY, "family": "activation", "dtype": dtype.floating}


def foresee(source: Any) -> None:
    """A relu took the result of this node, a normalisation or the sum of one and something older: next time they are
    computed together, unless somebody looks at what is between."""
    what = "relu"
    if source.op.name == "add":
        source, what = min((n for n in source.inputs if n is not None), key=lambda n: n.order), "sum"
    if source.op is not None and source.op.name == "batch_norm":
        weight = source.inputs[3]
        if weight is not None and weight.foreseen is None:
            weight.foreseen = what


def _relu_vjp(xp: Any, g: Any, out: Any, input: Any, *, spare: bool = False) -> Any:
    if xp is np and type(out) is np.ndarray:
        if (
            out.size >= loop.ENOUGH
            and input is not None
            and input.op is not None
            and input.op.name in ("batch_norm", "add")
        ):
            foresee(input)
        fast = elementwise.relu_gradient(g, out, spare)
        if fast is not None:
            return fast
        positive = np.greater(out, 0, out=pool.like(out, np.bool_)) if out.ndim else out > 0
        return np.multiply(g, positive, out=g) if spare else compute(np.multiply, g, positive)
    return g * (out > 0)


@op(
    "relu",
    **{**ACTIVATION, "dtype": dtype.first},
    onnx="Relu",
    formula="max(input, 0)",
    vjp=_relu_vjp,
    overwrites=True,
    saves=("out",),
)
def RELU(xp: Any, input: Any) -> Any:
    """Negative values become 0."""
    if xp is not np:
        return xp.maximum(input, 0)
    if input.size >= loop.ENOUGH and (input.flags.c_contiguous or is_last(input)):
        made = pool.like(input)
        if loop.relu(input, made):
            return made
    return compute(np.maximum, input, 0)


def _sigmoid_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    if not on_arrays(xp):
        return g * (out * (1 - out))
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.gradient("sigmoid_gradient", g, out)) is not None:
            return fast
    slope = 1 - out
    slope *= out
    slope *= g
    return slope


@op(
    "sigmoid",
    complex=HOLOMORPHIC,
    **ACTIVATION,
    onnx="Sigmoid",
    formula="1 / (1 + e^-input)",
    vjp=_sigmoid_vjp,
    saves=("out",),
)
def SIGMOID(xp: Any, input: Any) -> Any:
    """Logistic function."""
    return sigmoid_of(xp, input)


def sigmoid_of(xp: Any, x: Any) -> Any:
    """The logistic function on raw arrays, in float32 for shorter types.

    1 / (1 + e^-x) keeps all digits where it is small, and its logarithm with them; where e^-x overflows it is 0.
    """
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.unary("sigmoid", x)) is not None:
            return fast
    if xp is np and x.dtype.char in "eE":  # rounded once, at the end (E: bfloat16)
        return sigmoid_of(np, x.astype(np.float32)).astype(x.dtype)
    if type(x) is np.ndarray and x.ndim and x.dtype.kind == "f":
        out = np.negative(x)
        np.exp(out, out=out)
        out += 1
        return np.reciprocal(out, out=out)
    if x.dtype.kind == "c":  # does not overflow
        return xp.tanh(x * 0.5) * 0.5 + 0.5
    return 1 / (xp.exp(-x) + 1)


def _tanh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    if not on_arrays(xp):
        return g * (1 - out * out)
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.gradient("tanh_gradient", g, out)) is not None:
            return fast
    slope = out * out
    slope = xp.subtract(1, slope, out=slope) if type(slope) is np.ndarray else 1 - slope
    slope *= g
    return slope


@op(
    "tanh",
    complex=HOLOMORPHIC,
    **ACTIVATION,
    ufunc="tanh",
    onnx="Tanh",
    formula="tanh input",
    vjp=_tanh_vjp,
    saves=("out",),
)
def TANH(xp: Any, input: Any) -> Any:
    """Hyperbolic tangent."""
    return xp.tanh(input)


def _gelu_vjp(xp: Any, g: Any, out: Any, input: Any, *, approximate: str) -> Any:
    if approximate == "tanh":
        if xp is np and (fast := elementwise.gelu_gradient(g, input, elementwise.GELU_TANH)) is not None:
            return fast
        k = math.sqrt(2 / math.pi)
        t = xp.tanh((input + input * input * input * 0.044715) * k)
        slope = (t + 1) * 0.5 + input * (1 - t * t) * (input * input * (3 * 0.044715) + 1) * (0.5 * k)
        return g * slope
    if xp is np:
        fast = elementwise.gelu_gradient(g, input)
        if fast is not None:
            return fast
        if type(input) is np.ndarray and input.dtype == g.dtype == np.float32:
            return _gelu_gradient(g, input)
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.gradient("gelu_gradient", g, input)) is not None:
            return fast
    density = xp.exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi))
    cumulative = (
        xp.erf(input * math.sqrt(0.5)) if hasattr(xp, "erf") else erf_of(xp, input * math.sqrt(0.5))
    ) * 0.5 + 0.5
    return g * (cumulative + input * density)


def _cumulative(part: Any) -> Any:
    """The normal distribution's cumulative probability of a line of float32."""
    made = part * np.float32(math.sqrt(0.5))
    erf_in_place(made)
    made *= np.float32(0.5)
    made += np.float32(0.5)
    return made


def _gelu(input: Any) -> Any:
    """gelu of float32 on NumPy, a cacheful at a time."""
    out = pool.empty(input.shape, np.float32)
    for part, into in pieces(input, out):
        np.multiply(part, _cumulative(part), out=into)
    return out


def _gelu_gradient(g: Any, input: Any) -> Any:
    """`g` times the slope of gelu, of float32 on NumPy, a cacheful at a time."""
    out = pool.empty(input.shape, np.float32)
    for coming, part, into in pieces(g, input, out):
        density = part * part
        density *= np.float32(-0.5)
        np.exp(density, out=density)
        density *= np.float32(1 / math.sqrt(2 * math.pi))
        density *= part
        density += _cumulative(part)
        np.multiply(coming, density, out=into)
    return out


@op(
    "gelu",
    **ACTIVATION,
    quiet=True,
    onnx="Gelu",
    formula="input Φ(input)",
    vjp=_gelu_vjp,
    saves=("input",),
    source="Hendrycks and Gimpel 2016, arXiv:1606.08415",
)
def GELU(xp: Any, input: Any, *, approximate: str) -> Any:
    """The input times the normal distribution's cumulative probability of it."""
    if approximate == "tanh":
        if xp is np and (fast := elementwise.gelu(input, elementwise.GELU_TANH)) is not None:
            return fast
        return (
            input * 0.5 * (1 + xp.tanh(math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)))
        )
    if xp is np and type(input) is np.ndarray and input.dtype == np.float32:
        fast = elementwise.gelu(input)
        return _gelu(input) if fast is None else fast
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.unary("gelu", input)) is not None:
            return fast
    return input * (erf_of(xp, input * math.sqrt(0.5)) * 0.5 + 0.5)


def _logistic(xp: Any, x: Any) -> Any:
    """The logistic function in a gradient rule, on arrays or Tensors."""
    return xp.tanh(x * 0.5) * 0.5 + 0.5


def _silu_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    s = _logistic(xp, input)
    return g * (s * (input * (1 - s) + 1))


@op(
    "silu",
    complex=HOLOMORPHIC,
    **ACTIVATION,
    quiet=True,
    formula="input sigmoid(input)",
    vjp=_silu_vjp,
    saves=("input",),
)
def SILU(xp: Any, input: Any) -> Any:
    """The input times its sigmoid, also called swish."""
    return input * sigmoid_of(xp, input)


def _leaky_vjp(xp: Any, g: Any, out: Any, input: Any, *, negative_slope: float) -> Any:
    return loop.chosen(xp, input > 0, g, g * negative_slope)


@op(
    "leaky_relu",
    **ACTIVATION,
    onnx="LeakyRelu",
    formula="input if input > 0 else negative_slope input",
    vjp=_leaky_vjp,
    saves=("input",),
)
def LEAKY_RELU(xp: Any, input: Any, *, negative_slope: float) -> Any:
    """Negative values are scaled instead of cut."""
    return loop.chosen(xp, input > 0, input, input * negative_slope)


def _elu_vjp(xp: Any, g: Any, out: Any, input: Any, *, alpha: float) -> Any:
    return loop.chosen(xp, input > 0, g, g * (xp.exp(xp.minimum(input, 0)) * alpha))


@op(
    "elu",
    **ACTIVATION,
    quiet=True,
    onnx="Elu",
    formula="input if input > 0 else alpha (e^input - 1)",
    vjp=_elu_vjp,
    saves=("input",),
)
def ELU(xp: Any, input: Any, *, alpha: float) -> Any:
    """Negative values approach -alpha smoothly."""
    return loop.chosen(xp, input > 0, input, alpha * xp.expm1(xp.minimum(input, 0)))


# Elements from which it pays to go a cacheful at a time.
LARGE = 1 << 15


def _by_pieces(function: Any, *arrays: Any) -> Any:
    """`function` of large arrays of one floating type on NumPy, a cacheful at a time; None for others."""
    first = arrays[0]
    if any(type(a) is not np.ndarray or a.dtype != first.dtype or not a.flags.c_contiguous for a in arrays):
        return None
    if first.size < LARGE or first.dtype.char not in "fd" or any(a.shape != first.shape for a in arrays):
        return None
    out = pool.empty(first.shape, first.dtype)
    for *parts, into in pieces(*arrays, out):
        into[...] = function(*parts)
    return out


def _softplus(x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    soft = np.abs(scaled)
    np.negative(soft, out=soft)
    np.exp(soft, out=soft)
    np.log1p(soft, out=soft)
    soft += np.maximum(scaled, 0)
    soft /= beta
    np.copyto(soft, x, where=scaled > threshold)
    return soft


def _softplus_gradient(g: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    slope = scaled * 0.5
    np.tanh(slope, out=slope)
    slope *= 0.5
    slope += 0.5
    slope *= g
    np.copyto(slope, g, where=scaled > threshold)
    return slope


def _softplus_vjp(xp: Any, g: Any, out: Any, input: Any, *, beta: float, threshold: float) -> Any:
    if xp is np:
        made = _by_pieces(lambda a, b: _softplus_gradient(a, b, beta, threshold), g, input)
        if made is not None:
            return made
    return loop.chosen(xp, input * beta > threshold, g, g * _logistic(xp, input * beta))


@op(
    "softplus",
    **ACTIVATION,
    quiet=True,
    onnx="Softplus",
    formula="ln(1 + e^(beta input)) / beta",
    vjp=_softplus_vjp,
    saves=("input",),
)
def SOFTPLUS(xp: Any, input: Any, *, beta: float, threshold: float) -> Any:
    """A smooth relu; above `threshold` it is the input itself."""
    if xp is np and (made := _by_pieces(lambda x: _softplus(x, beta, threshold), input)) is not None:
        return made
    scaled = input * beta
    soft = (xp.maximum(scaled, 0) + xp.log1p(xp.exp(-xp.abs(scaled)))) / beta
    return loop.chosen(xp, scaled > threshold, input, soft)


# --- over a dimension --------------------------------------------------------------------------------


def _over_dim(input: Any, *, dim: int) -> Any:
    shape = shapes.sizes(input)
    shapes.check_dim(dim, len(shape))
    return shape


OVER_DIM: dict[str, Any] = {**ACTIVATION, "shape": _over_dim, "quiet": True}


# Elements that softmax works on at a time: what a cache holds.
ROWS = 1 << 16


def rows(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Arrays of one shape as tables of their last dimension, a cacheful of rows at a time."""
    tables = [a.reshape(-1, a.shape[-1]) for a in arrays]
    step = max(1, ROWS // tables[0].shape[1])
    for start in range(0, len(tables[0]), step):
        yield tuple([table[start : start + step] for table in tables])


def _softmax_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int) -> Any:
    if xp is np and dim in (-1, out.ndim - 1):
        fast = elementwise.softmax_gradient(g, out)
        if fast is not None:
            return fast
        if type(out) is np.ndarray and out.size > ROWS and g.dtype == out.dtype:
            made = pool.empty(out.shape, out.dtype)
            for coming, part, into in rows(g, out, made):
                np.multiply(coming, part, out=into)
                total = into.sum(axis=1, keepdims=True)
                np.subtract(coming, total, out=into)
                into *= part
            return made
    if on_gpu(xp) and dim in (-1, out.ndim - 1):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.softmax_gradient(g, out, False)) is not None:
            return fast
    product = g * out
    return product - out * xp.sum(product, axis=dim, keepdims=True)


@op("softmax", **OVER_DIM, onnx="Softmax", formula="e^input / Σ e^input", vjp=_softmax_vjp, saves=("out",))
def SOFTMAX(xp: Any, input: Any, *, dim: int) -> Any:
    """Positive values that sum to 1 along `dim`."""
    if not input.size:
        return input.copy()
    if xp is np and dim in (-1, input.ndim - 1):
        fast = elementwise.softmax(input)
        if fast is not None:
            return fast
        if type(input) is np.ndarray and input.dtype.kind == "f" and input.size > ROWS:
            made = pool.empty(input.shape, input.dtype)
            for part, into in rows(input, made):
                np.subtract(part, part.max(axis=1, keepdims=True), out=into)
                np.exp(into, out=into)
                into /= into.sum(axis=1, keepdims=True)
            return made
    if on_gpu(xp) and dim in (-1, input.ndim - 1):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.softmax(input, False)) is not None:
            return fast
    shifted = xp.exp(input - input.max(axis=dim, keepdims=True))
    shifted /= shifted.sum(axis=dim, keepdims=True)
    return shifted


def _log_softmax_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int) -> Any:
    if on_gpu(xp) and dim in (-1, out.ndim - 1):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.softmax_gradient(g, out, True)) is not None:
            return fast
    return g - xp.exp(out) * xp.sum(g, axis=dim, keepdims=True)


@op(
    "log_softmax",
    **OVER_DIM,
    onnx="LogSoftmax",
    formula="input - ln Σ e^input",
    vjp=_log_softmax_vjp,
    saves=("out",),
)
def LOG_SOFTMAX(xp: Any, input: Any, *, dim: int) -> Any:
    """Logarithm of softmax, computed without underflow."""
    return log_softmax_of(xp, input, dim)


def log_softmax_of(xp: Any, x: Any, dim: int) -> Any:
    """log softmax on raw arrays."""
    if not x.size:
        return x.copy()
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=dim, keepdims=True))


# --- the functions people call ----------------------------------------------------------------------


def relu(input: Any, inplace: bool = False) -> Tensor:
    """`max(input, 0)`; `inplace` writes it over `input`."""
    if type(input) is _Foreseen:
        made = _known(input)
        if made is not None:
            if inplace:  # its own memory was never written, so nobody else has it
                input.array, input.node = made.array, made.node
                return input  # type: ignore[no-any-return]
            return made  # type: ignore[no-any-return]
    if inplace:
        return over(input, relu)
    return unary(RELU, input)


def bind(foreseen: Any, relu: Any) -> None:
    """Called once by foreseen.py, which is made of this."""
    global _Foreseen, _known
    _Foreseen, _known = foreseen, relu


_Foreseen: Any = None
_known: Any = None


def sigmoid(input: Any) -> Tensor:
    """`1 / (1 + exp(-input))`."""
    return unary(SIGMOID, input)


def tanh(input: Any) -> Tensor:
    """Hyperbolic tangent."""
    return unary(TANH, input)


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """`input` times the normal distribution's cumulative probability; `approximate` is "none" or "tanh"."""
    if approximate not in ("none", "tanh"):
        raise located(ValueError(f'approximate is "none" or "tanh", got {approximate!r}'))
    return apply(GELU, (input,), {"approximate": approximate})  # type: ignore[no-any-return]


def silu(input: Any, inplace: bool = False) -> Tensor:
    """`input * sigmoid(input)`."""
    if inplace:
        return over(input, silu)
    return unary(SILU, input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where positive, `negative_slope * input` elsewhere."""
    if inplace:
        return over(input, leaky_relu, negative_slope)
    return apply(LEAKY_RELU, (input,), {"negative_slope": negative_slope})  # type: ignore[no-any-return]


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, `alpha * (exp(input) - 1)` elsewhere."""
    if inplace:
        return over(input, elu, alpha)
    return apply(ELU, (input,), {"alpha": alpha})  # type: ignore[no-any-return]


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """`log(1 + exp(beta * input)) / beta`; the input itself where `beta * input > threshold`."""
    return apply(SOFTPLUS, (input,), {"beta": beta, "threshold": threshold})  # type: ignore[no-any-return]


def _implied(name: str, input: Any) -> int:
    """The dimension PyTorch takes where none is given."""
    rank = len(input.shape)
    if rank <= 2:
        return -1
    dim = 0 if rank == 3 else 1
    warnings.warn(
        f"{name} without dim takes dimension {dim} of {rank}; say dim={dim}, or dim=-1", stacklevel=3
    )
    return dim


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Positive values that sum to 1 along `dim`. `dtype` casts the input first.

    Without `dim` it is the last of one or two dimensions; of more it is what PyTorch took before it asked for `dim`, the
    first of three and the second of others, with a warning.
    """
    if dtype is not None:
        input = input.to(dtype)
    return apply(SOFTMAX, (input,), {"dim": _implied("softmax", input) if dim is None else dim})  # type: ignore[no-any-return]


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Logarithm of `softmax`, computed without underflow."""
    if dtype is not None:
        input = input.to(dtype)
    return apply(LOG_SOFTMAX, (input,), {"dim": _implied("log_softmax", input) if dim is None else dim})  # type: ignore[no-any-return]
