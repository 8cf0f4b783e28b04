"""What `dsviz diagnose` costs: demos alone and diagnosed, alternating; medians of whole processes.

python tests/benchmarks/diagnose_cost.py [demo ...]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3


def seconds(words: list[str]) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)
    return perf_counter() - began


names = sys.argv[1:] or sorted(p.stem for p in (ROOT / "demos").glob("*.py"))
for name in names:
    script = f"demos/{name}.py"
    bare, watched = [], []
    for _ in range(ROUNDS):
        bare.append(seconds([script]))
        watched.append(seconds(["-m", "dsviz", "diagnose", script]))
    alone, with_it = statistics.median(bare), statistics.median(watched)
    spread = f"{min(watched):.2f}-{max(watched):.2f}"
    print(f"{name:18} alone {alone:6.2f} s   diagnosed {with_it:6.2f} s ({spread})   {with_it / alone:4.1f}x")
