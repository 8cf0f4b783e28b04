"""Shapes a program promises to itself."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from engine.errors import ShapeMismatchError, shape_text
from engine.explain import module_path, way_back
from engine.location import user_frame
from engine.names import argument_texts, source_line
from engine.tensor import Tensor
from engine.trace import running


class _Names(threading.local):
    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}


_names = _Names()


def assert_shape(x: Any, shape: Sequence[int | str | None]) -> Any:
    """Check that `x` has `shape`, and give `x` back.

    `None` is any size; a string is a name that is bound at its first use in the trace and has to have the same
    size from then on (without a trace, within one call).
    Raises `ShapeMismatchError` that says which dimension differs and where it was decided.

    >>> import engine as ds
    >>> ds.assert_shape(ds.zeros(32, 256), ["batch", 256]).shape
    (32, 256)
    """
    graph = running()
    sizes = graph.names if graph is not None else {}
    got = tuple(x.shape)
    expected: list[Any] = []
    wrong: list[int] = []
    fresh: dict[str, int] = {}
    for i, want in enumerate(shape):
        size = got[i] if i < len(got) else None
        if want is None:
            expected.append("any")
        elif isinstance(want, str):
            bound = sizes.get(want, fresh.get(want))
            if bound is None:
                expected.append(want)
                if size is not None:
                    fresh[want] = size
            else:
                expected.append(f"{want}={bound}")
                if size != bound:
                    wrong.append(i)
        else:
            expected.append(int(want))
            if size != want:
                wrong.append(i)
    if len(got) == len(shape) and not wrong:
        sizes.update(fresh)
        return x
    frame = user_frame(2)
    texts = argument_texts(frame, frame.f_lasti, Tensor)
    name = texts[0] if texts else "x"
    if len(got) != len(shape):
        sentence = f"{name} has {len(got)} dimensions where {len(shape)} were promised."
        wrong = []
    else:
        sentence = f"dimension {wrong[0]} of {name} is {got[wrong[0]]}, promised was {expected[wrong[0]]}."
    filename, line = frame.f_code.co_filename, frame.f_lineno
    module = module_path()
    rows = [
        f"Expected {shape_text(expected)}, got {shape_text(got)}",
        f"  assert_shape{' in ' + module if module else ''}: {sentence}",
        f"  at {filename}:{line}  {source_line(filename, line)}",
    ]
    origins = way_back(x.node, wrong[0]) if wrong and isinstance(x, Tensor) else []
    rows += [f"    {o.filename}:{o.line}  {o.text}  ({o.note})" for o in origins]
    error = ShapeMismatchError("\n".join(rows))
    error.op, error.module, error.filename, error.line = "assert_shape", module, filename, line
    error.sentence, error.arguments = sentence, [(name, got)]
    error.expected, error.got = tuple(expected), got
    error.clash, error.origins = [(0, d) for d in wrong], [origins]
    raise error
