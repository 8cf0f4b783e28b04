"""Copies: to another element type, to another device, or just a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import backend
from engine.backend import Device
from engine.dispatch import apply, unary
from engine.dtype import as_dtype, is_floating
from engine.grad_mode import no_grad
from engine.op import op
from engine.ops.arithmetic import UNARY

if TYPE_CHECKING:
    from engine.tensor import Tensor

COPY: dict[str, Any] = {**UNARY, "family": "other"}


def _cast_vjp(xp: Any, g: Any, out: Any, input: Any, *, dtype: str) -> Any:
    return g.astype(input.dtype)


def _cast_dtype(input: Any, *, dtype: str) -> Any:
    return as_dtype(dtype)


@op(
    "cast", **{**COPY, "dtype": _cast_dtype}, quiet=True, onnx="Cast", formula="input as dtype", vjp=_cast_vjp
)
def CAST(xp: Any, input: Any, *, dtype: str) -> Any:
    """The same values in another element type."""
    return input.astype(dtype)


def _move_vjp(xp: Any, g: Any, out: Any, input: Any, *, device: str, source: str) -> Any:
    return g.to(device=source) if hasattr(g, "node") else backend.move(g, source)


@op("move", **COPY, formula="input on device", vjp=_move_vjp)
def MOVE(xp: Any, input: Any, *, device: str, source: str) -> Any:
    """The same values on another device."""
    return backend.move(input, device)


def _clone_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g


@op("clone", **COPY, onnx="Identity", formula="input", vjp=_clone_vjp)
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
        if is_floating(kind):
            changed = apply(CAST, (changed,), {"dtype": kind.name})
        else:
            with no_grad():  # whole numbers are constant between their steps
                changed = apply(CAST, (changed,), {"dtype": kind.name})
    return clone(changed) if copy and changed is input else changed


def clone(input: Any) -> Tensor:
    """A copy with memory of its own; gradients flow through."""
    return unary(CLONE, input)


def contiguous(input: Tensor) -> Tensor:
    """`input` with its elements in order in memory; itself when they are."""
    return input if input.is_contiguous() else unary(CLONE, input)
