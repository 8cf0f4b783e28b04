"""Thousands of random programs beside PyTorch: `python tests/benchmarks/random_programs.py [--count 5000] [--first 0]`.

Prints how many were tried, in how many every value and every gradient was the same, and the first that were not.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import torch

import dsviz as ds

_spec = importlib.util.spec_from_file_location("programs", Path(__file__).parents[1] / "random_programs.py")
assert _spec is not None
assert _spec.loader is not None
programs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(programs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong: list[str] = []
    nodes = 0
    with np.errstate(all="ignore"):
        for seed in range(given.first, given.first + given.count):
            program = programs.draw(seed)
            ours = programs.play(ds, program)
            nodes += len(ours["values"])
            found = programs.difference(ours, programs.play(torch, program))
            if found:
                wrong.append(f"  program {seed}: {found}")
    print(
        f"{given.count} programs, {nodes} tensors: {given.count - len(wrong)} the same as PyTorch, {len(wrong)} not"
    )
    print("\n".join(wrong[:20]))


if __name__ == "__main__":
    main()
