"""How the elements of images lie in memory, under PyTorch's names: in order, or with the channels last.

The engine lays what it computes itself as its kernels like it best; this is for programs that ask. Values are the same.
"""

from __future__ import annotations

from typing import Any

from engine.dispatch import apply
from engine.located import located
from engine.op import op
from engine.ops.cast import COPY

__all__ = [
    "channels_last", "channels_last_3d", "contiguous_format", "layout", "memory_format", "preserve_format", "strided",
]  # fmt: skip


class memory_format:  # noqa: N801 - PyTorch's name
    """An order of the elements in memory; the ones there are have names.

    >>> import engine as ds
    >>> ds.zeros(1, 3, 4, 4).to(memory_format=ds.channels_last).stride()
    (48, 1, 12, 3)
    """

    __slots__ = ("name", "rank")

    def __init__(self, name: str, rank: int | None = None) -> None:
        self.name, self.rank = name, rank

    def __repr__(self) -> str:
        return f"dsviz.{self.name}"

    def __reduce__(self) -> str:
        return self.name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", 4)
channels_last_3d = memory_format("channels_last_3d", 5)


class layout:  # noqa: N801 - PyTorch's name
    """The kind of storage of a tensor: `strided`, the only one there is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "dsviz.strided"

    def __reduce__(self) -> str:
        return "strided"


strided = layout()
FORMATS = {f.name: f for f in (contiguous_format, preserve_format, channels_last, channels_last_3d)}


def checked(wanted: Any, rank: int | None = None) -> memory_format:
    """`wanted` as one of the formats. Raises `TypeError` for another thing, `RuntimeError` for images of another rank."""
    if not isinstance(wanted, memory_format):
        raise located(TypeError(f"memory_format: expected one like ds.channels_last, got {wanted!r}"))
    if rank is not None and wanted.rank not in (None, rank):
        raise located(
            RuntimeError(
                f"memory_format={wanted}: expected a tensor of {wanted.rank} dimensions, got one of {rank}"
            )
        )
    return wanted


def _vjp(xp: Any, g: Any, out: Any, input: Any, *, memory_format: str) -> Any:
    return g


@op("arrange", **COPY, onnx="Identity", formula="input, laid out as memory_format says", vjp=_vjp)
def ARRANGE(xp: Any, input: Any, *, memory_format: str) -> Any:
    """The same values in another order in memory."""
    return laid(input, FORMATS[memory_format])


def laid(array: Any, wanted: Any) -> Any:
    """An array of the same values whose elements lie so in memory; itself for `preserve_format`."""
    wanted = checked(wanted, array.ndim)
    if wanted is preserve_format:
        return array
    if wanted.rank is None:
        return array.copy(order="C")
    rank = array.ndim
    return _moved(array).copy(order="C").transpose(0, rank - 1, *range(1, rank - 1))


def _moved(array: Any) -> Any:
    """Images, of two spatial dimensions or three, with the channels as their last dimension: the same memory."""
    return array.transpose(0, *range(2, array.ndim), 1)


def lies(array: Any, wanted: memory_format) -> bool:
    """Whether the elements of an array lie so."""
    if wanted.rank is None:
        return bool(array.flags.c_contiguous)
    return bool(array.ndim == wanted.rank and _moved(array).flags.c_contiguous)


def arranged(input: Any, wanted: Any) -> Any:
    """`input` with its elements in memory as `wanted` says; itself where they lie so, or for `preserve_format`."""
    wanted = checked(wanted, input.ndim)
    if wanted is preserve_format or lies(input.array, wanted):
        return input
    return apply(ARRANGE, (input,), {"memory_format": wanted.name})
