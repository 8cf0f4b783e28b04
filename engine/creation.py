"""Tensors made of nothing but a shape. Floating ones have the default dtype, float32, unless told otherwise."""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any

import numpy as np

from engine import backend, random
from engine.dispatch import apply
from engine.dtype import as_dtype, get_default_dtype, int64, promoted, real_of
from engine.errors import ArgumentError
from engine.located import located
from engine.ops.complex import view_as_complex
from engine.ops.noise import RAND, RANDINT, RANDN, RANDPERM
from engine.promotion import common
from engine.tensor import Tensor, as_tensor


def _shape(sizes: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """Sizes given one by one, as one tuple, or under the name `size`."""
    if size is not None:
        if sizes:
            raise located(TypeError(f"the shape is given twice: {sizes} and size={size}"))
        sizes = (size,)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    shape = tuple(operator.index(s) for s in sizes)
    if shape and min(shape) < 0:
        raise located(ArgumentError(f"a size has to be 0 or more, got {list(shape)}"))
    return shape


def _finish(array: Any, device: Any, requires_grad: bool) -> Tensor:
    return Tensor(backend.placed(array, device), requires_grad, role="constant")


def _laid(array: Any, memory_format: Any) -> Any:
    if memory_format is None:
        return array
    from engine.memory_order import laid  # few ask for it

    return laid(array, memory_format)


def _kind(dtype: Any) -> Any:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def zeros(
    *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of a shape, given as sizes or as one tuple."""
    return _finish(np.zeros(_shape(sizes, size), _kind(dtype)), device, requires_grad)


def ones(
    *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of a shape, given as sizes or as one tuple."""
    return _finish(np.ones(_shape(sizes, size), _kind(dtype)), device, requires_grad)


def empty(
    *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of a shape whose values are whatever was in memory."""
    return _finish(np.empty(_shape(sizes, size), _kind(dtype)), device, requires_grad)


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
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if not step:
        raise located(ArgumentError("arange needs a step that is not 0"))
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
    _shape((steps,))
    return _finish(np.linspace(start, end, steps).astype(_kind(dtype)), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A matrix with ones on the diagonal."""
    _shape((n,) if m is None else (n, m))
    return _finish(np.eye(n, m, dtype=_kind(dtype)), device, requires_grad)


# --- like another tensor -------------------------------------------------------------------------------


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros of the shape, dtype and device of `input`."""
    return full_like(
        input, 0, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format
    )


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones of the shape, dtype and device of `input`."""
    return full_like(
        input, 1, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format
    )


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of the shape, dtype and device of `input`, its values whatever was in memory."""
    kind = input.dtype if dtype is None else as_dtype(dtype)
    array = backend.namespace(input.array).empty(input.shape, kind)
    return _finish(_laid(array, memory_format), device if device is not None else input.device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`fill_value` in the shape, dtype and device of `input`."""
    kind = input.dtype if dtype is None else as_dtype(dtype)
    array = backend.namespace(input.array).full(input.shape, fill_value, kind)
    return _finish(_laid(array, memory_format), device if device is not None else input.device, requires_grad)


# --- random ---------------------------------------------------------------------------------------------


def _drawn(
    op: Any, shape: tuple[int, ...], dtype: Any, device: Any, requires_grad: bool, generator: Any, **more: Any
) -> Tensor:
    if dtype.kind == "c":
        return _drawn_complex(op, shape, dtype, device, requires_grad, generator)
    count = 1
    for size in shape:
        count *= size
    seed, counter = random.draw(count, generator)
    made: Tensor = apply(
        op, (), {"shape": shape, "dtype": dtype.name, **more, "seed": seed, "counter": counter}
    )
    target = backend.default_device() if device is None else device
    if target is not backend.CPU:
        made = made.to(device=target)
    return made.requires_grad_() if requires_grad else made


def _drawn_complex(
    op: Any, shape: tuple[int, ...], dtype: Any, device: Any, requires_grad: bool, generator: Any
) -> Tensor:
    """Both parts drawn; normal ones have the variance 1 together."""
    parts = _drawn(op, (*shape, 2), real_of(dtype), device, False, generator)
    made = view_as_complex(parts if op is RAND else parts * math.sqrt(0.5)).detach()
    return made.requires_grad_() if requires_grad else made


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers from 0 to 1."""
    return _drawn(RAND, _shape(sizes, size), _kind(dtype), device, requires_grad, generator)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed random numbers, mean 0 and variance 1."""
    return _drawn(RANDN, _shape(sizes, size), _kind(dtype), device, requires_grad, generator)


def randint(
    low: int = 0,
    high: Any = None,
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
    elif high is None:
        low, high = 0, low
    kind = int64 if dtype is None else as_dtype(dtype)
    return _drawn(
        RANDINT, _shape((size,)), kind, device, requires_grad, generator, low=int(low), high=int(high)
    )


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers from 0 to n - 1 in random order."""
    return _drawn(RANDPERM, (n,), int64 if dtype is None else as_dtype(dtype), device, False, generator)


def _drawn_like(
    draw: Any, input: Tensor, dtype: Any, device: Any, requires_grad: bool, memory_format: Any
) -> Tensor:
    made: Tensor = draw(
        *input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )
    return made if memory_format is None else made.contiguous(memory_format)


def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform random numbers in the shape and dtype of `input`."""
    return _drawn_like(rand, input, dtype, device, requires_grad, memory_format)


def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Normal random numbers in the shape and dtype of `input`."""
    return _drawn_like(randn, input, dtype, device, requires_grad, memory_format)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability each element gives (or `p`), else 0."""
    drawn = rand(*input.shape, generator=generator, dtype=input.dtype, device=input.device)
    return (drawn < (input if p is None else p)).to(input.dtype)


def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Random whole numbers in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=device or input.device)


# --- more ways to make a tensor --------------------------------------------------------------------------


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers from `base ** start` to `base ** end`, their logarithms evenly spaced."""
    return _finish(np.logspace(start, end, steps, base=base).astype(_kind(dtype)), device, requires_grad)


def range(start: float, end: float, step: float = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Numbers from `start` to `end`, which is included, as floats."""
    count = int((end - start) / step) + 1
    return _finish((start + step * np.arange(count)).astype(_kind(dtype)), device, False)


def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """One number as a tensor without dimensions."""
    return _finish(np.asarray(value, _kind(dtype)), device, False)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """`obj` as a tensor, sharing its memory where that is possible unless `copy`."""
    made = as_tensor(obj, dtype, device)
    return made.clone() if copy and made is obj else made


def fill(input: Tensor, value: Any) -> Tensor:
    """`value` in the shape, dtype and device of `input`."""
    return full_like(input, value)


def promote_types(type1: Any, type2: Any) -> Any:
    """The dtype that tensors of both meet in.

    >>> promote_types("int64", "float16")
    dtype('float16')
    """
    return promoted(as_dtype(type1), as_dtype(type2))


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype that an op of the two gives."""
    return common((tensor1, tensor2))


def can_cast(from_: Any, to: Any) -> builtins.bool:
    """Whether a value keeps its kind: bool to whole numbers to floats to complex numbers, never back."""
    kinds = "biufc"
    a, b = as_dtype(from_).kind, as_dtype(to).kind
    return kinds.index(a) <= kinds.index(b) or {a, b} == {"i", "u"}


def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether the elements are floating."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> builtins.bool:
    """Whether the elements are complex numbers."""
    return input.is_complex()


def is_nonzero(input: Tensor) -> builtins.bool:
    """Whether the one element of `input` is not 0."""
    return builtins.bool(input)


def detach(input: Tensor) -> Tensor:
    """The same value outside the graph; shares memory."""
    return input.detach()
