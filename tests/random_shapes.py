"""Random programs of layers and views in which one size, at one line, was changed: the crash has to lead there."""

from __future__ import annotations

import random

from engine.errors import ShapeMismatchError
from engine.node import Node


def program(seed: int) -> tuple[str, int]:
    """The text of a program, and its line where a size was changed."""
    rng = random.Random(seed)
    rows = ["import dsviz as ds", "import numpy as np"]
    width = rng.randint(3, 9)
    start = width
    batch = rng.choice([11, 13, 17])
    depth = rng.randint(2, 5)
    layers: list[tuple[int, int]] = []
    sizes = [width]
    for _ in range(depth):
        sizes.append(rng.randint(10, 40))
    for i in range(depth):
        layers.append((sizes[i], sizes[i + 1]))
    wrong = rng.randrange(depth - 1)  # its result is taken by another layer
    side = rng.random() < 0.5
    changed = 0
    for i, (a, b) in enumerate(layers):
        if i == wrong and side:
            b += 41
            changed = len(rows) + 1
        elif i == wrong + 1 and not side:
            a += 41
            changed = len(rows) + 1
        rows.append(f"layer{i} = ds.Linear({a}, {b})")
    rows.append(f"x = ds.tensor(np.ones(({batch}, {start}), np.float32))")
    for i in range(depth):
        rows.append(f"x = layer{i}(x)")
        for _ in range(rng.randint(0, 3)):
            rows.append(
                rng.choice(
                    [
                        "x = ds.relu(x)", "x = x.transpose(0, 1).transpose(0, 1)", "x = x.unsqueeze(1).squeeze(1)",
                        "x = x + ds.ones(1, 1)", "x = ds.cat([x[:5], x[5:]], dim=0)", "x = x[:, None][:, 0]",
                        "x = ds.stack([x, x]).mean(dim=0)", "x = x.T.clone().T", "x = x.detach() * 2.0", "x = ds.where(x > 0, x, x * 0.1)",
                        "x = x.permute(1, 0).permute(1, 0)", "x = ds.softmax(x, dim=-1)", "for _ in range(3): x = ds.tanh(x)",
                    ]
                )
            )  # fmt: skip
    return "\n".join(rows) + "\n", changed


def crash_of(seed: int) -> tuple[int, set[int], str]:
    """The changed line, the lines that `why_shape` of the crash names as deciding, and the program."""
    from dsviz.why import why_shape
    from engine.bus import bus

    text, changed = program(seed)
    failures = []
    with bus.subscribe(lambda kind, failure: failures.append(failure), "op_error"):
        try:
            exec(compile(text, "<random program>", "exec"), {})
        except ShapeMismatchError as error:
            named = set()
            node: Node = failures[-1].node
            for argument, dim in error.clash:
                parent = node.inputs[argument]
                if parent is not None:
                    decided = why_shape(parent, dim).decided
                    named.add(decided.line if decided is not None else 0)
            return changed, named, text
    raise AssertionError(f"no mismatch:\n{text}")
