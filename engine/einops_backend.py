"""The package einops works on our tensors: `rearrange(x, "b (h d) n -> b h n d", h=8)`.

Its table of frameworks (https://einops.rocks) is told of ours when both are loaded, in whatever order.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any


def add_to(table: ModuleType) -> None:
    """Add our tensors to einops' table of frameworks, its module `_backends`."""
    from engine import as_tensor, einsum, stack
    from engine.location import not_the_programs
    from engine.ops.layout import cat
    from engine.tensor import Tensor

    not_the_programs(
        os.path.dirname(str(table.__file__))
    )  # its lines are not what a person wants to see of an op

    class Backend(table.AbstractBackend):  # type: ignore[misc, name-defined]
        """What einops asks of a framework."""

        framework_name = "engine"  # it looks for it among the modules that are loaded

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def from_numpy(self, x: Any) -> Any:
            made = as_tensor(x)
            made.requires_grad = made.is_floating_point()
            return made

        def to_numpy(self, x: Any) -> Any:
            return x.detach().cpu().numpy()

        def arange(self, start: Any, stop: Any) -> Any:
            from engine import arange

            return arange(start, stop)

        def reduce(self, x: Any, operation: str, axes: Any) -> Any:
            if operation in ("min", "max"):
                return getattr(x, f"a{operation}")(dim=axes)
            if operation in ("sum", "mean"):
                return getattr(x, operation)(dim=axes)
            for axis in sorted(axes, reverse=True):  # one at a time, the last first
                x = getattr(x, operation)(dim=axis)
            return x

        def transpose(self, x: Any, axes: Any) -> Any:
            return x.permute(axes)

        def stack_on_zeroth_dimension(self, tensors: Any) -> Any:
            return stack(tensors)

        def add_axes(self, x: Any, n_axes: int, pos2len: Any) -> Any:
            repeats = [-1] * n_axes
            for position, length in pos2len.items():
                x = x.unsqueeze(position)
                repeats[position] = length
            return x.expand(repeats)

        def add_axis(self, x: Any, new_position: int) -> Any:
            return x.unsqueeze(new_position)

        def tile(self, x: Any, repeats: Any) -> Any:
            return x.repeat(repeats)

        def concat(self, tensors: Any, axis: int) -> Any:
            return cat(tensors, dim=axis)

        def is_float_type(self, x: Any) -> bool:
            return x.is_floating_point()  # type: ignore[no-any-return]

        def einsum(self, pattern: str, *x: Any) -> Any:
            return einsum(pattern, *x)

    table.Keep = Backend  # type: ignore[attr-defined] # it finds the subclasses of its own, which nobody else would keep
