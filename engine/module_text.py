"""How a layer prints: its options, by the names its constructor gives them."""

from __future__ import annotations

import inspect
from typing import Any

_SIMPLE = (bool, int, float, str, tuple, type(None))


def options_text(module: Any) -> str:
    """The options of one of the engine's own layers: `negative_slope=0.1`; "" for a person's module.

    What changes no number (`inplace`, where false) and what is no option is left out.
    """
    kind = type(module)
    if not kind.__module__.startswith("engine.nn") or module._modules:
        return ""
    shown = []
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in ("self", "device", "dtype") or parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = module.__dict__.get(name, parameter.empty)
        if not isinstance(value, _SIMPLE) or (name == "inplace" and value is False):
            continue
        if value is None and parameter.default is None:
            continue
        shown.append(f"{name}={value!r}")
    return ", ".join(shown)
