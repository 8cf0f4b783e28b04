"""The methods of a tensor that are functions of `engine.ops`, and its operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.ops import (
    activation,
    arithmetic,
    cast,
    close,
    comparison,
    exponential,
    indexing,
    layout,
    linear,
    masked,
    products,
    reduction,
    repeating,
    rounding,
    running,
    trigonometric,
)
from engine.ops import diagonal as diagonals
from engine.ops import gather as gathering
from engine.ops import part as parts
from engine.ops import scatter as scattering
from engine.ops import sort as sorting
from engine.ops import split as splitting
from engine.ops.inplace import replace
from engine.ops.noise import random_fill

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _in_place(op: Any) -> Any:
    def write(self: Tensor, other: Any) -> Tensor:
        return replace(self, op, (self, other))

    return write


class Methods:
    """What `Tensor` inherits: each function of the flat namespace that takes a tensor first."""

    __slots__ = ()

    # --- operators ---
    __add__ = arithmetic.add
    __radd__ = arithmetic.radd
    __sub__ = arithmetic.sub
    __rsub__ = arithmetic.rsub
    __mul__ = arithmetic.mul
    __rmul__ = arithmetic.mul
    __truediv__ = arithmetic.div
    __rtruediv__ = arithmetic.rdiv
    __floordiv__ = arithmetic.floor_divide
    __rfloordiv__ = arithmetic.rfloordiv
    __mod__ = arithmetic.remainder
    __rmod__ = arithmetic.rmod
    __pow__ = arithmetic.pow
    __rpow__ = arithmetic.rpow
    __matmul__ = linear.matmul
    __rmatmul__ = linear.rmatmul
    __neg__ = arithmetic.neg
    __abs__ = arithmetic.abs
    __eq__ = comparison.eq  # type: ignore[assignment]
    __ne__ = comparison.ne  # type: ignore[assignment]
    __lt__ = comparison.lt
    __le__ = comparison.le
    __gt__ = comparison.gt
    __ge__ = comparison.ge
    __and__ = comparison.bitwise_and
    __rand__ = comparison.bitwise_and
    __or__ = comparison.bitwise_or
    __ror__ = comparison.bitwise_or
    __xor__ = comparison.bitwise_xor
    __rxor__ = comparison.bitwise_xor
    __invert__ = comparison.bitwise_not

    # --- element by element ---
    add = arithmetic.add
    sub = arithmetic.sub
    mul = arithmetic.mul
    div = arithmetic.div
    true_divide = arithmetic.div
    neg = arithmetic.neg
    pow = arithmetic.pow
    square = arithmetic.square
    sqrt = arithmetic.sqrt
    rsqrt = arithmetic.rsqrt
    reciprocal = arithmetic.reciprocal
    abs = arithmetic.abs
    sign = arithmetic.sign
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    clamp = arithmetic.clamp
    clip = arithmetic.clamp
    remainder = arithmetic.remainder
    floor_divide = arithmetic.floor_divide
    exp = exponential.exp
    exp2 = exponential.exp2
    expm1 = exponential.expm1
    log = exponential.log
    log1p = exponential.log1p
    log2 = exponential.log2
    log10 = exponential.log10
    erf = exponential.erf
    sin = trigonometric.sin
    cos = trigonometric.cos
    tan = trigonometric.tan
    asin = trigonometric.asin
    acos = trigonometric.acos
    atan = trigonometric.atan
    atan2 = trigonometric.atan2
    sinh = trigonometric.sinh
    cosh = trigonometric.cosh
    asinh = trigonometric.asinh
    acosh = trigonometric.acosh
    atanh = trigonometric.atanh
    floor = rounding.floor
    ceil = rounding.ceil
    trunc = rounding.trunc
    round = rounding.round
    relu = activation.relu
    sigmoid = activation.sigmoid
    tanh = activation.tanh
    softmax = activation.softmax
    log_softmax = activation.log_softmax

    # --- comparisons and logic ---
    eq = comparison.eq
    ne = comparison.ne
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_xor = comparison.logical_xor
    logical_not = comparison.logical_not
    isnan = comparison.isnan
    isinf = comparison.isinf
    isfinite = comparison.isfinite
    masked_fill = comparison.masked_fill

    # --- over dimensions ---
    sum = reduction.sum
    mean = reduction.mean
    prod = reduction.prod
    max = reduction.max
    min = reduction.min
    amax = reduction.amax
    amin = reduction.amin
    argmax = reduction.argmax
    argmin = reduction.argmin
    var = reduction.var
    std = reduction.std
    logsumexp = reduction.logsumexp
    norm = reduction.norm
    cumsum = reduction.cumsum
    cumprod = running.cumprod
    any = reduction.any
    all = reduction.all

    # --- products ---
    matmul = linear.matmul
    mm = linear.mm
    bmm = linear.bmm
    outer = products.outer
    dot = products.dot
    mv = products.mv

    # --- arrangement ---
    reshape = layout.reshape
    view = layout.view
    flatten = layout.flatten
    unflatten = layout.unflatten
    squeeze = layout.squeeze
    unsqueeze = layout.unsqueeze
    permute = layout.permute
    transpose = layout.transpose
    t = layout.t
    expand = layout.expand
    expand_as = layout.expand_as
    broadcast_to = layout.broadcast_to
    repeat = layout.repeat
    flip = layout.flip
    split = splitting.split
    chunk = splitting.chunk
    unbind = splitting.unbind
    nonzero = indexing.nonzero
    gather = gathering.gather
    index_select = gathering.index_select
    clone = cast.clone
    contiguous = cast.contiguous

    select = parts.select
    narrow = parts.narrow
    movedim = parts.movedim
    swapdims = layout.transpose
    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk
    scatter = scattering.scatter
    scatter_add = scattering.scatter_add
    masked_select = masked.masked_select
    repeat_interleave = repeating.repeat_interleave
    roll = repeating.roll
    diagonal = diagonals.diagonal
    diag_embed = diagonals.diag_embed
    diag = diagonals.diag
    tril = diagonals.tril
    triu = diagonals.triu
    equal = close.equal
    allclose = close.allclose

    # The names NumPy has for what gradient rules call, so that one rule serves arrays and Tensors.

    def swapaxes(self: Any, axis1: int, axis2: int) -> Tensor:
        """`transpose`, under NumPy's name."""
        return layout.transpose(self, axis1, axis2)

    def astype(self: Any, dtype: Any) -> Tensor:
        """`to(dtype)`, under NumPy's name."""
        return cast.cast(self, dtype=dtype)

    # --- in place ---
    add_ = _in_place(arithmetic.ADD)
    sub_ = _in_place(arithmetic.SUB)
    mul_ = _in_place(arithmetic.MUL)
    div_ = _in_place(arithmetic.DIV)
    pow_ = _in_place(arithmetic.POW)
    __iadd__ = _in_place(arithmetic.ADD)
    __isub__ = _in_place(arithmetic.SUB)
    __imul__ = _in_place(arithmetic.MUL)
    __itruediv__ = _in_place(arithmetic.DIV)

    def neg_(self: Any) -> Tensor:
        """Negate in place."""
        return replace(self, arithmetic.NEG, (self,))

    def relu_(self: Any) -> Tensor:
        """Negative values become 0, in place."""
        return replace(self, activation.RELU, (self,))

    def exp_(self: Any) -> Tensor:
        """Exponential in place."""
        return replace(self, exponential.EXP, (self,))

    def sqrt_(self: Any) -> Tensor:
        """Square root in place."""
        return replace(self, arithmetic.SQRT, (self,))

    def clamp_(self: Any, min: Any = None, max: Any = None) -> Tensor:
        """Hold between `min` and `max`, in place."""
        return replace(self, arithmetic.CLAMP, (self,), {"min": min, "max": max})

    def masked_fill_(self: Any, mask: Any, value: Any) -> Tensor:
        """`value` where `mask` is true, in place."""
        return replace(self, comparison.MASKED_FILL, (self, mask), {"value": float(value)})

    def fill_(self: Any, value: Any) -> Tensor:
        """`value` everywhere, in place."""
        indexing.setitem(self, Ellipsis, value)
        return self  # type: ignore[no-any-return]

    def zero_(self: Any) -> Tensor:
        """0 everywhere, in place."""
        indexing.setitem(self, Ellipsis, 0)
        return self  # type: ignore[no-any-return]

    def copy_(self: Any, src: Any, non_blocking: bool = False) -> Tensor:
        """The values of `src`, broadcast, in place."""
        indexing.setitem(self, Ellipsis, src)
        return self  # type: ignore[no-any-return]

    def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Any = None) -> Tensor:
        """Uniform random numbers from `a` to `b`, in place."""
        return random_fill(self, "uniform", a, b, generator)

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
        """Normal random numbers, in place."""
        return random_fill(self, "normal", mean, std, generator)
