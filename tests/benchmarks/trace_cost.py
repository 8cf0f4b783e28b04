"""What tracing costs: levels 0, 1 and 2 under the debugger against the same program with no debugger at all.

Two programs: a chain of tiny ops with gradient (the cost an op), and a 784-512-512-10 MLP's training step.
Each times itself after a warm-up; the four ways alternate, each in a process of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import ROOT, machine, spread

ROUNDS = 7
CHAIN = """
import sys, time
import dsviz as ds

def chain():
    x = ds.ones(4, requires_grad=True)
    y = x
    for _ in range(250):
        y = y * 1.001 + x
    y.sum().backward()

for _ in range(3):
    chain()
best = []
for _ in range(12):
    start = time.perf_counter()
    chain()
    best.append((time.perf_counter() - start) / 1002)
open(sys.argv[1], "w").write(str(sorted(best)[len(best) // 2]))
"""
MLP = """
import sys, time
import numpy as np
import dsviz as ds

class MLP(ds.Module):
    def __init__(self):
        self.a, self.b, self.c = ds.Linear(784, 512), ds.Linear(512, 512), ds.Linear(512, 10)
    def forward(self, x):
        return self.c(ds.relu(self.b(ds.relu(self.a(x)))))

net = MLP()
optimizer = ds.optim.SGD(net.parameters(), lr=0.01)
x = np.random.default_rng(0).standard_normal((64, 784)).astype(np.float32)
y = np.arange(64) % 10

def step():
    loss = ds.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

for _ in range(3):
    step()
best = []
for _ in range(15):
    start = time.perf_counter()
    step()
    best.append(time.perf_counter() - start)
open(sys.argv[1], "w").write(str(sorted(best)[len(best) // 2]))
"""
# A launcher of its own, so that the debugger's side is a separate process as it is for a person.
UNDER = """
import sys
import dsviz
with dsviz.Session.launch(sys.argv[1], [sys.argv[2]], trace_level=int(sys.argv[3])) as session:
    session.wait(60)
    session.resume()
"""


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        launcher = folder / "launch.py"
        launcher.write_text(UNDER, encoding="utf-8")
        for title, program, unit, scale in (
            ("chain of tiny ops, an op", CHAIN, "us", 1e6),
            ("784-512-512-10 MLP, a step", MLP, "ms", 1e3),
        ):
            script, result = folder / "program.py", folder / "result"
            script.write_text(program, encoding="utf-8")
            ways: dict[str, list[str]] = {"no debugger": [str(script), str(result)]}
            for level in (0, 1, 2):
                ways[f"level {level}"] = [str(launcher), str(script), str(result), str(level)]
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(ROUNDS):
                for way, arguments in ways.items():
                    subprocess.run(
                        [sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
                    )
                    times[way].append(float(result.read_text()) * scale)
            bare = statistics.median(times["no debugger"])
            print(title)
            for way, values in times.items():
                extra = statistics.median(values) - bare
                print(
                    f"  {way:12} {spread(values, unit)}   {extra:+.2f} {unit}, x{statistics.median(values) / bare:.2f}"
                )
    print("goals an op: level 0 <= 0.05 us, level 1 <= 3 us, level 2 <= 13 us + 0.5 ns an element")


if __name__ == "__main__":
    main()
