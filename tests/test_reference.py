"""The reference is what the op records say, on the page and on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import engine
from dsviz.cli import main
from engine import reference
from engine.op import OPS


def test_the_page_is_what_the_records_say() -> None:
    path = Path(engine.__file__).parent / "ops" / "README.md"
    assert path.read_text(encoding="utf-8") == reference.page(), (
        "python -m engine.reference > engine/ops/README.md"
    )


def test_what_is_saved_says_for_whom() -> None:
    assert reference.saved(OPS["mul"]) == "input (for other), other (for input)"
    assert reference.saved(OPS["exp"]) == "its result"
    assert reference.saved(OPS["argmax"]) == "nothing: it has no gradient"
    assert reference.signature(OPS["dropout"]) == "dropout(input | p, seed, counter)"


def test_ops_on_the_command_line(capsys: Any) -> None:
    assert main(["ops", "conv2d"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("conv2d(input, weight")
    assert "formula" in text
    assert main(["ops"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {op.name} " in listed for op in reference.ops())
    assert main(["ops", "--json", "mul"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["formula"] == "input * other"
    assert main(["ops", "cov2d"]) == 2
    assert "Did you mean conv2d" in capsys.readouterr().err
