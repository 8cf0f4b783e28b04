"""How a tensor prints: its numbers, and what is not to be seen from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import backend
from engine.dtype import bool as bool_
from engine.dtype import complex_of, get_default_dtype, int64
from engine.settings import printing

if TYPE_CHECKING:
    from engine.tensor import Tensor


def tensor_text(tensor: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`, with dtype, device and the op that made it where they say something."""
    value = backend.move(tensor.array, "cpu")
    numbers = np.array2string(
        value,
        floatmode="maxprec_equal" if _whole(value) else "fixed",
        formatter=_formatter(value),
        precision=printing["precision"],
        separator=", ",
        prefix="tensor(",
        threshold=printing["threshold"],
        edgeitems=printing["edgeitems"],
        max_line_width=printing["linewidth"],
        suppress_small=printing["suppress_small"],
    )
    notes = [f"size={value.shape}"] if not value.size and value.ndim > 1 else []
    if tensor.dtype not in (get_default_dtype(), complex_of(get_default_dtype()), int64, bool_):
        notes.append(f"dtype={tensor.dtype}")
    if tensor.is_cuda:
        notes.append(f"device='{tensor.device}'")
    if tensor.grad_fn is not None and tensor.node.op is not None:
        notes.append(f"grad_fn=<{tensor.node.op.name}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return "tensor(" + ", ".join([numbers, *notes]) + ")"


WIDTHS = 1000  # elements of which the widest is looked for


def _formatter(value: np.ndarray) -> Any:
    """How single elements are written where NumPy's way is not PyTorch's."""
    if value.dtype.kind == "c":
        real, imag = _part(value.real), _part(value.imag)
        width = max((len(real(x)) for x in value.real.flat), default=0) if value.size <= WIDTHS else 0

        def pair(z: Any) -> str:
            text = imag(z.imag)
            return f"{real(z.real):>{width}}{'' if text[0] == '-' else '+'}{text}j"

        return {"complexfloat": pair}
    return {"bool": str} if value.dtype == bool_ and (value.all() or not value.any()) else None


def _part(part: np.ndarray) -> Callable[[Any], str]:
    """How the real or the imaginary parts are written: as PyTorch writes real numbers."""
    sizes = np.abs(part[np.isfinite(part) & (part != 0)]).astype(np.float64)
    least, most = float(sizes.min(initial=np.inf)), float(sizes.max(initial=0))
    far = most > 1000 * least or most > 1e8
    digits = printing["precision"]
    if _whole(part):
        return (lambda x: f"{x:.{digits}e}") if far else (lambda x: f"{x:.0f}" + "." * bool(np.isfinite(x)))
    far = (far or least < 1e-4) and not printing["suppress_small"]
    return lambda x: f"{x:.{digits}{'e' if far else 'f'}}"


def _whole(value: np.ndarray) -> bool:
    """Whether all numbers are whole, and print as `1.` rather than `1.0000`."""
    if value.dtype.kind != "f":
        return True
    finite = value[np.isfinite(value)]
    return bool((finite == np.floor(finite)).all()) and float(np.abs(finite).max(initial=0)) < 1e8
