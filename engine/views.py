"""Tensors that share memory, and how a write to one becomes known to the others' gradients.

A view knows the tensor it was made of and by which op; a tensor knows its living views. When a gradient flows,
a write to any of them gives each a node that says what it holds now.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from engine.backend import owner
from engine.located import located

if TYPE_CHECKING:
    from engine.tensor import Tensor


def root(tensor: Tensor) -> Tensor:
    """The tensor whose memory `tensor` is a view of; itself when it is none."""
    while (base := getattr(tensor, "base", None)) is not None:
        tensor = base
    return tensor


def shares(view: Tensor, base: Tensor) -> bool:
    """Whether an op that may make a view has made one."""
    return owner(view.array) is owner(base.array)


def told(target: Tensor) -> None:
    """`target` was written to and has its new node: give the tensors that share its memory theirs."""
    _below(target, None)
    while (base := getattr(target, "base", None)) is not None:
        base.node = _replaced(base, target).node
        _below(base, target)
        target = base


def _below(tensor: Tensor, but: Tensor | None) -> None:
    """New nodes for the living views of `tensor`."""
    from engine.dispatch import apply

    for reference in getattr(tensor, "views", ()):
        view = reference()
        if view is not None and view is not but and shares(view, tensor):
            op, attrs = view.how
            view.node = apply(op, (tensor,), attrs).node
            _below(view, None)


def _replaced(base: Tensor, view: Tensor) -> Tensor:
    """`base` with the elements that `view` shows replaced by `view`."""
    from engine.dispatch import apply
    from engine.ops import complex, indexing, layout

    op, attrs = view.how
    made: Any
    if op is indexing.GETITEM:
        made = apply(indexing.PUT, (base, view), attrs)
    elif op is layout.PERMUTE:
        dims = attrs["dims"]
        back = sorted(range(len(dims)), key=lambda i: dims[i] % len(dims))
        made = apply(layout.PERMUTE, (view,), {"dims": tuple(back)})
    elif op is layout.TRANSPOSE:
        made = apply(layout.TRANSPOSE, (view,), attrs)
    elif op is layout.RESHAPE:
        made = apply(layout.RESHAPE, (view,), {"shape": tuple(base.shape)})
    elif op is complex.REAL:
        made = complex.complex(view, complex.imag(base))
    elif op is complex.IMAG:
        made = complex.complex(complex.real(base), view)
    elif op is complex.VIEW_AS_REAL:
        made = complex.view_as_complex(view)
    elif op is complex.VIEW_AS_COMPLEX:
        made = complex.view_as_real(view)
    else:
        raise located(
            RuntimeError(
                f"a write to what {op.name} made, while a gradient flows: its elements share memory with one another; "
                "clone() it first"
            )
        )
    return made  # type: ignore[no-any-return]


def link(view: Tensor, base: Tensor, op: Any, attrs: dict[str, Any]) -> None:
    """Note that `view` shares the memory of `base`."""
    if not shares(view, base):
        return
    view.base = base
    view.how = (op, attrs)
    if base.node.requires and base.node.op is None:
        return  # a leaf that takes a gradient is never written to where gradients flow
    views = getattr(base, "views", None)
    if views is None:
        views = base.views = []
    elif len(views) >= 32 and (len(views) & (len(views) - 1)) == 0:
        # Dead ones are swept whenever the list has doubled.
        views[:] = [reference for reference in views if reference() is not None]
    views.append(weakref.ref(view))
