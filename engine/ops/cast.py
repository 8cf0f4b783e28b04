"""Copies: to another element type, to another device, or just a copy."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from engine import backend
from engine.backend import Device
from engine.dispatch import apply, unary
from engine.dtype import as_dtype, differentiable
from engine.grad_mode import no_grad
from engine.location import user_frame
from engine.op import LINEAR, op
from engine.ops.arithmetic import UNARY

if TYPE_CHECKING:
    from engine.tensor import Tensor

COPY: dict[str, Any] = {**UNARY, "family": "other"}
LOST = "casting complex numbers to real ones discards the imaginary part; .real says so, .abs() takes the magnitude"


def _cast_vjp(xp: Any, g: Any, out: Any, input: Any, *, dtype: str) -> Any:
    return g.astype(input.dtype)


def _complex_cast_vjp(xp: Any, g: Any, out: Any, input: Any, *, dtype: str) -> Any:
    return (xp.real(g) if g.dtype.kind == "c" and input.dtype.kind != "c" else g).astype(input.dtype)


def _cast_dtype(input: Any, *, dtype: str) -> Any:
    return as_dtype(dtype)


@op(
    "cast", **{**COPY, "dtype": _cast_dtype}, quiet=True, onnx="Cast", formula="input as dtype", vjp=_cast_vjp,
    complex=_complex_cast_vjp,
)  # fmt: skip
def CAST(xp: Any, input: Any, *, dtype: str) -> Any:
    """The same values in another element type."""
    if input.dtype.kind == "c" and (kind := as_dtype(dtype)).kind not in "cb":
        return input.real.astype(kind)
    return input.astype(dtype)


def _move_vjp(xp: Any, g: Any, out: Any, input: Any, *, device: str, source: str) -> Any:
    return g.to(device=source) if hasattr(g, "node") else backend.move(g, source)


@op("move", **COPY, complex=LINEAR, formula="input on device", vjp=_move_vjp)
def MOVE(xp: Any, input: Any, *, device: str, source: str) -> Any:
    """The same values on another device."""
    return backend.move(input, device)


def _clone_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g


@op("clone", **COPY, complex=LINEAR, onnx="Identity", formula="input", vjp=_clone_vjp)
def CLONE(xp: Any, input: Any) -> Any:
    """A copy with memory of its own."""
    return input.copy()


def cast(input: Tensor, *, dtype: Any = None, device: Any = None, copy: bool = False) -> Tensor:
    """`input` with another dtype or device; itself when neither changes and no `copy` is asked for."""
    changed = input
    if device is not None:
        target = Device(device) if isinstance(device, str) else device
        if target != input.device:
            changed = apply(MOVE, (changed,), {"device": str(target), "source": str(input.device)})
    if dtype is not None and as_dtype(dtype) != changed.dtype:
        kind = as_dtype(dtype)
        if changed.dtype.kind == "c" and kind.kind not in "cb":
            frame = user_frame(2)
            warnings.warn_explicit(LOST, UserWarning, frame.f_code.co_filename, frame.f_lineno)
        if differentiable(kind):
            changed = apply(CAST, (changed,), {"dtype": kind.name})
        else:
            with no_grad():  # whole numbers are constant between their steps
                changed = apply(CAST, (changed,), {"dtype": kind.name})
    return clone(changed) if copy and changed is input else changed


def clone(input: Any, *, memory_format: Any = None) -> Tensor:
    """A copy with memory of its own; gradients flow through. `memory_format`: how it lies in memory."""
    copied = unary(CLONE, input)
    return copied if memory_format is None else _arranged(copied, memory_format)


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """`input` with its elements in order in memory, or as `memory_format` says; itself when they are."""
    if memory_format is not None:
        return _arranged(input, memory_format)
    return input if input.is_contiguous() else unary(CLONE, input)


def _arranged(input: Tensor, memory_format: Any) -> Tensor:
    from engine.memory_order import arranged  # whose op is like those here

    return arranged(input, memory_format)  # type: ignore[no-any-return]
