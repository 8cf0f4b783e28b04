"""Functions that PyTorch has at its top as well: those of `linalg`, the in-place methods, and the old constructors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from engine import linalg
from engine.creation import empty
from engine.located import located
from engine.tensor import Tensor, tensor

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "det", "fake_quantize_per_channel_affine",
    "fake_quantize_per_tensor_affine", "from_dlpack", "frombuffer",
    "inverse", "is_conj", "istft", "logdet", "lu_solve", "lu_unpack", "matrix_exp", "matrix_rank", "mvlgamma",
    "pinverse", "qr", "segment_reduce", "set_default_tensor_type", "slogdet", "stft", "svd", "to_dlpack",
]  # fmt: skip

cholesky = linalg.cholesky
det = linalg.det
inverse = linalg.inv
pinverse = linalg.pinv
qr = linalg.qr
slogdet = linalg.slogdet


cholesky_inverse = linalg.cholesky_inverse
cholesky_solve = linalg.cholesky_solve


def matrix_rank(input: Any, tol: Any = None, symmetric: bool = False) -> Tensor:
    """`linalg.matrix_rank` with the names of old."""
    return linalg.matrix_rank(input, tol, symmetric)


def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Tensor:
    """`linalg.lu_solve` with the arguments in the order of old."""
    return linalg.lu_solve(LU_data, LU_pivots, b)


lu_unpack = linalg.lu_unpack


def mvlgamma(input: Any, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension `p`. Raises `RuntimeError` for a `p` below 1.

    >>> import engine as ds
    >>> ds.mvlgamma(ds.tensor([1.0]), 1).tolist()
    [0.0]
    """
    from engine import lgamma
    from engine import tensor as made

    if not isinstance(p, int) or p < 1:
        raise located(RuntimeError(f"mvlgamma: p has to be 1 or more, got {p!r}"))
    halves = made(np.arange(p) / 2, dtype=input.dtype, device=input.device)
    return lgamma(input.unsqueeze(-1) - halves).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


# What a segment with nothing in it holds, and the kind of index_reduce that gathers the others.
SEGMENTS = {
    "sum": (0.0, "sum"), "mean": (0.0, "sum"), "prod": (1.0, "prod"), "max": (-math.inf, "amax"), "amax": (-math.inf, "amax"),
    "min": (math.inf, "amin"), "amin": (math.inf, "amin"),
}  # fmt: skip


def segment_reduce(
    data: Any, reduce: str, *, lengths: Any = None, indices: Any = None, offsets: Any = None, axis: int = 0,
    unsafe: bool = False, initial: float | None = None,
) -> Tensor:  # fmt: skip
    """Runs of rows along `axis` made one row each, by `lengths` or by `offsets`: "sum", "mean", "max", "min", "prod".

    `lengths` [..., segments] has the dimensions of `data` before `axis` too. Raises `RuntimeError` for another kind
    and for lengths that do not add up.

    >>> import engine as ds
    >>> ds.segment_reduce(ds.tensor([1.0, 2.0, 3.0]), "sum", lengths=ds.tensor([2, 1]))
    tensor([3., 3.])
    """
    from engine import arange, full, stack, where

    if reduce not in SEGMENTS:
        raise located(
            RuntimeError(f"segment_reduce: reduce has to be one of {', '.join(SEGMENTS)}, got {reduce!r}")
        )
    if (lengths is None) == (offsets is None):
        raise located(RuntimeError("segment_reduce: either lengths or offsets has to be given"))
    if lengths is None:
        lengths = offsets.diff(dim=-1)
    if axis % data.dim() != lengths.dim() - 1:
        raise located(
            RuntimeError(
                f"segment_reduce: axis has to be the last dimension of lengths, {lengths.dim() - 1}, got {axis}"
            )
        )
    if lengths.dim() > 1:
        options: dict[str, Any] = {"axis": axis % data.dim() - 1, "unsafe": unsafe, "initial": initial}
        pairs = zip(data.unbind(0), lengths.unbind(0), strict=True)
        return stack([segment_reduce(row, reduce, lengths=own, **options) for row, own in pairs])
    rows, total = len(data), int(lengths.sum())
    if bool((lengths < 0).any()) or (total != rows and not unsafe):
        raise located(
            RuntimeError(f"segment_reduce: lengths have to add up to {rows}, got {lengths.tolist()}")
        )
    start, kind = SEGMENTS[reduce]
    count = len(lengths)
    if initial is not None and kind[:2] != "am":
        start = initial
    made = full((count, *data.shape[1:]), start, dtype=data.dtype, device=data.device)
    owner = arange(count, device=data.device).repeat_interleave(lengths)
    made = (made.index_add if kind == "sum" else made.index_reduce)(
        0, owner, data[:total], *[kind] * (kind != "sum")
    )
    if initial is not None and kind[:2] == "am":
        made = where(made < initial if kind == "amax" else made > initial, initial, made)
    if reduce == "mean":
        many = lengths.view(-1, *[1] * (data.dim() - 1)).to(data.dtype)
        made = where(many > 0, made / many, math.nan if initial is None else initial)
    return made


def fake_quantize_per_tensor_affine(
    input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Tensor:
    """`input` on the grid that whole numbers from `quant_min` to `quant_max` give; the gradient passes where it is inside.

    >>> import engine as ds
    >>> ds.fake_quantize_per_tensor_affine(ds.tensor([0.3, 9.0]), 0.25, 0, -4, 3)
    tensor([0.2500, 0.7500])
    """
    from engine import where

    still = input.detach()
    steps = (still / scale).round() + zero_point
    inside = (steps >= quant_min) & (steps <= quant_max)
    snapped = (steps.clamp(quant_min, quant_max) - zero_point) * scale
    return snapped.to(input.dtype) + where(inside, input - still, 0.0)  # type: ignore[no-any-return]


def fake_quantize_per_channel_affine(
    input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """As `fake_quantize_per_tensor_affine`, with a scale and a zero point for each index along `axis`."""
    along = [-1 if d == axis % input.dim() else 1 for d in range(input.dim())]
    return fake_quantize_per_tensor_affine(
        input, scale.view(along), zero_point.view(along), quant_min, quant_max
    )


def is_conj(input: Tensor) -> bool:
    """Never: `conj` computes at once, there is no mark to be resolved."""
    return False


def stft(input: Any, *args: Any, **options: Any) -> Tensor:
    """The short-time Fourier transform, as the method of this name says."""
    return input.stft(*args, **options)  # type: ignore[no-any-return]


def istft(input: Any, *args: Any, **options: Any) -> Tensor:
    """The inverse of `stft`: `engine.spectrogram.istft`."""
    return input.istft(*args, **options)  # type: ignore[no-any-return]


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """The bytes of a buffer as numbers; memory is shared, and read only where the buffer is.

    Raises `ValueError` for a buffer that has not so many.

    >>> import engine as ds
    >>> ds.frombuffer(bytes([1, 2, 3]), dtype=ds.uint8, offset=1).tolist()
    [2, 3]
    """
    try:
        found = np.frombuffer(buffer, dtype=np.dtype(dtype), count=count, offset=offset)
    except ValueError as error:
        raise located(ValueError(f"frombuffer: {error}")) from None
    made = Tensor(found)
    return made.requires_grad_() if requires_grad else made


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor on the memory of another library's, by its `__dlpack__`. Raises `TypeError` for what has none."""
    if isinstance(ext_tensor, Tensor):
        return Tensor(ext_tensor.array)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise located(TypeError(f"from_dlpack: {type(ext_tensor).__name__} has no __dlpack__"))
    return Tensor(np.from_dlpack(ext_tensor))


def to_dlpack(tensor: Tensor) -> Any:
    """The capsule of a tensor's memory, for libraries that take one."""
    return tensor.array.__dlpack__()


class SVD(NamedTuple):
    """Singular vectors and values, V not transposed: `input = U @ diag(S) @ V.mT`."""

    U: Tensor
    S: Tensor
    V: Tensor


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> SVD:
    """Singular values as PyTorch's old `svd` gives them; `linalg.svd` gives V transposed."""
    found = linalg.svd(input, full_matrices=not some)
    return SVD(found.U, found.S, found.Vh.mT)


def logdet(input: Any) -> Tensor:
    """Logarithm of the determinant; nan where that is negative."""
    from engine import log, where  # made of everything else

    sign, value = linalg.slogdet(input)
    if sign.is_complex():
        return log(sign) + value  # type: ignore[no-any-return]
    return where(sign < 0, tensor(float("nan"), dtype=value.dtype), value)  # type: ignore[no-any-return]


def matrix_exp(input: Any) -> Tensor:
    """The exponential of a square matrix: scaled down, a Taylor sum, and squared up again.

    Moler and Van Loan 2003, Nineteen dubious ways to compute the exponential of a matrix, method 3.
    """
    from engine import eye, matmul

    norm = float(np.abs(input.detach().cpu().numpy()).sum(-1).max(initial=0.0))
    halvings = max(0, int(np.ceil(np.log2(norm))) + 1) if norm > 0 and np.isfinite(norm) else 0
    scaled = input / float(2**halvings)
    identity = eye(input.shape[-1], dtype=input.dtype)
    total = identity + scaled
    term = scaled
    for k in range(2, 19):
        term = matmul(term, scaled) / float(k)
        total = total + term
    for _ in range(halvings):
        total = matmul(total, total)
    return total  # type: ignore[no-any-return]


def old(name: str, dtype: Any, device: Any = None) -> Callable[..., Tensor]:
    """A constructor of PyTorch's early days, of tensors of one dtype on one device."""

    def make(*data: Any) -> Tensor:
        if not data:
            return empty(0, dtype=dtype, device=device)
        if all(isinstance(size, int) for size in data):
            return empty(*data, dtype=dtype, device=device)
        return tensor(data[0], dtype=dtype, device=device)

    make.__name__ = name
    make.__qualname__ = name if device is None else f"{device}.{name}"
    make.element_type = np.dtype(dtype)  # type: ignore[attr-defined]
    make.__doc__ = f"A tensor of {np.dtype(dtype)}: of data, or empty of the sizes given. `tensor(data, dtype=...)` is newer."
    return make


KINDS = {
    "FloatTensor": np.float32, "DoubleTensor": np.float64, "HalfTensor": np.float16, "LongTensor": np.int64,
    "IntTensor": np.int32, "ShortTensor": np.int16, "CharTensor": np.int8, "ByteTensor": np.uint8, "BoolTensor": np.bool_,
}  # fmt: skip
for _name, _kind in KINDS.items():
    globals()[_name] = old(_name, _kind)
__all__ += KINDS


def set_default_tensor_type(t: Any) -> None:
    """`set_default_dtype` and `set_default_device` by the name of an old constructor: "torch.DoubleTensor" or `ds.DoubleTensor`.

    Raises `TypeError` for another.

    >>> set_default_tensor_type("torch.FloatTensor")
    """
    from engine.dtype import set_default_dtype
    from engine.settings import set_default_device

    name = t if isinstance(t, str) else "." + getattr(t, "__qualname__", "")
    kind = KINDS.get(name.rpartition(".")[2])
    if kind is None:
        raise located(TypeError(f"set_default_tensor_type: expected one like 'torch.FloatTensor', got {t!r}"))
    set_default_dtype(kind)
    set_default_device("cuda" if "cuda." in name else "cpu")


def _in_place(name: str) -> Callable[..., Tensor]:
    def change(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return getattr(input, name)(*args, **kwargs)  # type: ignore[no-any-return]

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`input.{name}(...)`: as `{name[:-1]}`, in place."
    return change


def _over(name: str) -> Callable[..., Tensor]:
    def change(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        from engine.nn import functional

        return getattr(functional, name)(input, *args, **kwargs)  # type: ignore[no-any-return]

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`{name[:-1]}` of `input`, in place."
    return change


# And these activations, which are no methods.
for _name in ("celu_", "elu_", "hardtanh_", "leaky_relu_", "rrelu_", "selu_", "threshold_"):
    globals()[_name] = _over(_name)
    __all__ += [_name]

# Every in-place method without an argument that has to be there is a function of the same name.
for _name in (
    "abs_", "acos_", "asin_", "atan_", "ceil_", "clamp_", "cos_", "cosh_", "detach_", "erf_", "exp_",
    "exp2_", "expm1_", "fill_", "floor_", "frac_", "log_", "log10_", "log1p_", "log2_",
    "nan_to_num_", "neg_", "reciprocal_", "relu_", "round_", "rsqrt_", "sigmoid_", "sin_", "sinh_", "sqrt_",
    "square_", "tan_", "tanh_", "trunc_", "zero_", "acosh_", "addmv_", "arccos_", "arccosh_", "arcsin_", "arcsinh_",
    "arctan_", "arctanh_", "asinh_", "atanh_", "clamp_max_", "clamp_min_", "clip_", "deg2rad_", "erfc_", "fix_", "gcd_",
    "i0_", "index_put_", "lcm_", "ldexp_", "logit_", "negative_", "rad2deg_", "resize_as_", "sinc_", "xlogy_",
):  # fmt: skip
    if hasattr(Tensor, _name):
        globals()[_name] = _in_place(_name)
        __all__ += [_name]
