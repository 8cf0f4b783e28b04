"""The process a diagnosed program runs in: `python -m dsviz.diagnose.child ANSWER SCRIPT [ARGS]`.

The program's own output goes where it always goes; the findings go to the file ANSWER, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType
from typing import Any

from dsviz.debuggee.script import Script
from dsviz.diagnose.report import findings
from dsviz.diagnose.watch import Watch
from engine.node import ids


def main(answer: str, name: str, args: list[str]) -> int:
    """Run the script under watch and write what was found."""
    script = Script(name, args)
    script.enter()
    watch = Watch()
    status, began = 0, next(ids)
    try:
        with watch.watching() as record, open(script.path, "rb") as file:
            code = compile(file.read(), script.path, "exec", dont_inherit=True)
            exec(code, script.module.__dict__)
    except SystemExit as asked:
        status = asked.code if isinstance(asked.code, int) else 0 if asked.code is None else 1
    except BaseException as error:  # noqa: BLE001 - how the program ends is what we are here for
        record = watch.record
        record.exception = error
        status = 1
    found = findings(watch.record)
    temporary = f"{answer}.part"
    with open(temporary, "w", encoding="utf-8") as out:
        told = {
            "status": status,
            "findings": [f.as_dict() for f in found],
            "seen": seen(next(ids) - began - 1),
        }
        json.dump(told, out, default=str)
    os.replace(temporary, answer)
    return status


def seen(nodes: int) -> dict[str, Any]:
    """What there was to look at: how many nodes, and which libraries of tensors the program has loaded."""
    names = [name for name in LIBRARIES if name in sys.modules]
    own = vars(sys.modules["__main__"]).values()
    mine = [module.__name__.partition(".")[0] for module in own if isinstance(module, ModuleType)]
    # The engine loads NumPy, and dsviz is what we are ourselves: only who names them has imported them.
    return {"nodes": nodes, "libraries": [n for n in names if n not in ("numpy", "dsviz") or n in mine]}


LIBRARIES = ("dsviz", "torch", "tensorflow", "jax", "mxnet", "paddle", "tinygrad", "cupy", "numpy")


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2], sys.argv[3:])
    if sys.stdout is not None:  # closed from the start
        sys.stdout.flush()
    sys.exit(status)
