"""Fuzz the readers of foreign bytes for as long as one likes: `python tests/benchmarks/fuzz.py [SECONDS] [SEED]`.

Each target gets its share of the seconds. Where atheris is installed (`pip install atheris`) `--atheris TARGET` runs that
target led by its coverage instead, until it is interrupted; its corpus is kept in `fuzz-corpus/TARGET/`.
"""

from __future__ import annotations

import collections
import sys
import time
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz_targets import TARGETS, bent, seeds


def shaken(seconds: float, seed: int) -> int:
    """Bent seeds through every target. Prints counts and what was raised; returns how many kinds of fault."""
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


def led(name: str) -> None:
    """One target under atheris."""
    import atheris  # type: ignore[import-not-found]

    corpus = Path("fuzz-corpus") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--atheris"]:
        led(sys.argv[2])
    else:
        numbers = [float(word) for word in sys.argv[1:]]
        raise SystemExit(
            bool(shaken(numbers[0] if numbers else 60, int(numbers[1]) if len(numbers) > 1 else 0))
        )
