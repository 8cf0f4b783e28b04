"""What being watched costs a training step: trace levels 0, 1 and 2, and each kind of breakpoint armed and never hit.

Three programs (a convnet's step, an LSTM cell over 64 steps, a 200-layer MLP) run twice side by side: in a process
with no debugger at all, and under a session. The two take turns, and the session's level and breakpoints change
between turns, all in one run of each. Usage: armed.py [ROUNDS] [PROGRAM ...]
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import ROOT, machine, spread

import dsviz
from dsviz.debuggee.breakpoints import ANY, DATA, GRADIENT, MEMORY, NAN, OP

ROUNDS, WARM, STEPS = 5, 1, 6
PATIENCE = 120.0  # seconds for some steps

# It trains as many steps as it is told to, and answers with how long each took.
AROUND = """
import socket, sys, time
import numpy as np
import dsviz as ds
{program}
optimizer = ds.optim.SGD(net.parameters(), lr=0.001)
frozen = ds.ones(512, 512)

def step():
    optimizer.zero_grad()
    loss = ds.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()

with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as to:
    orders = to.makefile("r")
    while count := int(orders.readline() or 0):
        took = []
        for _ in range(count):
            begin = time.perf_counter()
            step()
            took.append(time.perf_counter() - begin)
        to.sendall((" ".join(map(str, took)) + "\\n").encode())
"""
PROGRAMS = {
    "convnet": """
class Net(ds.Module):
    def __init__(self):
        self.a, self.b = ds.nn.Conv2d(3, 16, 3, padding=1), ds.nn.Conv2d(16, 32, 3, padding=1)
        self.head = ds.Linear(32 * 8 * 8, 10)
    def forward(self, x):
        x = ds.nn.functional.max_pool2d(ds.relu(self.a(x)), 2)
        x = ds.nn.functional.max_pool2d(ds.relu(self.b(x)), 2)
        return self.head(x.reshape(x.shape[0], -1))

net = Net()
x = ds.tensor(np.random.default_rng(0).standard_normal((16, 3, 32, 32)).astype(np.float32))
y = ds.tensor(np.arange(16) % 10)
""",
    "LSTM, 64 steps": """
class Net(ds.Module):
    def __init__(self):
        self.cell, self.head = ds.nn.LSTMCell(32, 64), ds.Linear(64, 10)
    def forward(self, x):
        h, c = ds.zeros(x.shape[1], 64), ds.zeros(x.shape[1], 64)
        for t in range(x.shape[0]):
            h, c = self.cell(x[t], (h, c))
        return self.head(h)

net = Net()
x = ds.tensor(np.random.default_rng(0).standard_normal((64, 16, 32)).astype(np.float32))
y = ds.tensor(np.arange(16) % 10)
""",
    "MLP, 200 layers": """
net = ds.Sequential(*(part for _ in range(200) for part in (ds.Linear(64, 64), ds.ReLU())), ds.Linear(64, 10))
x = ds.tensor(np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32))
y = ds.tensor(np.arange(32) % 10)
""",
}
# Name, and what is armed: at level 0, so that it is the breakpoint that is measured, and nothing is ever hit.
ARMED: dict[str, tuple[str, dict[str, Any]]] = {
    "NaN": (NAN, {}),
    "shape": (ANY, {"condition": "shape == (1, 2, 3)"}),
    "gradient norm": (GRADIENT, {"condition": "norm > 1e30"}),
    "condition on one op": (OP, {"name": "cross_entropy", "condition": "shape == (1, 2, 3)"}),
    "memory": (MEMORY, {"limit": 1 << 50}),
    "data": (DATA, {"name": "frozen"}),
}


class Program:
    """A running program that is told to train."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self._connection, self._answers = connection, connection.makefile("r")

    def train(self) -> list[float]:
        """Milliseconds each of some steps takes."""
        self._connection.sendall(b"%d\n" % (WARM + STEPS))
        return [float(word) * 1e3 for word in self._answers.readline().split()][WARM:]

    def end(self) -> None:
        """Let it go."""
        self._connection.sendall(b"0\n")
        self._answers.close()
        self._connection.close()


@contextmanager
def running(script: Path) -> Iterator[tuple[Program, Program, dsviz.Session]]:
    """The same program with no debugger and under a session."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with subprocess.Popen([sys.executable, str(script), port], cwd=ROOT) as process:
            bare = Program(server.accept()[0])
            with dsviz.Session.launch(script, [port], trace_level=0, pause_at_entry=False) as session:
                watched = Program(server.accept()[0])
                yield bare, watched, session
                watched.end()
            bare.end()
            process.wait()


def main() -> None:
    words = sys.argv[1:]
    rounds = int(words.pop(0)) if words and words[0].isdigit() else ROUNDS
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, program in PROGRAMS.items():
            if words and not any(name.startswith(word) for word in words):
                continue
            script = Path(folder) / "program.py"
            script.write_text(AROUND.format(program=program), encoding="utf-8")
            times: dict[str, list[float]] = {}
            ratios: dict[str, list[float]] = {}
            with running(script) as (bare, watched, session):
                for _ in range(rounds):
                    for way in ("level 0", "level 1", "level 2", *ARMED):
                        alone = bare.train()
                        took = session_turn(way, watched, session)
                        times.setdefault("no debugger", []).extend(alone)
                        times.setdefault(way, []).extend(took)
                        ratios.setdefault(way, []).append(statistics.median(took) / statistics.median(alone))
            print(f"{name}, a training step; x: as many times the bare step beside it")
            for way, values in times.items():
                beside = f"   x{spread(ratios[way], '')}" if way in ratios else ""
                print(f"  {way:20} {spread(values, 'ms')}{beside}")
    print("goals: NaN x2 at most; level 1 <= 3 us an op, level 2 <= 13 us and 0.5 ns an element")


def session_turn(way: str, watched: Program, session: dsviz.Session) -> list[float]:
    """The times of steps under the session, with one thing armed."""
    level = int(way[-1]) if way.startswith("level") else 0
    session.set_level(level)
    kind, fields = ARMED.get(way, ("", {}))
    armed = session.add_breakpoint(kind, **fields) if kind else None
    time.sleep(0.1)  # the program hears of it while it waits for its turn
    took = watched.train()
    if armed is not None:
        session.remove_breakpoint(armed.id)
    session.set_level(0)
    return took


if __name__ == "__main__":
    main()
