"""dsviz: dynamic neural networks, and a debugger that lets you watch and step them.

`import dsviz as ds` gives the engine's names (`ds.Module`, `ds.matmul`, ...), `ds.debug.print_graph()`
and `ds.Session`, which runs a script under the debugger from Python; `ds.record(path)` writes a recording from
inside a program and `ds.open(path)` reads one; `ds.breakpoint()` is a line at which the debugger pauses.
Importing it loads no web server.
"""

from __future__ import annotations

import importlib as _importlib
import sys as _sys
from typing import TYPE_CHECKING, Any

from dsviz.shadow import check_import as _check_import

_check_import("engine")

import engine as _engine  # noqa: E402
from dsviz.alias import install as _install  # noqa: E402
from engine import *  # noqa: E402, F403
from engine.pausing import breakpoint as breakpoint  # noqa: E402

if TYPE_CHECKING:
    from dsviz import debug as debug
    from dsviz.listening import listen as listen
    from dsviz.playback import Playback as open  # noqa: F401, N813
    from dsviz.recorded import record as record
    from dsviz.serving import serve as serve
    from dsviz.session import Session as Session
    from engine import accelerator as accelerator
    from engine import distributed as distributed
    from engine import distributions as distributions
    from engine import fft as fft
    from engine import func as func
    from engine import random as random
    from engine import special as special
    from engine import testing as testing
    from engine import utils as utils
    from engine.func import vmap as vmap
    from engine.jit.asking import compile as compile

# A model file that is brought over from PyTorch changes its imports only: `from dsviz import nn`,
# `import dsviz.nn.functional as F`. These are the engine's own modules, not copies of them.
_install()
for _name in ("cudnn", "cuda", "mps"):
    _sys.modules[f"dsviz.backends.{_name}"] = getattr(_engine.backends, _name)
_sys.modules["dsviz.cuda.amp"] = _engine.amp
_sys.modules["dsviz.autograd.function"] = _importlib.import_module("engine.function")
_sys.modules["dsviz.autograd.functional"] = _importlib.import_module("engine.jacobians")

__version__ = "0.1.0"
__all__ = [
    "Session",
    "__version__",
    "debug",
    "distributions",
    "fft",
    "func",
    "listen",
    "random",
    "record",
    "serve",
    "special",
    "testing",
    "utils",
    "vmap",
]
__all__ += _engine.__all__

_LAZY = {
    "accelerator": ("engine.accelerator", None),
    "compiler": ("engine.compiler", None),
    "distributed": ("engine.distributed", None),
    "dtype": ("numpy", "dtype"),
    "debug": ("dsviz.debug", None),
    "distributions": ("engine.distributions", None),
    "compile": (
        "engine.jit.asking",
        "compile",
    ),  # not in __all__, as Python's `open` and `compile` should stay
    "fft": ("engine.fft", None),
    "func": ("engine.func", None),
    "onnx": ("engine.onnx", None),
    "random": ("engine.random", None),
    "special": ("engine.special", None),
    "testing": ("engine.testing", None),
    "utils": ("engine.utils", None),
    "vmap": ("engine.func", "vmap"),
    "Session": ("dsviz.session", "Session"),
    "open": (
        "dsviz.playback",
        "Playback",
    ),  # not in __all__: it is Python's open that `import *` should leave
    "record": ("dsviz.recorded", "record"),
    "listen": ("dsviz.listening", "listen"),
    "serve": ("dsviz.serving", "serve"),
}


def __getattr__(name: str) -> Any:
    """Load `debug`, `distributions`, `onnx`, `Session` and the like when first asked for: programs that only compute never pay for them."""
    if name not in _LAZY:
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
