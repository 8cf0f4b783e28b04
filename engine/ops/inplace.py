"""Ops that write into the tensor they are called on: `x += 1`, `x.add_(1)`, `x[0] = 1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.dispatch import apply
from engine.grad_mode import state
from engine.node import NO_KWARGS
from engine.op import Op
from engine.writes import writes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def replace(target: Tensor, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any] = NO_KWARGS) -> Tensor:
    """Compute `op` and write the result into `target`'s memory; its node becomes that of the result.

    Raises `RuntimeError` for a leaf that requires a gradient (its value would no longer be what the gradient
    is taken of), and for a view of a tensor that takes part in a gradient.
    """
    if state.grad:
        _allowed(target, op, args)
    elif target.node.requires and target.node.op is None:
        _write(target, op, apply(op, args, kwargs))
        return target
    # What the op saves must not be the memory that is written to next.
    if state.grad and op.saves and any(getattr(a, "requires_grad", False) for a in args):
        args = tuple(_copy(a) if a is target else a for a in args)
    result = apply(op, args, kwargs)
    _write(target, op, result)
    target.node = result.node
    return target


def _write(target: Tensor, op: Op, result: Tensor) -> None:
    if result.array.dtype != target.array.dtype and result.array.dtype.kind not in _holds(
        target.array.dtype.kind
    ):
        raise TypeError(
            f"{op.name} in place: the result is {result.array.dtype}, which does not fit into {target.array.dtype}"
        )
    if result.array.shape != target.array.shape:
        raise ValueError(
            f"{op.name} in place: the result is {list(result.array.shape)}, "
            f"which does not fit into {list(target.array.shape)}"
        )
    target.array[...] = result.array
    writes.note(target.array, op.name + "_")


def _holds(kind: str) -> str:
    """The kinds of element type that can be written into one of `kind`."""
    return {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}.get(kind, kind)


def _copy(tensor: Tensor) -> Tensor:
    copy = type(tensor).__new__(type(tensor))
    copy.array = tensor.array.copy()
    copy.node = tensor.node
    return copy


def _allowed(target: Tensor, op: Op, args: tuple[Any, ...]) -> None:
    flows = any(getattr(a, "requires_grad", False) for a in args)
    if not flows:
        base = getattr(target, "base", None)
        if base is None or not base.requires_grad:
            return
    if target.node.requires and target.node.op is None:
        raise RuntimeError(
            f"{op.name}_ on a leaf that requires a gradient: do it under no_grad(), or use the op without the underscore"
        )
    base = getattr(target, "base", None)
    if base is not None:
        raise RuntimeError(
            f"{op.name}_ on a view ({target.node.label}, {target.node.filename}:{target.node.line}) while a gradient flows: "
            "the tensor it is a view of would not learn of it; write to that tensor itself, x[...] = value"
        )
