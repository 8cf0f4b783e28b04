"""Element types, under PyTorch's names, and the rules by which ops combine them.

Types combine as in PyTorch (`engine.promotion`): whole numbers beside floats become the floats' type, and the default
floating type where a function needs one. A raw floating array next to a floating tensor takes the tensor's type.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from engine.located import located

DType = np.dtype[Any]

float16: DType = np.dtype("float16")
float32: DType = np.dtype("float32")
float64: DType = np.dtype("float64")
complex64: DType = np.dtype("complex64")
complex128: DType = np.dtype("complex128")
int8: DType = np.dtype("int8")
int16: DType = np.dtype("int16")
int32: DType = np.dtype("int32")
int64: DType = np.dtype("int64")
uint8: DType = np.dtype("uint8")
bool: DType = np.dtype("bool")
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128
# NumPy has no bfloat16 of its own: `as_dtype` asks the package ml_dtypes for it when it is first used.
bfloat16 = "bfloat16"

_default = [float32]


def get_default_dtype() -> DType:
    """The type that Python floats become and that random tensors have; float32 at first."""
    return _default[0]


def set_default_dtype(dtype: Any) -> None:
    """Set what `get_default_dtype` gives. Raises `TypeError` for a type that is not floating."""
    chosen = as_dtype(dtype)
    if chosen.kind != "f":
        raise located(TypeError(f"the default dtype has to be a floating type, got {chosen}"))
    _default[0] = chosen


def as_dtype(dtype: Any) -> DType:
    """`dtype` (a dtype, its name, or Python's float, complex, int or bool); float is the default dtype, complex its pair."""
    if dtype is builtins.float:
        return _default[0]
    if dtype is builtins.int:
        return int64
    if dtype is builtins.complex:
        return complex_of(_default[0])
    if isinstance(dtype, str) and dtype == "bfloat16":
        return _bfloat16()
    return np.dtype(dtype)  # type: ignore[no-any-return]


# What PyTorch's early constructors are called; programs still compare and cast by these names.
_OLD = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long", "int32": "Int",
    "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


def old_name(dtype: DType, on_gpu: builtins.bool = False) -> str:
    """The name of a tensor's type as it was of old.

    >>> old_name(float32)
    'torch.FloatTensor'
    """
    return f"torch.{'cuda.' * on_gpu}{_OLD.get(dtype.name, dtype.name)}Tensor"


def from_old_name(name: str) -> Any:
    """The dtype that such a name stands for; another name as it is."""
    kind = name.rpartition(".")[2].removesuffix("Tensor")
    return next((now for now, old in _OLD.items() if old == kind), name)


def _bfloat16() -> DType:
    try:
        from ml_dtypes import bfloat16 as kind
    except ImportError:
        raise located(
            TypeError(
                "there is no bfloat16 here: NumPy and CuPy have none of their own. Install the package ml_dtypes "
                "(pip install ml_dtypes), or use float16"
            )
        ) from None
    return np.dtype(kind)  # type: ignore[no-any-return]


def is_floating(dtype: DType) -> builtins.bool:
    """Whether values of `dtype` are real numbers with a fraction."""
    kind = dtype.kind
    return kind == "f" or (kind == "V" and dtype.name == "bfloat16")  # a dtype's name is slow to make


def differentiable(dtype: DType) -> builtins.bool:
    """Whether values of `dtype` can have gradients: floats and complex numbers."""
    return dtype.kind == "c" or is_floating(dtype)


def complex_of(dtype: DType) -> DType:
    """The complex type whose parts are of `dtype`, or hold it; a complex type itself.

    >>> complex_of(float32), complex_of(int8)
    (dtype('complex64'), dtype('complex64'))
    """
    if dtype.kind == "c":
        return dtype
    return complex128 if dtype == float64 else complex64


def real_of(dtype: DType) -> DType:
    """The type of the parts of complex numbers of `dtype`; any other type itself.

    >>> real_of(complex64), real_of(float16)
    (dtype('float32'), dtype('float16'))
    """
    if dtype.kind != "c":
        return dtype
    return float32 if dtype.itemsize == 8 else float64


# --- dtype rules of the op records: given the dtype of each argument, a plain number, or None ----------


def joined(a: DType | None, b: DType | None) -> DType | None:
    """Where two types of one standing meet; None stands for nothing."""
    if a is None or b is None or a == b:
        return b if a is None else a
    if "c" in a.kind + b.kind:
        return complex128 if any(d in (complex128, float64) for d in (a, b)) else complex64
    if is_floating(a) != is_floating(b):
        return a if is_floating(a) else b
    return float32 if "V" in a.kind + b.kind and float64 not in (a, b) else np.promote_types(a, b)


def promoted(*dtypes: Any, **_: Any) -> DType:
    """The type the arguments meet in; plain numbers are weak."""
    met: DType | None = None
    for kind in dtypes:
        if isinstance(kind, np.dtype):
            met = joined(met, kind)
    numbers = [d for d in dtypes if d is not None and not isinstance(d, np.dtype)]
    if any(type(n) is builtins.complex for n in numbers):
        return complex_of(met if met is not None and differentiable(met) else _default[0])
    if met is None:
        return np.result_type(*numbers)
    if not differentiable(met) and any(type(n) is builtins.float for n in numbers):
        return _default[0]
    return np.result_type(met, *numbers) if met.kind == "b" else met


def floating(*dtypes: Any, **_: Any) -> DType:
    """As `promoted`, whole numbers becoming the default floating type."""
    met = promoted(*dtypes)
    return met if differentiable(met) else _default[0]


def first(*dtypes: Any, **_: Any) -> DType:
    """The type of the first argument."""
    return dtypes[0]  # type: ignore[no-any-return]


def truth(*dtypes: Any, **_: Any) -> DType:
    """bool."""
    return bool


def index(*dtypes: Any, **_: Any) -> DType:
    """int64."""
    return int64
