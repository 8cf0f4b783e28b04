"""`python -m dsviz.why.script REPORT SCRIPT [ARGS]`: runs a script once and answers the questions its end raises."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import dsviz as ds
from dsviz.debuggee.script import Script
from dsviz.why import why_no_grad, why_shape, why_value
from engine.bus import bus
from engine.errors import Failure, ShapeMismatchError
from engine.node import FORWARD, Node


class Ended:
    """What a run leaves behind: its failures, the first op that made a value not finite, its learners and losses."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.error = ""
        self.bad: list[dict[str, Any]] = []
        self.learners: dict[int, Node] = {}
        self.last: Node | None = None

    def sink(self, kind: str, subject: Any) -> None:
        """Look at what happens; values only while they are there."""
        if kind == "op_error":
            self.failures.append(subject)
        elif kind == "leaf":
            if subject.requires or subject.role == "parameter":
                self.learners[id(subject)] = subject
        elif subject.phase == FORWARD:
            if not subject.shape:
                self.last = subject
            out = subject.out
            if not self.bad and hasattr(out, "dtype") and out.dtype.kind in "fc":
                import numpy as np

                with np.errstate(all="ignore"):
                    whole = bool(np.isfinite(out.sum())) or bool(np.isfinite(out).all())
                if not whole:
                    self.bad.append(why_value(_Value(subject, out)).as_json())


class _Value:
    """A node with its value, as `why_value` takes a tensor."""

    def __init__(self, node: Node, array: Any) -> None:
        self.node, self.array = node, array


def answers(path: str, args: list[str]) -> list[dict[str, Any]]:
    """Run the script as the only program of this process and answer."""
    script = Script(path, args)
    script.enter()
    ended = Ended()
    last: BaseException | None = None
    with bus.subscribe(ended.sink, "op_finish", "leaf", "op_error"), open(script.path, "rb") as file:
        code = compile(file.read(), script.path, "exec", dont_inherit=True)
        try:
            exec(code, script.module.__dict__)
        except SystemExit:
            pass
        except Exception as error:  # noqa: BLE001 - it is what we explain
            last = error
    found = list(ended.bad)
    if isinstance(last, ShapeMismatchError) and ended.failures:
        node = ended.failures[-1].node
        for argument, dim in last.clash:
            parent = node.inputs[argument] if argument < len(node.inputs) else None
            if parent is not None and -len(parent.shape) <= dim < len(parent.shape):
                found.append(why_shape(parent, dim).as_json())
    elif last is None:
        for learner in ended.learners.values():
            if (
                learner.grad is None
                and learner.grad_source is None
                and ended.last is not None
                and learner.requires
            ):
                found.append(why_no_grad(learner, ended.last).as_json())
    return found


def main() -> None:
    """Answer and write the report."""
    report, script, *args = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        found = answers(script, args)
    with open(report, "w", encoding="utf-8") as file:
        json.dump({"version": ds.__version__, "answers": found}, file)


if __name__ == "__main__":
    main()
