"""Complex numbers: what an op's record says of them is put in force when the first one is there.

A gradient is the conjugate Wirtinger derivative, as in PyTorch: of a real loss L of z = x + iy it is dL/dx + i dL/dy, the
direction in which L grows. For an op that is differentiable as a complex function that is conj(f'(z)) times what comes
from above, which is the conjugate of what the op's own rule makes of the conjugate: conj(conj(g) f'(z)). So one rule
serves both. (https://docs.pytorch.org/docs/stable/notes/autograd.html#autograd-for-complex-numbers)

Until then no op looks for complex numbers, so that programs without them pay nothing: `arm` puts functions that do in
place of those of the records. An op that is for real numbers only refuses from then on, and never computes something else
(NumPy would sort complex numbers, and take the larger of two).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from engine import op as records
from engine.errors import ArgumentProblem
from engine.located import located
from engine.op import HOLOMORPHIC, LINEAR, OPS, VALUE, Op
from engine.pending import PUT_OFF

INSTEAD = "Take .abs(), .angle(), .real or .imag of it, or view_as_real()"

_lock = threading.Lock()
_armed = False


def arm() -> None:
    """There is a complex number in the program. Called wherever one may come from: leaves, and ops that make one of reals."""
    global _armed
    if _armed:
        return
    with _lock:
        if not _armed:
            for op in list(OPS.values()):
                _widen(op)
            records.on_made.append(_widen)
            _armed = True


def is_complex(value: Any) -> bool:
    """Whether an array, a Tensor, a node or a plain number is complex."""
    kind = getattr(value, "dtype", None)
    return type(value) is complex if kind is None else bool(kind.kind == "c")


def real_only(name: str, *values: Any) -> None:
    """Raise `RuntimeError` where one of the arguments of a function, which is no op itself, is complex."""
    for value in values:
        if is_complex(value):
            raise located(
                RuntimeError(
                    f'"{name}" not implemented for {_word(value)}: it is for real numbers. {INSTEAD}'
                )
            )


def _widen(op: Op) -> None:
    """Let `op` heed complex numbers, as its record says."""
    if op.complex == LINEAR or op.custom:
        return  # a person's op is taken at its word, as PyTorch takes it
    if op.complex is None:
        op.forward = _refusing(op, op.forward)
        op.on_numpy = partial(op.forward, np)
        op._partials = {np: op.on_numpy}
        op.pooled = False  # the function is no ufunc any more
    if op.vjp is not None:
        op.vjp = _rule(op, op.vjp)
        op.vjp_numpy, op._vjps = partial(op.vjp, np), {}


def _refusing(op: Op, forward: Callable[..., Any]) -> Callable[..., Any]:
    def real_only(xp: Any, *args: Any, **attrs: Any) -> Any:
        for i, arg in enumerate(args):
            if is_complex(arg):
                raise ArgumentProblem(
                    RuntimeError,
                    f'"{op.name}" not implemented for {_word(arg)}: it is for real numbers, and {{{i}}} is complex. {INSTEAD}',
                    i,
                )
        return forward(xp, *args, **attrs)

    real_only.__wrapped__ = forward  # type: ignore[attr-defined]
    return real_only


def _word(value: Any) -> str:
    return {"complex64": "'ComplexFloat'", "complex128": "'ComplexDouble'"}.get(
        getattr(getattr(value, "dtype", None), "name", ""), "complex numbers"
    )


def _rule(op: Op, vjp: Callable[..., Any]) -> Callable[..., Any]:
    """`vjp` for real numbers, and what the record says where one of its arguments is complex."""
    rule = op.complex

    def complex_or_real(xp: Any, g: Any, out: Any, *args: Any, **attrs: Any) -> Any:
        for value in (g, out, *args):
            kind = getattr(value, "dtype", None)
            if kind is not None and kind.kind == "c":
                break
        else:
            if type(g) is not list or not any(map(is_complex, g)):
                return vjp(xp, g, out, *args, **attrs)
        attrs.pop("spare", None)  # what may be written to in place
        if callable(rule):
            return rule(xp, g, out, *args, **attrs)
        if rule != HOLOMORPHIC:
            why = "is not there" if rule == VALUE else "is not implemented"
            raise RuntimeError(f'the gradient of "{op.name}" {why} for complex numbers')
        result = vjp(xp, _conjugate(xp, g), out, *args, **attrs)
        return (
            tuple(map(partial(_conjugate, xp), result))
            if isinstance(result, tuple)
            else _conjugate(xp, result)
        )

    complex_or_real.__wrapped__ = vjp  # type: ignore[attr-defined]
    return complex_or_real


def _conjugate(xp: Any, g: Any) -> Any:
    if isinstance(g, list):
        return [_conjugate(xp, part) for part in g]
    if type(g) in PUT_OFF:
        g = g.value()
    return xp.conj(g) if is_complex(g) else g


def fitted(g: Any, kind: Any) -> Any:
    """A raw gradient in the type of what it is of: the imaginary part is none of a real number's."""
    if g.dtype.kind == "c" and kind.kind != "c":
        g = g.real
    return g.astype(kind)
