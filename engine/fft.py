"""Fourier transforms, read as `ds.fft`, with gradients of any order.

`n` or `s` says how long the transformed dimensions are: the input is cut, or filled up with zeros. `norm` says what is
divided by the number of elements: the inverse ("backward", the default), the transform ("forward"), or each by its root
("ortho"). Of float32 the result is complex64, of float64 complex128.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import backend
from engine.dispatch import apply
from engine.dtype import as_dtype, complex_of, float16, floating, get_default_dtype
from engine.located import located
from engine.ops.complex import conj
from engine.ops.fourier import FFT, IRFFT, RFFT, TURNED
from engine.ops.pad import pad
from engine.ops.repeating import roll
from engine.tensor import Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft",
    "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

Sizes = Sequence[int] | None
Dims = int | Sequence[int] | None


def _norm(name: str, norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in TURNED:
        raise located(ValueError(f'{name}: norm is "backward", "ortho", "forward" or None, got {norm!r}'))
    return norm


def _numbers(name: str, input: Any) -> Tensor:
    """`input` as floats or complex numbers of a type there are transforms of."""
    if not isinstance(input, Tensor):
        raise located(TypeError(f"{name}: input has to be a tensor, got {type(input).__name__}"))
    kind = floating(input.dtype)
    return input.to("float32" if kind == float16 or kind.kind == "V" else kind)


def _complex(input: Tensor) -> Tensor:
    return input.to(complex_of(input.dtype))


def _dim(name: str, input: Tensor, dim: Any) -> int:
    rank = len(input.shape)
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise located(
            IndexError(
                f"{name}: dim has to be from {-rank} to {rank - 1} for an input of shape {list(input.shape)}, got {dim!r}"
            )
        )
    return dim % rank


def _places(name: str, input: Tensor, s: Any, dim: Dims) -> tuple[list[int], list[int]]:
    """The dimensions to transform, and how long each is to be; the size there is for -1."""
    rank = len(input.shape)
    if s is not None:
        s = [s] if isinstance(s, int) else list(s)
        if any(not isinstance(n, int) for n in s):
            raise located(TypeError(f"{name}: s holds the sizes of the transformed dimensions, got {s!r}"))
    if dim is None:
        if s is not None and len(s) > rank:
            raise located(ValueError(f"{name}: s names {len(s)} sizes, input has {rank} dimensions"))
        dims = list(range(0 if s is None else rank - len(s), rank))
    else:
        dims = [_dim(name, input, d) for d in ([dim] if isinstance(dim, int) else dim)]
    if len(set(dims)) != len(dims):
        raise located(ValueError(f"{name}: dim names a dimension twice, got {dim}"))
    if s is not None and len(s) != len(dims):
        raise located(ValueError(f"{name}: s names {len(s)} sizes for {len(dims)} dimensions"))
    wanted = [input.shape[d] if n == -1 else n for d, n in zip(dims, s or [-1] * len(dims), strict=True)]
    for d, n in zip(dims, wanted, strict=True):
        if n < 1:
            raise located(
                ValueError(
                    f"{name}: there is no transform of nothing: {n} elements in dimension {d} of {list(input.shape)}"
                )
            )
    return dims, wanted


def _fitted(input: Tensor, dims: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """`input` cut, or filled up with zeros at its end, to the sizes wanted."""
    for d, n in zip(dims, wanted, strict=True):
        have = input.shape[d]
        if n < have:
            input = input[(slice(None),) * d + (slice(0, n),)]
        elif n > have:
            input = pad(input, (0, 0) * (len(input.shape) - 1 - d) + (0, n - have))
    return input


def _transform(name: str, input: Any, s: Any, dim: Dims, norm: str | None, inverse: bool) -> Tensor:
    x, by = _numbers(name, input), _norm(name, norm)
    dims, wanted = _places(name, x, s, dim)
    fitted = _complex(_fitted(x, dims, wanted))
    return _over(fitted, dims, inverse, by)


def _over(x: Tensor, dims: Sequence[int], inverse: bool, norm: str) -> Tensor:
    if not dims:
        return x
    return apply(FFT, (x,), {"dims": tuple(dims), "inverse": inverse, "norm": norm})  # type: ignore[no-any-return]


def _of_real(name: str, input: Any, s: Any, dim: Dims, norm: str | None) -> Tensor:
    x, by = _numbers(name, input), _norm(name, norm)
    if x.is_complex():
        raise located(
            RuntimeError(
                f"{name} takes a real input, got {x.dtype}; {name.replace('r', '', 1) if name[0] == 'r' else 'ifft'} takes both"
            )
        )
    dims, wanted = _places(name, x, s, dim)
    _some(name, dims)
    half = apply(RFFT, (_fitted(x, dims, wanted),), {"dim": dims[-1], "norm": by})
    return _over(half, dims[:-1], False, by)


def _to_real(name: str, input: Any, s: Any, dim: Dims, norm: str | None) -> Tensor:
    x, by = _complex(_numbers(name, input)), _norm(name, norm)
    last = -1 if s is None else (s if isinstance(s, int) else list(s)[-1] if len(s) else -1)
    dims, wanted = _places(name, x, s, dim)
    _some(name, dims)
    n = 2 * (x.shape[dims[-1]] - 1) if last == -1 else wanted[-1]
    if n < 1:
        raise located(
            ValueError(
                f"{name}: there is no transform of nothing: n is {n} for an input of shape {list(x.shape)}; say how long the result is"
            )
        )
    x = _fitted(x, dims, [*wanted[:-1], n // 2 + 1])
    x = _over(x, dims[:-1], True, by)
    return apply(IRFFT, (x,), {"n": n, "dim": dims[-1], "norm": by})  # type: ignore[no-any-return]


def _some(name: str, dims: Sequence[int]) -> None:
    if not dims:
        raise located(ValueError(f"{name} needs at least one dimension to transform"))


def _one(
    function: Callable[..., Tensor], name: str, input: Any, n: Any, dim: Any, norm: Any, *more: Any
) -> Tensor:
    """`function` of one dimension."""
    if n is not None and not isinstance(n, int):
        raise located(TypeError(f"{name}: n is how many elements are transformed, got {n!r}"))
    return function(name, input, None if n is None else (n,), (dim,), norm, *more)


# --- of one dimension -------------------------------------------------------------------------------------


def fft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform along `dim`.

    >>> import engine as ds
    >>> fft(ds.tensor([1.0, 0.0, 0.0, 0.0])).tolist()
    [(1+0j), (1+0j), (1+0j), (1+0j)]
    """
    return _one(_transform, "fft", input, n, dim, norm, False)


def ifft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _one(_transform, "ifft", input, n, dim, norm, True)


def rfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The half of the transform of real numbers that says all: n // 2 + 1 numbers. Raises `RuntimeError` for complex ones."""
    return _one(_of_real, "rfft", input, n, dim, norm)


def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: `n` real numbers, as many as an even number can be unless said."""
    return _one(_to_real, "irfft", input, n, dim, norm)


def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform, real, of what is the half of a Hermitian signal."""
    return _one(_to_real, "hfft", conj(_numbers("hfft", input)), n, dim, TURNED[_norm("hfft", norm)])


def ihfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return conj(_one(_of_real, "ihfft", input, n, dim, TURNED[_norm("ihfft", norm)]))


# --- of several -------------------------------------------------------------------------------------------


def fftn(input: Any, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The transform over `dim`, all dimensions (or the last ones, as many as `s` has) unless said."""
    return _transform("fftn", input, s, dim, norm, False)


def ifftn(input: Any, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _transform("ifftn", input, s, dim, norm, True)


def rfftn(input: Any, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`rfft` along the last of `dim`, `fft` along the others."""
    return _of_real("rfftn", input, s, dim, norm)


def irfftn(input: Any, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`; the last of `s` is the size of the result."""
    return _to_real("irfftn", input, s, dim, norm)


def hfftn(input: Any, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`hfft` along the last of `dim`, `fft` along the others."""
    return _to_real("hfftn", conj(_numbers("hfftn", input)), s, dim, TURNED[_norm("hfftn", norm)])


def ihfftn(input: Any, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return conj(_of_real("ihfftn", input, s, dim, TURNED[_norm("ihfftn", norm)]))


def fft2(input: Any, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` over two dimensions."""
    return _transform("fft2", input, s, dim, norm, False)


def ifft2(input: Any, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`ifftn` over two dimensions."""
    return _transform("ifft2", input, s, dim, norm, True)


def rfft2(input: Any, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` over two dimensions."""
    return _of_real("rfft2", input, s, dim, norm)


def irfft2(input: Any, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`irfftn` over two dimensions."""
    return _to_real("irfft2", input, s, dim, norm)


def hfft2(input: Any, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` over two dimensions."""
    return hfftn(input, s, dim, norm)


def ihfft2(input: Any, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`ihfftn` over two dimensions."""
    return ihfftn(input, s, dim, norm)


# --- frequencies, and their order ---------------------------------------------------------------------------


def _made(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return Tensor(backend.placed(values.astype(kind), device), requires_grad, role="constant")


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of the numbers that `fft` of `n` samples, `d` apart, gives.

    >>> fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    return _made(np.fft.fftfreq(n, d), dtype, device, requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of the numbers that `rfft` of `n` samples, `d` apart, gives."""
    return _made(np.fft.rfftfreq(n, d), dtype, device, requires_grad)


def _shifted(input: Any, dim: Dims, by: Callable[[int], int]) -> Tensor:
    dims = range(len(input.shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    chosen = [_dim("fftshift", input, d) for d in dims]
    return roll(input, tuple(by(input.shape[d]) for d in chosen), tuple(chosen)) if chosen else input


def fftshift(input: Any, dim: Dims = None) -> Tensor:
    """With the frequency 0 in the middle of `dim` (one, several, or all)."""
    return _shifted(input, dim, lambda n: n // 2)


def ifftshift(input: Any, dim: Dims = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted(input, dim, lambda n: -(n // 2))
