"""Sequences of different length in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.located import located
from engine.nn.sequence import pad_sequence
from engine.ops.layout import cat
from engine.tensor import Tensor

__all__ = [
    "PackedSequence", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence",
    "unpad_sequence",
]  # fmt: skip


class PackedSequence(NamedTuple):
    """A batch of sequences without padding: all first steps, then all second ones of those long enough, and so on.

    `batch_sizes` [steps] is how many sequences have each step. Sequences are ordered by length, the longest
    first: `sorted_indices` says where each came from, `unsorted_indices` how to go back; None: they were in order.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with `data` converted."""
        return self._replace(data=self.data.to(*args, **kwargs))

    @property
    def is_cuda(self) -> bool:
        """Whether the data lives on a GPU."""
        return bool(self.data.is_cuda)


def _numbers(lengths: Any) -> np.ndarray[Any, Any]:
    raw = lengths.tolist() if hasattr(lengths, "tolist") else list(lengths)
    return np.asarray([int(n) for n in raw], np.int64)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack [steps, batch, ...] ([batch, steps, ...] with `batch_first`) whose sequences have these `lengths`.

    Raises `RuntimeError` for lengths that do not fit, or are not in order while `enforce_sorted`.
    """
    x = input.transpose(0, 1) if batch_first else input
    given = _numbers(lengths)
    steps, batch = x.shape[:2]
    if len(given) != batch or (batch and (given.min() < 1 or given.max() > steps)):
        raise located(
            RuntimeError(
                f"lengths needs {batch} numbers from 1 to {steps} for input {list(input.shape)}, got {given.tolist()}"
            )
        )
    order = None
    if enforce_sorted:
        if (np.diff(given) > 0).any():
            raise located(
                RuntimeError(
                    f"lengths have to go down, got {given.tolist()}; enforce_sorted=False sorts the sequences"
                )
            )
    else:
        order = np.argsort(-given, kind="stable")
        x, given = x[:, order], given[order]
    sizes = [int((given > t).sum()) for t in range(int(given.max()))]
    data = cat([x[t, :n] for t, n in enumerate(sizes)])
    back = None if order is None else Tensor(np.argsort(order))
    return PackedSequence(
        data, Tensor(np.asarray(sizes, np.int64)), None if order is None else Tensor(order), back
    )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: the padded tensor, and the lengths.

    Raises `ValueError` where `total_length` is shorter than the longest sequence.
    """
    sizes = sequence.batch_sizes.tolist()
    lengths = np.asarray([sum(1 for n in sizes if n > i) for i in range(sizes[0])], np.int64)
    pieces, start = [], 0
    by_step = []
    for n in sizes:
        by_step.append(sequence.data[start : start + n])
        start += n
    if total_length is not None and total_length < len(sizes):
        raise located(
            ValueError(f"total_length={total_length} is less than the longest sequence, {len(sizes)}")
        )
    from engine.ops.layout import stack
    from engine.ops.pad import pad

    rank = sequence.data.ndim
    for step in by_step:
        missing = sizes[0] - step.shape[0]
        fill = (0, 0) * (rank - 1) + (0, missing)
        pieces.append(pad(step, fill, value=padding_value) if missing else step)
    out: Any = stack(pieces)
    if total_length is not None and total_length > len(sizes):
        out = pad(out, (0, 0) * rank + (0, total_length - len(sizes)), value=padding_value)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.array
        out, lengths = out[:, back], lengths[back]
    return (out.transpose(0, 1) if batch_first else out), Tensor(lengths)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences [steps, ...] of different length."""
    return pack_padded_sequence(
        pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted
    )


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each of its own length."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[i, :n] for i, n in enumerate(_numbers(lengths).tolist())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
