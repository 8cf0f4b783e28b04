"""Mixed precision by PyTorch's words: `with ds.autocast("cuda"):` is `with ds.graph_config(amp=True):`.

The loss is not scaled by itself here, as PyTorch leaves that to `ds.amp.GradScaler`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

from engine import cuda
from engine.config import graph_config
from engine.dtype import as_dtype, float16, float32
from engine.located import located

__all__ = ["autocast"]


class autocast:  # noqa: N801 - PyTorch's name
    """Compute in float16, or bfloat16 on a GPU, where that is safe, in a `with` block or, as a decorator, in a function.

    `device_type` says where in PyTorch; here the arrays are where they are, and it only says whether bfloat16 may be
    asked for. Raises `ValueError` for another `dtype` (float32 computes as ever), `TypeError` for bfloat16 without the
    package ml_dtypes, and `RuntimeError` for it on a GPU that has none.

    >>> import engine as ds
    >>> with ds.autocast("cpu", dtype=ds.float16):
    ...     (ds.ones(2, 2) @ ds.ones(2, 2)).dtype
    dtype('float16')
    """

    def __init__(
        self,
        device_type: Any = "cuda",
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if isinstance(device_type, bool):  # torch.cuda.amp.autocast takes `enabled` first
            device_type, enabled = "cuda", device_type
        kind = float16 if dtype is None else as_dtype(dtype)
        self.device_type = str(device_type)
        short = kind.name == "bfloat16" and self.device_type.startswith("cuda") and cuda.is_available()
        if enabled and not short and kind not in (float16, float32):
            raise located(
                ValueError(
                    f'autocast computes in float16, or on a GPU ("cuda") where there is one in bfloat16; dtype has to be '
                    f"one of them or float32, got {kind} for {self.device_type!r}"
                )
            )
        if enabled and short and not cuda.is_bf16_supported():
            raise located(RuntimeError("this GPU does not compute in bfloat16: take float16"))
        self._keys: dict[str, Any] = {"amp": enabled and kind != float32}
        if self._keys["amp"]:
            self._keys |= {"loss_scaling": 1.0, "amp_dtype": kind.name}
        self._open: list[graph_config] = []

    def __enter__(self) -> autocast:
        block = graph_config(**self._keys)
        block.__enter__()
        self._open.append(block)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.pop().__exit__(kind, error, trace)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function: each call of it is such a block."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with graph_config(**self._keys):
                return function(*args, **kwargs)

        return run
