"""What a program asks PyTorch's compiler: whether it is at work, and to leave a function alone.

Here Python always runs as written, so nothing is ever left out. `ds.jit` and `ds.no_jit` say what is compiled.

>>> is_compiling()
False
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.jit.asking import no_jit

__all__ = ["disable", "is_compiling", "is_dynamo_compiling", "reset"]


def is_compiling() -> bool:
    """Never: the program runs as it is written."""
    return False


is_dynamo_compiling = is_compiling


def disable(
    fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """`fn` with nothing compiled inside it, as `ds.no_jit`; without `fn`, a decorator."""
    return no_jit if fn is None else no_jit(fn)


def reset() -> None:
    """Nothing is kept that would have to be forgotten."""
