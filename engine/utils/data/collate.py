"""One batch out of a list of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import ArgumentError
from engine.located import located
from engine.tensor import Tensor

_DEEP = "default_collate makes batches of tensors, arrays, numbers, text, dicts and lists of them, got a list of {}"


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack the items: tensors and arrays along a new first dimension, numbers as a tensor, dicts and tuples inside.

    Raises `TypeError` for items of another kind and `ArgumentError` for items of different shapes or lengths.

    >>> import engine as ds
    >>> x, y = default_collate([(ds.ones(2), 0), (ds.zeros(2), 1)])
    >>> x.tolist(), y.tolist()
    ([[1.0, 1.0], [0.0, 0.0]], [0, 1])
    """
    first = batch[0]
    if isinstance(first, Tensor):
        if any(t.requires_grad for t in batch):
            from engine import stack  # made of everything else

            return stack(list(batch))
        return Tensor(_stacked([t.array for t in batch], "tensors"))
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUO":
            raise located(TypeError(_DEEP.format(f"arrays of {first.dtype}")))
        return Tensor(_stacked(list(batch), "arrays"))
    if isinstance(first, (bool, np.bool_)):
        return Tensor(np.asarray(batch, np.bool_))
    if isinstance(first, np.generic):
        return Tensor(np.stack(list(batch)))
    if isinstance(first, float):
        return Tensor(np.asarray(batch, np.float64))
    if isinstance(first, int):
        return Tensor(np.asarray(batch, np.int64))
    if isinstance(first, (str, bytes)):
        return batch if isinstance(batch, (list, tuple)) else list(batch)
    if isinstance(first, Mapping):
        made = {key: default_collate([item[key] for item in batch]) for key in first}
        return type(first)(made) if type(first) is not dict else made  # type: ignore[call-arg]
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(column) for column in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        sizes = {len(item) for item in batch}
        if len(sizes) > 1:
            raise located(
                ArgumentError(f"the items of a batch have to be as long, got lengths {sorted(sizes)}")
            )
        return [default_collate(column) for column in zip(*batch, strict=True)]
    raise located(TypeError(_DEEP.format(type(first).__name__)))


def _stacked(arrays: list[Any], what: str) -> Any:
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        seen = ", ".join(str(list(s)) for s in sorted(shapes))
        raise located(
            ArgumentError(
                f"the {what} of a batch have to have one shape to be stacked, got {seen}; "
                "pad them, or give the DataLoader a collate_fn"
            )
        )
    from engine.backend import namespace

    return namespace(arrays[0]).stack(arrays)


def default_convert(data: Any) -> Any:
    """What a loader without batches gives: arrays as tensors, the rest as it is."""
    if isinstance(data, np.ndarray) and data.dtype.kind not in "SUO":
        return Tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, (tuple, list)):
        return [default_convert(value) for value in data]
    return data
