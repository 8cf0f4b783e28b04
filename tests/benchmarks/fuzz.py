"""Fuzz the readers of foreign bytes for as long as one likes: `python tests/benchmarks/fuzz.py [SECONDS] [SEED]`.

Each target gets its share of the seconds. Where atheris is installed (`pip install atheris`) `--atheris TARGET [SECONDS]` runs that
target led by its coverage instead; its inputs are kept in `fuzz-corpus/TARGET/`. `--keep` then puts those that reach a line
no smaller one reaches into `tests/corpus/`, which `tests/test_fuzz.py` replays.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

FOUND = Path("fuzz-corpus")
MOST = 25  # inputs kept of a target


def shaken(seconds: float, seed: int) -> int:
    """Bent seeds through every target. Prints counts and what was raised; returns how many kinds of fault."""
    from fuzz_targets import TARGETS, bent, seeds

    rng = np.random.default_rng(seed)
    faults = 0
    for name, good in seeds().items():
        end, count = time.monotonic() + seconds / len(TARGETS), 0
        found: collections.Counter[str] = collections.Counter()
        while time.monotonic() < end:
            data = bent(good[count % len(good)], rng)
            count += 1
            try:
                TARGETS[name](data)
            except Exception as error:  # noqa: BLE001 - that any is raised is what is looked for
                last = traceback.extract_tb(error.__traceback__)[-1]
                found[f"{type(error).__name__} at {last.filename}:{last.lineno}"] += 1
        print(f"{name:10} {count:8,} inputs, {len(found)} kinds of fault")
        for text, times in found.most_common():
            print(f"           {times} times: {text}")
        faults += len(found)
    return faults


def led(name: str, seconds: int) -> None:
    """One target under atheris; what it raises ends it, with the input in a file `crash-...`."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["dsviz", "engine"]):
        from fuzz_targets import TARGETS, corpus, seeds

        import engine.onnx.load  # noqa: F401 - its target asks for it late

    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*seeds()[name], *corpus(name)]):
        (folder / f"seed-{number}").write_bytes(data)
    longest = max(path.stat().st_size for path in folder.iterdir())
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={max(4096, 2 * longest)}",
        "-rss_limit_mb=3000",
        "-timeout=30",
    ]
    options += [f"-artifact_prefix={FOUND}/{name}-"]
    atheris.Setup([sys.argv[0], *options, str(folder)], TARGETS[name])
    atheris.Fuzz()


def lines_of(target: Any, data: bytes) -> set[tuple[str, int]]:
    """The lines of ours that an input reaches."""
    seen: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if event == "call" and not file.startswith((str(ROOT / "dsviz"), str(ROOT / "engine"))):
            return None
        seen.add((file, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return seen


def keep() -> None:
    """Of what was found and of what was kept before: the smallest inputs that together reach every line reached."""
    from fuzz_targets import TARGETS, corpus, put_corpus, seeds

    for name, target in TARGETS.items():
        reached: set[tuple[str, int]] = set()
        for data in seeds()[name]:
            reached |= lines_of(target, data)
        kept: list[bytes] = []
        inputs = (
            {path.read_bytes() for path in (FOUND / name).glob("*")} if (FOUND / name).is_dir() else set()
        )
        for data in sorted(inputs.union(corpus(name)), key=lambda data: (len(data), data)):
            with contextlib.suppress(Exception):  # one that a later version no longer takes is not kept
                new = lines_of(target, data) - reached
                if new and len(kept) < MOST:
                    kept.append(data)
                    reached |= new
        put_corpus(name, kept)
        print(f"{name:10} {len(inputs):6,} inputs found, {len(kept)} kept, {len(reached)} lines reached")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--atheris"]:
        led(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    elif sys.argv[1:] == ["--keep"]:
        keep()
    else:
        numbers = [float(word) for word in sys.argv[1:]]
        raise SystemExit(
            bool(shaken(numbers[0] if numbers else 60, int(numbers[1]) if len(numbers) > 1 else 0))
        )
