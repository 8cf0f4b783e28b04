"""Functions that PyTorch has at its top as well: those of `linalg`, the in-place methods, and the old constructors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from engine import linalg
from engine.creation import empty
from engine.tensor import Tensor, tensor

__all__ = [
    "BoolTensor", "ByteTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor", "ShortTensor",
    "cholesky", "det", "inverse", "logdet", "matrix_exp", "matrix_rank", "pinverse", "qr", "slogdet",
    "svd",
]  # fmt: skip

cholesky = linalg.cholesky
det = linalg.det
inverse = linalg.inv
matrix_rank = linalg.matrix_rank
pinverse = linalg.pinv
qr = linalg.qr
slogdet = linalg.slogdet


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
    from engine import where  # made of everything else

    sign, value = linalg.slogdet(input)
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


def _old(name: str, dtype: Any) -> Callable[..., Tensor]:
    def make(*data: Any) -> Tensor:
        if not data:
            return empty(0, dtype=dtype)
        if all(isinstance(size, int) for size in data):
            return empty(*data, dtype=dtype)
        return tensor(data[0], dtype=dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A tensor of {np.dtype(dtype)}: of data, or empty of the sizes given. `tensor(data, dtype=...)` is newer."
    return make


FloatTensor = _old("FloatTensor", np.float32)
DoubleTensor = _old("DoubleTensor", np.float64)
HalfTensor = _old("HalfTensor", np.float16)
LongTensor = _old("LongTensor", np.int64)
IntTensor = _old("IntTensor", np.int32)
ShortTensor = _old("ShortTensor", np.int16)
ByteTensor = _old("ByteTensor", np.uint8)
BoolTensor = _old("BoolTensor", np.bool_)


def _in_place(name: str) -> Callable[..., Tensor]:
    def change(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return getattr(input, name)(*args, **kwargs)  # type: ignore[no-any-return]

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`input.{name}(...)`: as `{name[:-1]}`, in place."
    return change


# Every in-place method without an argument that has to be there is a function of the same name.
for _name in (
    "abs_", "acos_", "asin_", "atan_", "ceil_", "celu_", "clamp_", "cos_", "cosh_", "detach_", "elu_", "erf_", "exp_",
    "exp2_", "expm1_", "fill_", "floor_", "frac_", "hardtanh_", "leaky_relu_", "log_", "log10_", "log1p_", "log2_",
    "nan_to_num_", "neg_", "reciprocal_", "relu_", "round_", "rsqrt_", "selu_", "sigmoid_", "sin_", "sinh_", "sqrt_",
    "square_", "tan_", "tanh_", "trunc_", "zero_",
):  # fmt: skip
    if hasattr(Tensor, _name):
        globals()[_name] = _in_place(_name)
        __all__ += [_name]
