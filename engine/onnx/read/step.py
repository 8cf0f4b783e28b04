"""A node of a file that is being run, and the table of what each ONNX op is done by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import helper

from engine.tensor import Tensor

Reader = Callable[["Step"], Any]
READ: dict[str, Reader] = {}


class Unreadable(Exception):  # noqa: N818 - told with the node it is about
    """A use of an op that cannot be done here; the text says why."""


class Sequence(list):  # type: ignore[type-arg]
    """A value that is a sequence of tensors, which is one result and not several."""


class Step(NamedTuple):
    """One node to run: its inputs (None for one left out), attributes, how many results, the opset, and around it."""

    inputs: list[Any]
    attributes: dict[str, Any]
    outputs: int
    opset: int
    env: dict[str, Any]
    module: Any

    def get(self, at: int) -> Any:
        """Input `at`, None where it was left out."""
        return self.inputs[at] if at < len(self.inputs) else None

    def ints(self, at: int, name: str = "") -> list[int] | None:
        """Whole numbers from input `at`, or from the attribute that older opsets have in its place."""
        value = self.get(at)
        if value is not None:
            return [int(v) for v in np.atleast_1d(value.array)]
        if name and self.attributes.get(name) is not None:
            found = self.attributes[name]
            return [int(v) for v in found] if isinstance(found, (list, tuple)) else [int(found)]
        return None

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute; text as text."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value


def reads(*names: str) -> Callable[[Reader], Reader]:
    """The decorated function does these ops."""

    def register(function: Reader) -> Reader:
        for name in names:
            READ[name] = function
        return function

    return register


def plain(value: Any) -> Tensor:
    """An array as a tensor."""
    return Tensor(np.asarray(value))


def kind_of(code: int) -> Any:
    """The NumPy type of an ONNX type number."""
    return helper.tensor_dtype_to_np_dtype(code)
