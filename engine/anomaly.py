"""Finding the op whose gradient went wrong: under `detect_anomaly` a backward pass that makes NaN raises.

Read as `ds.autograd.detect_anomaly` and `ds.autograd.set_detect_anomaly`. The debugger stops at the same place
without being asked to slow down every pass; this is for programs that run alone, under PyTorch's names.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np

from engine import backend
from engine.located import located
from engine.node import Node

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]


class Anomaly:
    """Whether backward passes look for NaN; they ask once each."""

    def __init__(self) -> None:
        self.on = False

    def look(self, node: Node, results: tuple[Any, ...]) -> None:
        """Raise `RuntimeError` when one of the gradients that `node` gives its arguments has NaN."""
        assert node.op is not None
        for i, result in enumerate(results):
            array = getattr(result, "array", result)
            if backend.is_array(array) and array.dtype.kind in "fc" and bool(np.isnan(array).any()):
                names = node.op.arg_names
                argument = names[min(i, len(names) - 1)]
                raise located(
                    RuntimeError(
                        f"the gradient of {node.op.name} ({node.filename}:{node.line}) with respect to {argument} "
                        "has NaN values"
                    )
                )


anomaly = Anomaly()


def is_anomaly_enabled() -> bool:
    """Whether backward passes look for NaN."""
    return anomaly.on


class set_detect_anomaly:  # noqa: N801 - PyTorch's name
    """Look for NaN in every backward pass from now on, or no longer; as a context manager, within the block.

    Each pass that makes one raises `RuntimeError` with the op and the person's line. `check_nan=False` is taken for
    PyTorch's sake and looks for nothing.

    >>> import engine as ds
    >>> x = ds.zeros(1, requires_grad=True)
    >>> with ds.autograd.detect_anomaly():
    ...     try:
    ...         ds.sqrt(x * x).sum().backward()
    ...     except RuntimeError as error:
    ...         print(str(error).split(" (")[0])
    the gradient of mul
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = anomaly.on
        anomaly.on = mode and check_nan

    def __enter__(self) -> None:
        """Looking began when this was made."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        anomaly.on = self._before


class detect_anomaly(set_detect_anomaly):  # noqa: N801 - PyTorch's name
    """Look for NaN in the backward passes of a `with` block."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
