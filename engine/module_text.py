"""How a layer prints: its options, by the names its constructor gives them."""

from __future__ import annotations

import inspect
from typing import Any

_SIMPLE = (bool, int, float, str, tuple, type(None))
# Losses and distances print no options, as PyTorch's.
_SILENT = ("engine.nn.loss", "engine.nn.extra_loss", "engine.nn.distance")


def options_text(module: Any) -> str:
    """The options of one of the engine's own layers: `negative_slope=0.1`; "" for a person's module.

    What changes no number (`inplace`, where false) and what is no option is left out.
    """
    kind = type(module)
    if not kind.__module__.startswith("engine.nn") or module._modules:
        return ""
    if kind.__module__ in _SILENT:
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


def children_text(children: dict[str, Any], gathered: bool) -> list[str]:
    """A line or more for each module inside; `gathered`: equal ones that follow each other once, with their number.

    >>> children_text({"0": "ReLU()", "1": "ReLU()", "2": "Tanh()"}, True)
    ["  (0-1): 2 x 'ReLU()'", "  (2): 'Tanh()'"]
    """
    runs: list[tuple[str, str, list[str]]] = []
    for name, child in children.items():
        text = repr(child)
        if gathered and runs and runs[-1][1] == text:
            runs[-1][2].append(name)
        else:
            runs.append((name, text, [name]))
    lines = []
    for first, text, names in runs:
        body = text.replace("\n", "\n  ")
        many = len(names) > 1
        lines.append(f"  ({first}-{names[-1]}): {len(names)} x {body}" if many else f"  ({first}): {body}")
    return lines


def tensors_text(tensors: dict[str, Any]) -> str:
    """The parameters that a list or a dict of them holds, a line each."""
    return "\n".join(
        f"  ({name}): Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
        for name, p in tensors.items()
    )
