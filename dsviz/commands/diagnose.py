"""`dsviz diagnose SCRIPT`: run a program once and name what is wrong with it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

from dsviz.commands.usage import Parser, UsageError, check_script, split

_WITH_VALUE = {"--timeout"}


def main(words: list[str]) -> int:
    """Carry out `dsviz diagnose` with these words: 0 nothing found, 1 something found, 2 it could not be tried."""
    parser = Parser(
        prog="dsviz diagnose",
        usage="dsviz diagnose [--json] [--timeout SECONDS] SCRIPT [ARGS...]",
        description="Run a script once with every detector watching, and name what is wrong with it: the line, the way "
        "there, the numbers, and what to try. Exit status 0: nothing found; 1: something found.",
        epilog="Options come before SCRIPT. With --json standard output holds the findings alone, as a list; "
        "the program's own output goes to standard error.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="the findings as a JSON list")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="stop the program after so long")
    ours, rest = split(words, _WITH_VALUE)
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError("no script was given. Name one: dsviz diagnose SCRIPT [ARGS...].")
    script = check_script(rest[0])
    found, seen = run(script, rest[1:], given.timeout, quiet_stdout=given.json)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        from dsviz.diagnose.finding import Finding, Place
        from dsviz.diagnose.report import text

        made = [Finding(**{**f, "chain": [Place(**p) for p in f["chain"]]}) for f in found]
        print(text(made, script, seen))
    return 1 if found else 0


Answer = tuple[list[dict[str, Any]], dict[str, Any] | None]


def run(script: str, args: list[str], timeout: float | None, quiet_stdout: bool) -> Answer:
    """Run `script` in a process of its own, watched: the findings as plain values, and what there was to look at."""
    with tempfile.TemporaryDirectory(prefix="dsviz-") as folder:
        answer = os.path.join(folder, "findings.json")
        command = [sys.executable, "-m", "dsviz.diagnose.child", answer, script, *args]
        own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            command,
            stdout=sys.stderr if quiet_stdout else None,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            found = stopped(process, answer)
            if found:
                print(
                    f"dsviz: {script} was stopped after {timeout:g} s; this was seen until then.",
                    file=sys.stderr,
                )
                return found, None
            raise UsageError(
                f"{script} was still running after {timeout:g} s and was stopped: give it less to do, or a longer --timeout."
            ) from None
        except KeyboardInterrupt:
            process.wait()
            raise UsageError("interrupted before the program ended: nothing can be said of it.") from None
        if not os.path.exists(answer):
            how = (
                f"was killed by signal {-status}"
                if status < 0
                else f"ended the process by itself (status {status})"
            )
            raise UsageError(f"{script} {how} before it could be looked at.")
        with open(answer, encoding="utf-8") as file:
            told = json.load(file)
        return list(told["findings"]), told["seen"]


PATIENCE = 10.0  # seconds a program that is interrupted has to end


def stopped(process: subprocess.Popen[bytes], answer: str) -> list[dict[str, Any]]:
    """Interrupt a program that does not end; what was seen of it until then."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if not os.path.exists(answer):
        return []
    with open(answer, encoding="utf-8") as file:
        return list(json.load(file)["findings"])


def _seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is no time; give seconds above 0")
    return number
