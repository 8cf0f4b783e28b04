"""The faulty programs of `tests/faults` and their repaired twins, and running `dsviz diagnose` on them in one process."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import dsviz as ds
from dsviz.diagnose.report import findings
from dsviz.diagnose.watch import Watch
from engine.random import default_generator
from engine.switches import switches

FAULTS = sorted((Path(__file__).parent / "faults").glob("*.py"))
WRITTEN = Path(__file__).parent / "faults" / "written"
MARK = re.compile(r"  #([-+]?)(!?)$")


def program(path: Path, broken: bool) -> tuple[str, int]:
    """The text of the broken or the repaired program, and the line that is to blame (0 in the repaired one)."""
    return half(path.read_text(encoding="utf-8"), broken)


def half(text: str, broken: bool) -> tuple[str, int]:
    """One of the two programs that a text is, and the line that is to blame in the broken one."""
    lines, culprit, first = [], 0, 0
    for line in text.splitlines():
        mark = MARK.search(line)
        if mark is not None and mark[0].strip() != "#":
            if mark[1] and (mark[1] == "-") != broken:
                continue
            line = line[: mark.start()]
            if broken:
                first = first or len(lines) + 1
                culprit = culprit or (len(lines) + 1 if mark[2] else 0)
        lines.append(line)
    return "\n".join(lines) + "\n", culprit or first


def written(name: str) -> dict[str, str]:
    """The programs of a file of many, by name: each begins with a line `### name`."""
    text = (WRITTEN / f"{name}.txt").read_text(encoding="utf-8")
    parts = (part.split("\n", 1) for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:])
    return {title.strip(): body for title, body in parts}


def diagnosed(text: str, file: Path) -> list[Any]:
    """What the detectors find in a program, run here as `dsviz diagnose` runs it in a process of its own."""
    file.write_text(text, encoding="utf-8")
    watch = Watch()
    default_generator.manual_seed(0)
    folder, words = os.getcwd(), sys.argv
    sys.argv = [str(file)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), watch.watching():
            exec(compile(text, str(file), "exec"), {"__name__": "__main__", "__file__": str(file)})
    except SystemExit:
        pass
    except Exception as error:  # noqa: BLE001 - the programs are faulty
        watch.record.exception = error
    finally:
        sys.argv = words
        os.chdir(folder)
        switches.clear()
        ds.set_default_dtype("float32")
    return findings(watch.record)
