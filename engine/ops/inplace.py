"""Ops that write into the tensor they are called on: `x += 1`, `x.add_(1)`, `x[0] = 1`."""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import late, views
from engine.dispatch import apply
from engine.errors import DtypeMismatchError
from engine.grad_mode import state
from engine.located import located
from engine.node import NO_KWARGS
from engine.op import Op
from engine.pending import settle
from engine.pool import owns
from engine.writes import writes

if TYPE_CHECKING:
    from engine.tensor import Tensor


PLAIN = (int, slice, type(None), type(Ellipsis))


def replace(target: Tensor, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any] = NO_KWARGS) -> Tensor:
    """Compute `op` and write the result into `target`'s memory; its node becomes that of the result.

    Tensors that share the memory learn of it. Raises `RuntimeError` for a leaf that requires a gradient, or a view
    of one: its value would no longer be what the gradient is taken of.
    """
    if state.grad:
        _allowed(target, op.name, args)
        # What the op saves must not be the memory that is written to next.
        if op.saves and any(getattr(a, "requires_grad", False) for a in args):
            args = tuple(_copy(a) if a is target else a for a in args)
    return _take(target, op.name, apply(op, args, kwargs), kwargs.get("index"))


def put(
    target: Tensor, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Tensor:
    """As `replace`, with what a function of the target and `args` gives."""
    source = target
    if state.grad:
        given = (target, *args, *kwargs.values())
        _allowed(target, function.__name__, given)
        if any(getattr(a, "requires_grad", False) for a in given):
            source = _copy(target)
            args = tuple(source if a is target else a for a in args)
    return _take(target, function.__name__, function(source, *args, **kwargs))


def over(target: Any, function: Callable[..., Tensor], *args: Any) -> Tensor:
    """`function(target, *args)` in the place of `target`: what `inplace=True` asks for. Anything but a tensor stays.

    Where nobody else holds its memory, `target` takes the result's instead of having it copied into its own: neither
    needs more than the op without it, and what the gradient saved of the old values stays as it was.
    """
    array = getattr(target, "array", None)
    # The tensor, `array` and the count's own argument; a view, or NumPy's own name for the memory, would be one more.
    if type(array) is not np.ndarray or not owns(array) or getrefcount(array) > 3:
        return put(target, function, args, {}) if array is not None else function(target, *args)
    if state.grad:
        _allowed(target, function.__name__, (target,))
    result = function(target, *args)
    if result.array.dtype != array.dtype or result.array.shape != array.shape:
        return _take(target, function.__name__, result)
    target.array, target.node = result.array, result.node
    return target  # type: ignore[no-any-return]


def _take(target: Tensor, name: str, result: Tensor, index: Any = None) -> Tensor:
    """Write `result` into `target`, and let gradients know. Only what `index` picks is another than before, if given."""
    _write(target, name, result, index)
    if not state.grad:
        if not target.node.requires:
            target.node = result.node
        return target
    flows = result.node.requires or target.node.requires
    target.node = result.node
    if flows or views.root(target).node.requires:
        views.told(target)
    return target


def _write(target: Tensor, name: str, result: Tensor, index: Any) -> None:
    if result.array.dtype != target.array.dtype and result.array.dtype.kind not in _holds(
        target.array.dtype.kind
    ):
        raise located(
            DtypeMismatchError(
                f"{name.rstrip('_')}_: the result is {result.array.dtype}, which does not fit into {target.array.dtype} "
                f"of shape {list(target.array.shape)}"
            )
        )
    if result.array.shape != target.array.shape:
        raise located(
            ValueError(
                f"{name.rstrip('_')}_: the result is {list(result.array.shape)}, "
                f"which does not fit into {list(target.array.shape)}"
            )
        )
    if not getattr(target.array.flags, "writeable", True):
        raise located(
            RuntimeError(
                f"{name.rstrip('_')}_: the elements of this tensor of shape {list(target.array.shape)} share memory "
                "(expand made it, or the array is read-only); clone() it first"
            )
        )
    if late.regions:
        late.settle()
    values = target.array
    settle()
    values[...] = result.array
    writes.note(target.array, name + "_", None if index is None else _part(target.array, index))


def _part(array: Any, index: Any) -> Any:
    """The view of an array's elements that plain indices and slices pick; None for other indices, or no NumPy array."""
    parts = index if isinstance(index, tuple) else (index,)
    if type(array) is not np.ndarray or not all(type(p) in PLAIN for p in parts):
        return None
    return array[(*parts, ...) if Ellipsis not in parts else parts]  # a view also of one element


def _holds(kind: str) -> str:
    """The kinds of element type that can be written into one of `kind`."""
    return {"c": "cfiub", "f": "fiub", "i": "iub", "u": "iub", "b": "b"}.get(kind, kind)


def _copy(tensor: Tensor) -> Tensor:
    copy = type(tensor).__new__(type(tensor))
    copy.array = tensor.array.copy()
    copy.node = tensor.node
    return copy


def _allowed(target: Tensor, name: str, args: tuple[Any, ...]) -> None:
    word = name.rstrip("_") + "_"
    if target.node.requires and target.node.op is None:
        raise located(
            RuntimeError(
                f"{word} on a leaf that requires a gradient, of shape {list(target.array.shape)}: do it under no_grad(), "
                "or use the op without the underscore"
            )
        )
    base = views.root(target)
    if base is not target and base.node.requires and base.node.op is None:
        raise located(
            RuntimeError(
                f"{word} on a view of a leaf that requires a gradient, of shape {list(base.array.shape)} "
                f"({base.node.filename}:{base.node.line}): do it under no_grad(), or on a clone()"
            )
        )
    node = target.node
    if node.op is not None and node.op.name == "part":
        whole = node.inputs[0]
        flows = node.requires or any(getattr(a, "requires_grad", False) for a in args)
        if flows and whole is not None and whole.op is not None and whole.op.name in ("split", "unbind"):
            raise located(
                RuntimeError(
                    f"{word} on one of the views that {whole.op.name} made ({node.filename}:{node.line}), while a gradient "
                    "flows: the tensor they are parts of would not learn of it; use slices, x[...], or the op without "
                    "the underscore"
                )
            )
