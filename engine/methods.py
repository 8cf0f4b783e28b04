"""The methods of a tensor that are functions of `engine.ops`, and its operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.ops import (
    activation,
    aliases,
    arithmetic,
    assemble,
    bessel,
    blend,
    cast,
    close,
    comparison,
    complex,
    exponential,
    indexing,
    layout,
    length,
    linear,
    masked,
    pairwise,
    placed,
    products,
    reduction,
    repeating,
    rounding,
    running,
    shrink,
    special,
    statistics,
    strided,
    trigonometric,
    whole,
)
from engine.ops import diagonal as diagonals
from engine.ops import gather as gathering
from engine.ops import median as medians
from engine.ops import part as parts
from engine.ops import scatter as scattering
from engine.ops import sort as sorting
from engine.ops import split as splitting

if TYPE_CHECKING:
    from engine.tensor import Tensor


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
    __pos__ = pairwise.positive
    __abs__ = arithmetic.abs
    __eq__ = comparison.equals  # type: ignore[assignment]
    __ne__ = comparison.differs  # type: ignore[assignment]
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
    __lshift__ = pairwise.bitwise_left_shift
    __rshift__ = pairwise.bitwise_right_shift

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
    norm = length.norm
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

    # --- and the rest ---
    absolute = aliases.absolute
    arccos = aliases.arccos
    arccosh = aliases.arccosh
    arcsin = aliases.arcsin
    arcsinh = aliases.arcsinh
    arctan = aliases.arctan
    arctan2 = aliases.arctan2
    arctanh = aliases.arctanh
    divide = aliases.divide
    fix = aliases.fix
    ger = aliases.ger
    greater = aliases.greater
    greater_equal = aliases.greater_equal
    less = aliases.less
    less_equal = aliases.less_equal
    moveaxis = aliases.moveaxis
    multiply = aliases.multiply
    negative = aliases.negative
    not_equal = aliases.not_equal
    subtract = aliases.subtract
    swapaxes = aliases.swapaxes

    digamma = special.digamma
    erfc = special.erfc
    erfinv = special.erfinv
    lgamma = special.lgamma

    addcdiv = pairwise.addcdiv
    addcmul = pairwise.addcmul
    clamp_max = pairwise.clamp_max
    clamp_min = pairwise.clamp_min
    copysign = pairwise.copysign
    deg2rad = pairwise.deg2rad
    float_power = pairwise.float_power
    fmax = pairwise.fmax
    fmin = pairwise.fmin
    fmod = pairwise.fmod
    frac = pairwise.frac
    heaviside = pairwise.heaviside
    hypot = pairwise.hypot
    isclose = pairwise.isclose
    isneginf = pairwise.isneginf
    isposinf = pairwise.isposinf
    isreal = complex.isreal
    ldexp = pairwise.ldexp
    lerp = pairwise.lerp
    logaddexp = pairwise.logaddexp
    logaddexp2 = pairwise.logaddexp2
    logit = pairwise.logit
    nan_to_num = pairwise.nan_to_num
    positive = pairwise.positive
    rad2deg = pairwise.rad2deg
    sgn = complex.sgn
    signbit = pairwise.signbit
    sinc = pairwise.sinc
    xlogy = pairwise.xlogy

    adjoint = assemble.adjoint
    diagflat = assemble.diagflat
    dsplit = assemble.dsplit
    fliplr = assemble.fliplr
    flipud = assemble.flipud
    hsplit = assemble.hsplit
    kron = assemble.kron
    ravel = assemble.ravel
    rot90 = assemble.rot90
    tensor_split = assemble.tensor_split
    tile = assemble.tile
    trace = assemble.trace
    vsplit = assemble.vsplit

    diagonal_scatter = placed.diagonal_scatter
    index_add = placed.index_add
    index_copy = placed.index_copy
    index_fill = placed.index_fill
    index_put = placed.index_put
    scatter_reduce = placed.scatter_reduce
    select_scatter = placed.select_scatter
    slice_scatter = placed.slice_scatter
    take = placed.take
    take_along_dim = placed.take_along_dim

    aminmax = statistics.aminmax
    argwhere = statistics.argwhere
    bincount = statistics.bincount
    corrcoef = statistics.corrcoef
    count_nonzero = statistics.count_nonzero
    cov = statistics.cov
    cummax = statistics.cummax
    cummin = statistics.cummin
    diff = statistics.diff
    dist = statistics.dist
    histc = statistics.histc
    histogram = statistics.histogram
    isin = statistics.isin
    kthvalue = medians.kthvalue
    logcumsumexp = statistics.logcumsumexp
    median = medians.median
    mode = statistics.mode
    msort = statistics.msort
    multinomial = statistics.multinomial
    nanmean = statistics.nanmean
    nanmedian = medians.nanmedian
    nanquantile = statistics.nanquantile
    nansum = statistics.nansum
    quantile = statistics.quantile
    renorm = statistics.renorm
    unique = statistics.unique
    unique_consecutive = statistics.unique_consecutive

    addbmm = blend.addbmm
    addmm = blend.addmm
    addmv = blend.addmv
    addr = blend.addr
    baddbmm = blend.baddbmm
    cross = blend.cross
    inner = blend.inner
    matrix_power = blend.matrix_power
    vdot = blend.vdot

    bitwise_and = comparison.bitwise_and
    bitwise_not = comparison.bitwise_not
    bitwise_left_shift = pairwise.bitwise_left_shift
    bitwise_or = comparison.bitwise_or
    bitwise_right_shift = pairwise.bitwise_right_shift
    bitwise_xor = comparison.bitwise_xor

    hardshrink = shrink.hardshrink
    unfold = placed.unfold_dim
    mH = property(assemble.adjoint)  # noqa: N815 - PyTorch's name
    H = property(assemble.adjoint)

    angle = complex.angle
    conj = complex.conj
    conj_physical = complex.conj_physical
    resolve_conj = complex.resolve_conj
    resolve_neg = complex.resolve_neg
    imag = property(complex.imag, complex.set_imag)
    real = property(complex.real, complex.set_real)
    split_with_sizes = splitting.split

    as_strided = strided.as_strided
    frexp = whole.frexp
    gcd = whole.gcd
    i0 = bessel.i0
    index_reduce = strided.index_reduce
    is_same_size = strided.is_same_size
    is_signed = strided.is_signed
    lcm = whole.lcm
    narrow_copy = strided.narrow_copy
    nextafter = whole.nextafter
    put = strided.put
    unsafe_chunk = strided.unsafe_chunk
    unsafe_split = strided.unsafe_split

    # The names NumPy has for what gradient rules call, so that one rule serves arrays and Tensors.

    def astype(self: Any, dtype: Any) -> Tensor:
        """`to(dtype)`, under NumPy's name."""
        return cast.cast(self, dtype=dtype)

    def reshape_as(self: Any, other: Any) -> Tensor:
        """In the shape of `other`."""
        return layout.reshape(self, *other.shape)

    view_as = reshape_as

    def where(self: Any, condition: Any, other: Any) -> Tensor:
        """This tensor where `condition` is true, `other` elsewhere."""
        return comparison.where(condition, self, other)  # type: ignore[no-any-return]

    def sum_to_size(self: Any, *size: Any) -> Tensor:
        """Summed over the dimensions that broadcasting `size` to this shape would add."""
        from engine.backpropagation import sum_to

        wanted = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        from engine import functions

        return sum_to(functions, self, wanted)  # type: ignore[no-any-return]

    def masked_scatter(self: Any, mask: Any, source: Any) -> Tensor:
        """The elements of `source`, in order, where `mask` is true."""
        return placed.masked_scatter(self, mask, source)

    def det(self: Any) -> Tensor:
        """Determinant."""
        from engine import linalg

        return linalg.det(self)

    def slogdet(self: Any) -> Any:
        """Sign of the determinant and logarithm of its absolute value."""
        from engine import linalg

        return linalg.slogdet(self)

    def logdet(self: Any) -> Tensor:
        """Logarithm of the determinant; nan where that is negative."""
        from engine import also

        return also.logdet(self)

    def svd(self: Any, some: bool = True, compute_uv: bool = True) -> Any:
        """Singular values, and vectors: `U @ diag(S) @ V.mT`."""
        from engine import also

        return also.svd(self, some, compute_uv)

    def qr(self: Any, some: bool = True) -> Any:
        """Orthogonal and upper triangular factor."""
        from engine import linalg

        return linalg.qr(self, "reduced" if some else "complete")

    def pinverse(self: Any) -> Tensor:
        """Pseudoinverse."""
        from engine import linalg

        return linalg.pinv(self)

    def inverse(self: Any) -> Tensor:
        """Inverse matrix."""
        from engine import linalg

        return linalg.inv(self)

    def bernoulli(self: Any, *, generator: Any = None) -> Tensor:
        """1 with the probability each element gives, else 0."""
        from engine.creation import bernoulli

        return bernoulli(self, generator=generator)
