"""An op's function on a GPU: one of its own where `images.py` has one, and the op's own where that declines.

What is computed for each element passes over images with their channels last as they lie: CuPy would go through them
in the order of the shape, and read each number of a line from another place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.gpu import images
from engine.gpu.layout import flat, lie, turned, unflat
from engine.op import OPS, Op

Function = Callable[..., Any]


def forward(op: Op, plain: Function) -> Function:
    """`plain`, the forward function of `op` with `xp` bound, on a GPU."""
    return _first(_own(op, images.FORWARD), _as_it_lies(plain) if _elementwise(op) else plain)


def vjp(op: Op, plain: Function) -> Function:
    """`plain`, the gradient rule of `op` with `xp` bound, on a GPU."""
    return _first(_own(op, images.RULES), _rule_as_it_lies(plain) if _elementwise(op) else plain)


def _own(op: Op, table: dict[str, Function]) -> Function | None:
    """The function in the table; none for a record under an op's name that is not the op's (`engine.foreseen`)."""
    return table.get(op.name) if OPS.get(op.name) is op else None


def _first(own: Function | None, plain: Function) -> Function:
    if own is None:
        return plain

    def run(*args: Any, **attrs: Any) -> Any:
        made = own(*args, **attrs)
        return plain(*args, **attrs) if made is None else made

    return run


def _elementwise(op: Op) -> bool:
    """Whether each element of the result is of the same element of the arguments."""
    return (
        op.family in ("elementwise", "activation")
        and "dim" not in op.attr_names
        and op.outputs == 1
        and not op.extras
        and not op.custom
        and not op.view
    )


def _one_shape(args: tuple[Any, ...]) -> bool:
    """Whether all that are arrays are images of one shape, at least one with its channels last."""
    arrays = [a for a in args if getattr(a, "ndim", 0)]
    return bool(arrays) and any(turned(a) for a in arrays) and all(a.shape == arrays[0].shape for a in arrays)


def _as_it_lies(plain: Function) -> Function:
    def run(*args: Any, **attrs: Any) -> Any:
        if getattr(args[0], "ndim", 0) != 4 or not _one_shape(args):
            return plain(*args, **attrs)
        made = plain(*[flat(lie(a, True)) if getattr(a, "ndim", 0) else a for a in args], **attrs)
        return unflat(made)

    return run


def _rule_as_it_lies(plain: Function) -> Function:
    def run(*args: Any, **attrs: Any) -> Any:
        # A node stands for an argument that was not saved: a rule may ask for its shape.
        if args[0].ndim != 4 or any(hasattr(a, "op") for a in args) or not _one_shape(args):
            return plain(*args, **attrs)
        made = plain(*[flat(lie(a, True)) if getattr(a, "ndim", 0) else a for a in args], **attrs)
        if type(made) is tuple:
            return tuple([unflat(m) if getattr(m, "ndim", 0) == 4 else m for m in made])
        return unflat(made)

    return run
