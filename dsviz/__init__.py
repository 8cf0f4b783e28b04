"""dsviz: dynamic neural networks, and a debugger that lets you watch and step them.

`import dsviz as ds` gives the engine's names (`ds.Module`, `ds.matmul`, ...), `ds.debug.print_graph()`
and `ds.Session`, which runs a script under the debugger from Python. Importing it loads no web server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsviz.shadow import check_import as _check_import

_check_import("engine")

import engine as _engine  # noqa: E402
from engine import *  # noqa: E402, F403

if TYPE_CHECKING:
    from dsviz import debug as debug
    from dsviz.session import Session as Session

__version__ = "0.1.0"
__all__ = ["Session", "__version__", "debug"]
__all__ += _engine.__all__

_LAZY = {
    "debug": ("dsviz.debug", None),
    "onnx": ("engine.onnx", None),
    "Session": ("dsviz.session", "Session"),
}


def __getattr__(name: str) -> Any:
    """Load `debug`, `onnx` and `Session` when first asked for: programs that only compute never pay for them."""
    if name not in _LAZY:
        # Names the engine itself loads when asked for.
        if name in _engine.__all__:
            return getattr(_engine, name)
        raise AttributeError(f"module 'dsviz' has no attribute {name!r}")
    import importlib

    module, attribute = _LAZY[name]
    value: Any = importlib.import_module(module)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
