"""`dsviz ops [NAME ...]`: what there is to know about an op, or the list of all."""

from __future__ import annotations

import difflib
import json

import engine  # noqa: F401 - fills the table of ops
from dsviz.commands.usage import Parser, UsageError
from engine import reference
from engine.op import FAMILIES, OPS


def main(words: list[str]) -> int:
    """Print the ops named, or a line for each op."""
    parser = Parser(
        prog="dsviz ops", description="Signature, formula, shapes, what is saved and source of ops."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="an op; without one, all are listed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(words)
    for name in given.names:
        if name not in OPS:
            near = difflib.get_close_matches(name, OPS, 3, 0.5)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"there is no op {name!r}.{hint} `dsviz ops` lists all.")
    chosen = [OPS[name] for name in given.names] or reference.ops()
    if given.json:
        print(json.dumps([{"name": op.name, "signature": reference.signature(op), "family": op.family, "doc": op.doc,
                           **dict(reference.facts(op))} for op in chosen], indent=2, ensure_ascii=False))  # fmt: skip
    elif given.names:
        print("\n\n".join(reference.entry(op) for op in chosen))
    else:
        width = max(len(op.name) for op in chosen)
        for family in FAMILIES:
            print(f"{reference.WORDS[family]}")
            for op in reference.ops(family):
                print(f"  {op.name:{width}}  {op.formula}")
    return 0
