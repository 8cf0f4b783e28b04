"""Tensors made of nothing but a shape. Floating ones have the default dtype, float32, unless told otherwise."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from engine import backend, random
from engine.dispatch import apply
from engine.dtype import as_dtype, get_default_dtype, int64
from engine.ops.noise import RAND, RANDINT, RANDN, RANDPERM
from engine.tensor import Tensor


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return tuple(int(s) for s in sizes)


def _finish(array: Any, device: Any, requires_grad: bool) -> Tensor:
    if device is not None:
        array = backend.move(array, device)
    return Tensor(array, requires_grad, role="constant")


def _kind(dtype: Any) -> Any:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape, given as sizes or as one tuple."""
    return _finish(np.zeros(_shape(size), _kind(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of a shape, given as sizes or as one tuple."""
    return _finish(np.ones(_shape(size), _kind(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of a shape whose values are whatever was in memory."""
    return _finish(np.empty(_shape(size), _kind(dtype)), device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` everywhere; its type decides the dtype unless `dtype` is given."""
    if dtype is None:
        plain = fill_value.item() if hasattr(fill_value, "item") else fill_value
        dtype = as_dtype(builtins.type(plain))
    return _finish(
        np.full(_shape((size,) if isinstance(size, int) else tuple(size)), fill_value, _kind(dtype)),
        device,
        requires_grad,
    )


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` to before `end`; with one number, from 0 to before it."""
    if end is None:
        start, end = 0, start
    if dtype is None:
        whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
        dtype = int64 if whole else get_default_dtype()
    return _finish(np.arange(start, end, step).astype(as_dtype(dtype), copy=False), device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both included."""
    return _finish(np.linspace(start, end, steps).astype(_kind(dtype)), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A matrix with ones on the diagonal."""
    return _finish(np.eye(n, m, dtype=_kind(dtype)), device, requires_grad)


# --- like another tensor -------------------------------------------------------------------------------


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape, dtype and device of `input`."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of `input`."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the shape, dtype and device of `input`, its values whatever was in memory."""
    kind = input.dtype if dtype is None else as_dtype(dtype)
    array = backend.namespace(input.array).empty(input.shape, kind)
    return _finish(array, device, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in the shape, dtype and device of `input`."""
    kind = input.dtype if dtype is None else as_dtype(dtype)
    array = backend.namespace(input.array).full(input.shape, fill_value, kind)
    return _finish(array, device, requires_grad)


# --- random ---------------------------------------------------------------------------------------------


def _drawn(
    op: Any, shape: tuple[int, ...], dtype: Any, device: Any, requires_grad: bool, generator: Any, **more: Any
) -> Tensor:
    count = 1
    for size in shape:
        count *= size
    seed, counter = random.draw(count, generator)
    made: Tensor = apply(
        op, (), {"shape": shape, "dtype": dtype.name, **more, "seed": seed, "counter": counter}
    )
    if device is not None:
        made = made.to(device=device)
    return made.requires_grad_() if requires_grad else made


def rand(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform random numbers from 0 to 1."""
    return _drawn(RAND, _shape(size), _kind(dtype), device, requires_grad, generator)


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normally distributed random numbers, mean 0 and variance 1."""
    return _drawn(RANDN, _shape(size), _kind(dtype), device, requires_grad, generator)


def randint(
    low: int,
    high: Any,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random whole numbers from `low` to `high - 1`; `randint(high, size)` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    kind = int64 if dtype is None else as_dtype(dtype)
    return _drawn(
        RANDINT, _shape((size,)), kind, device, requires_grad, generator, low=int(low), high=int(high)
    )


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers from 0 to n - 1 in random order."""
    return _drawn(RANDPERM, (n,), int64 if dtype is None else as_dtype(dtype), device, False, generator)


def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in the shape and dtype of `input`."""
    return rand(
        *input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal random numbers in the shape and dtype of `input`."""
    return randn(
        *input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )


def bernoulli(input: Tensor, *, generator: Any = None) -> Tensor:
    """1 with the probability each element gives, else 0."""
    drawn = rand(*input.shape, generator=generator, dtype=input.dtype)
    return (drawn < input).to(input.dtype)
