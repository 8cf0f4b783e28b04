"""How soon a running program stands after `pause`: measured from the word to the stop the session shows.

Three programs: tiny ops in a loop, ops of some milliseconds each, and ops with 50 ms of other work between them (which
a pause has to wait for: it comes at the next op). Usage: pause.py [TIMES]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import machine, spread

import dsviz

TIMES = 30
PROGRAMS = {
    "tiny ops": "x = ds.ones(4)\nwhile True:\n    x * 1.5",
    "ops of some ms": "x = ds.ones(512, 512)\nwhile True:\n    x @ x",
    "50 ms between ops": "import time\nx = ds.ones(4)\nwhile True:\n    x * 1.5\n    time.sleep(0.05)",
}


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for name, source in PROGRAMS.items():
            script = Path(folder) / "program.py"
            script.write_text("import dsviz as ds\n" + source + "\n", encoding="utf-8")
            found = []
            with dsviz.Session.launch(str(script), stdout=subprocess.DEVNULL) as session:
                session.wait(60)
                for turn in range(times):
                    session.send("continue")
                    time.sleep(0.05 + 0.007 * (turn % 7))
                    begin = time.perf_counter()
                    stop = session.pause(60)
                    found.append((time.perf_counter() - begin) * 1e3)
                    assert stop.state == "paused", stop.text
                session.stop(60)
            print(f"  {name:18} {spread(found, 'ms', 1)}, at most {max(found):.1f} ms")
    print("goal: within 100 ms of the next op")


if __name__ == "__main__":
    main()
