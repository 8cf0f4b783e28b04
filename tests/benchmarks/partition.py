"""What splitting a wide graph gains: `python tests/benchmarks/partition.py [--branches 8] [--size 768]`.

The same graph unsplit, and in two parts on two threads, in turn; one BLAS thread each, so that the two are compared at
the same thing. Prints medians with their spread, and the overlap that was predicted and seen.
"""

from __future__ import annotations

import argparse
import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

import numpy as np

import dsviz as ds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--branches", type=int, default=8)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--runs", type=int, default=11)
    given = parser.parse_args()
    x = ds.randn(given.size, given.size)
    weights = [ds.randn(given.size, given.size) for _ in range(given.branches)]
    for _ in range(2):  # the second trace has times of warm ops
        with ds.trace(level=2, budget=0) as trace:
            outs = [ds.tanh(x @ w) @ w for w in weights]
            ds.stack([o.mean() for o in outs]).sum()
    one, two = ds.partition(trace, 1), ds.partition(trace, 2)
    times: dict[str, list[float]] = {"unsplit": [], "two parts": []}
    with ThreadPoolExecutor(2) as pool:
        results = [list(parts.run(executor=pool).values()) for parts in (one, two)]
        for a, b in zip(*results, strict=True):
            assert np.array_equal(a, b)
        for _ in range(given.runs):
            for name, parts in (("unsplit", one), ("two parts", two)):
                began = perf_counter()
                parts.run(executor=pool)
                times[name].append(perf_counter() - began)
    for name, each in times.items():
        print(
            f"{name:10} median {median(each) * 1e3:8.2f} ms   ({min(each) * 1e3:.2f} to {max(each) * 1e3:.2f})"
        )
    ratios = [a / b for a, b in zip(times["unsplit"], times["two parts"], strict=True)]
    print(
        f"speed-up   median {median(ratios):8.2f} x    ({min(ratios):.2f} to {max(ratios):.2f}) on {os.cpu_count()} cores"
    )
    print(two.describe())


if __name__ == "__main__":
    main()
