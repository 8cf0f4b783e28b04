"""What the op records say, as text: the reference `engine/ops/README.md` and what `dsviz ops` prints.

python -m engine.reference > engine/ops/README.md
"""

from __future__ import annotations

import inspect

from engine.op import FAMILIES, OPS, Op

HEAD = """# The ops

Made from the op records by `python -m engine.reference`; a test compares. `dsviz ops NAME` shows one of them.

Arguments stand before the bar, attributes behind it. *Saved* is what a node keeps for its gradient; an argument
that is kept only for another one's gradient says for which. Functions that are no op (`hardtanh`, `lerp`, ...) are made
of these.
"""

WORDS = {
    "linear": "Products with weights",
    "elementwise": "Element by element",
    "activation": "Activations",
    "shape": "Arrangement",
    "reduce": "Over dimensions",
    "random": "Chance",
    "other": "The rest",
}


def signature(op: Op) -> str:
    """`conv2d(input, weight, bias | stride, padding)`."""
    attributes = f" | {', '.join(op.attr_names)}" if op.attr_names else ""
    return f"{op.name}({', '.join(op.arg_names)}{attributes})"


def saved(op: Op) -> str:
    """What a node of the op keeps for its gradient, in words."""
    if op.vjp is None:
        return "nothing: it has no gradient"
    words = []
    for name, whose in zip(op.arg_names, op.saves_args, strict=True):
        if whose is not None:
            others = ", ".join(op.arg_names[i] for i in whose)
            words.append(f"{name} (for {others})" if others else name)
    if op.saves_out:
        words.append("its result")
    return ", ".join([*words, *op.extras]) or "nothing"


def rule(op: Op) -> str:
    """What the shape rule says of itself, "" where it says nothing."""
    first = (inspect.getdoc(op.shape) or "").partition("\n")[0]
    return first if inspect.isfunction(op.shape) else ""


def facts(op: Op) -> list[tuple[str, str]]:
    """Name and text of everything the record says beyond the signature, in the order people read."""
    module = inspect.getmodule(inspect.unwrap(op.forward))
    place = "" if module is None else module.__name__.replace(".", "/") + ".py"
    found = [
        ("formula", op.formula),
        ("shape", rule(op)),
        ("saved", saved(op)),
        ("results", "" if op.outputs == 1 else "several" if op.outputs is None else str(op.outputs)),
        ("onnx", op.onnx),
        ("paper", op.source),
        ("source", place),
    ]
    return [(name, text) for name, text in found if text]


def entry(op: Op) -> str:
    """One op for the terminal."""
    lines = [signature(op), "", *(f"  {line}".rstrip() for line in op.doc.splitlines()), ""]
    return "\n".join([*lines, *(f"  {name:8} {text}" for name, text in facts(op))])


def ops(family: str = "") -> list[Op]:
    """The built-in ops, of one family or all, by name; not the updates of optimizers."""
    return [
        op
        for _, op in sorted(OPS.items())
        if op.phase == 0 and not op.custom and (not family or op.family == family)
    ]


def page() -> str:
    """The whole reference, in Markdown."""
    parts = [HEAD]
    for family in FAMILIES:
        parts.append(f"## {WORDS[family]}\n")
        for op in ops(family):
            rows = "\n".join(f"- {name}: {text}" for name, text in facts(op))
            parts.append(f"### `{signature(op)}`\n\n{op.doc}\n\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    import engine  # noqa: F401 - fills OPS

    print(page(), end="")
