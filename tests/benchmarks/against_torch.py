"""The engine beside PyTorch on small training steps: `python tests/benchmarks/against_torch.py [NAME ...]`.

Options: `--threads N` (default: all cores, for both), `--rounds N` turns each, `--only dsviz` for one alone.
"""

from __future__ import annotations

import argparse
import os

from dsviz.bench.compare import compare, machine
from dsviz.bench.contestants import EAGER as THEIRS
from dsviz.bench.contestants import OURS
from dsviz.bench.report import report
from dsviz.bench.workloads import USUAL


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(USUAL))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=[OURS, THEIRS])
    options = parser.parse_args()
    frameworks = [options.only] if options.only else [OURS, THEIRS]
    print(machine(options.threads))
    for name in options.names:
        found, failed = compare(name, options.threads, options.rounds, frameworks)
        print("\n".join(report(name, found, failed)), flush=True)


if __name__ == "__main__":
    main()
