"""How a tensor prints: its numbers, and what is not to be seen from them.

The numbers stand as PyTorch's do, to the character: one width for all, four digits, or none where all are whole, powers
of ten where the largest is over a thousand times the smallest, and the ends alone of more than a thousand.
"""

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

BEGIN = "tensor("


def tensor_text(tensor: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`, with dtype, device and the op that made it where they say something."""
    value = backend.move(tensor.array, "cpu")
    text = BEGIN + (_numbers(value) if value.size else "[]")
    width, at = printing["linewidth"], len(text) - text.rfind("\n") + 1
    for note in _notes(tensor, value):
        if at + len(note) + 2 > width:
            text += ",\n" + " " * len(BEGIN) + note
            at = len(BEGIN) + len(note)
        else:
            text += ", " + note
            at += len(note) + 2
    return text + ")"


def _notes(tensor: Tensor, value: np.ndarray) -> list[str]:
    notes = [f"device='{tensor.device}'"] if tensor.is_cuda else []
    default = get_default_dtype()
    told = {default, complex_of(default), int64, bool_} if value.size else {default}
    if not value.size and value.ndim != 1:
        notes.append(f"size={tuple(value.shape)}")
    if tensor.dtype not in told:
        notes.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None and tensor.node.op is not None:
        notes.append(f"grad_fn=<{tensor.node.op.name}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return notes


def _numbers(value: np.ndarray) -> str:
    if value.dtype.itemsize == 2 and value.dtype.kind not in "iu":
        value = value.astype(np.float32)  # float16 and bfloat16: what is measured below would overflow there
    edge = printing["edgeitems"] if value.size > printing["threshold"] else None
    shown = value if edge is None else _ends(value, edge)
    if value.dtype.kind != "c":
        width, write = _writer(shown)
        return _nested(value, len(BEGIN), edge, width, write)
    width, real = _writer(shown.real)
    wider, imag = _writer(shown.imag)

    def pair(z: complex) -> str:
        text = imag(z.imag).lstrip()
        return f"{real(z.real)}{'' if text[0] in '+-' else '+'}{text}j"

    return _nested(value, len(BEGIN), edge, width + wider + 1, pair)


def _ends(value: np.ndarray, edge: int) -> np.ndarray:
    """The elements that are shown where the middle is not."""
    for axis, size in enumerate(value.shape):
        if size > 2 * edge:
            value = np.take(value, [*range(edge), *range(size - edge, size)], axis)
    return value


def _nested(value: np.ndarray, indent: int, edge: int | None, width: int, write: Callable[[Any], str]) -> str:
    """Rows in brackets, each row's numbers in lines; of a dimension longer than `edge` twice the ends."""
    if value.ndim == 0:
        return write(value.item())
    cut = edge is not None and len(value) > 2 * edge
    parts = [value[:edge], value[len(value) - (edge or 0) :]] if cut else [value]
    if value.ndim == 1:
        texts = [[write(x) for x in part.tolist()] for part in parts]
        words = texts[0] + ([" ...", *texts[1]] if cut else [])
        a_line = max(1, (printing["linewidth"] - indent) // (width + 2))
        lines = [", ".join(words[i : i + a_line]) for i in range(0, len(words), a_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    texts = [[_nested(row, indent + 1, edge, width, write) for row in part] for part in parts]
    rows = texts[0] + (["...", *texts[1]] if cut else [])
    return "[" + ("," + "\n" * (value.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _writer(value: np.ndarray) -> tuple[int, Callable[[Any], str]]:
    """The width of a number among `value`, and how each is written."""
    if value.dtype.kind != "f":
        width = max(len(str(x)) for x in value.ravel().tolist())
        return width, lambda x: f"{x!s:>{width}}"
    seen = value[np.isfinite(value) & (value != 0)].astype(np.float64)
    whole = bool((seen == np.ceil(seen)).all())
    sizes = np.abs(seen)
    least, most = float(sizes.min(initial=np.inf)), float(sizes.max(initial=0))
    powers = bool(seen.size) and (most > 1000 * least or most > 1e8 or (not whole and least < 1e-4))
    if printing["sci_mode"] is not None:
        powers = printing["sci_mode"]
    digits = printing["precision"]

    def written(x: float) -> str:
        if powers:
            return f"{x:.{digits}e}"
        if whole:
            return f"{x:.0f}" + "." * bool(np.isfinite(x))
        return f"{x:.{digits}f}"

    width = max((len(written(x)) for x in seen.tolist()), default=1)
    return width, lambda x: f"{written(x):>{width}}"
