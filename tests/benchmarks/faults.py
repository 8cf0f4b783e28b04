"""Faults, one after the other, and what came of each: `python tests/benchmarks/faults.py [SESSIONS]` (default 50).

Programs killed while a page looks on (how soon it is told, and in which op and line), debuggers killed, a disk that is really
full (a small one in memory, where this user may mount it), and so many sessions in a row with what they leave behind.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import ROOT, browser, dsviz_run, machine, opened, process
from playwright.sync_api import Browser

sys.path.insert(0, str(ROOT))

from dsviz import Session
from dsviz.recording import Recording

ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
ENDLESS = "import dsviz as ds\nx = ds.ones(400, 400)\nwhile True:\n    x = ds.tanh(x @ x)\n"
GREEDY = "import dsviz as ds\nx = ds.ones(1000, 1000)\nkept = []\nwhile True:\n    kept.append(x * 2)\n"
STAMPS = """\
import time
import dsviz as ds
x = ds.ones(4)
with open("stamps", "w", buffering=1) as out:
    while True:
        x = ds.tanh(x) + 1
        out.write(f"{time.time()}\\n")
"""
OWNER = """\
import sys, threading
from dsviz import Session
session = Session.launch("train.py", record="run.dsviz", pause_at_entry=sys.argv[1] == "paused")
session.wait(60) if sys.argv[1] == "paused" else None
print(session.pid, flush=True)
threading.Event().wait()
"""
FULL = (
    "import dsviz as ds\nx = ds.ones(8)\nfor i in range(30000):\n    x = ds.tanh(x) + 1\nprint(x.tolist())\n"
)
WATCH = """() => { window.ended = 0;
  const look = setInterval(() => {
    if (window.dsviz.state === 'killed') { window.ended = Date.now(); clearInterval(look); }
  }, 5); }"""


def until(what: str, condition: object, seconds: float = 60.0) -> None:
    """Wait for `condition()`."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise SystemExit(f"never came: {what}")
        time.sleep(0.002)


@contextlib.contextmanager
def small_memory(pid: int) -> Iterator[bool]:
    """A control group of 300 MB for the process, where this user may make one (Linux)."""
    root = Path("/sys/fs/cgroup")
    old = (root / "memory").is_dir()
    group = (root / "memory" if old else root) / f"dsviz-{os.getpid()}"
    made = False
    try:
        group.mkdir()
        if (group / "cgroup.procs").exists():
            (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text("300000000")
            (group / "cgroup.procs").write_text(str(pid))
            made = True
    except OSError:
        pass
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def killed(chromium: Browser, folder: Path, how: str) -> str:
    """Kill a program that a page looks at; when the page was told, and what."""
    script = folder / "train.py"
    script.write_text(GREEDY if how == "out of memory" else ENDLESS, encoding="utf-8")
    with dsviz_run(script) as address:
        page = opened(chromium, address)
        pid = process("program")
        page.evaluate(WATCH)
        if how == "out of memory":
            with small_memory(pid) as made:
                if not made:
                    page.close()
                    return "not tried: this user may make no control group"
                page.click("#btn-continue")
                until("the end", lambda: _zombie(pid))  # the system takes its time with so much memory
                began = time.time()
                until("the page", lambda: page.evaluate("window.ended"))
        else:
            page.click("#btn-continue")
            until("nodes", lambda: page.evaluate("window.dsviz.graph.count") > 200)
            began = time.time()
            os.kill(pid, getattr(signal, how))
            until("the page", lambda: page.evaluate("window.ended"))
        told = page.evaluate("window.ended") / 1e3 - began
        found = re.search(r"Killed by [^\n]*", page.locator("body").inner_text())
        page.close()
        return f"page told after {told * 1e3:.0f} ms: {found.group() if found else 'nothing'}"


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def orphaned(folder: Path, state: str) -> str:
    """Kill the debugger of a program; how long that held the program up, and what the recording holds."""
    (folder / "train.py").write_text(STAMPS, encoding="utf-8")
    for name in ("stamps", "run.dsviz", "run.dsviz-wal", "run.dsviz-shm"):
        (folder / name).unlink(missing_ok=True)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, state], cwd=folder, env=ENV, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    stamps = folder / "stamps"
    try:
        if state == "running":
            until("stamps", lambda: stamps.exists() and stamps.stat().st_size > 100_000)
        owner.kill()
        began = time.time()
        owner.wait()
        size = stamps.stat().st_size if stamps.exists() else 0
        until("more stamps", lambda: stamps.exists() and stamps.stat().st_size > size + 20_000)
        after = [float(line) for line in stamps.read_text().split("\n")[:-1] if float(line) >= began - 1]
        times = [began, *(stamp for stamp in after if stamp >= began)]
        held = max(b - a for a, b in itertools.pairwise(times))
    finally:
        os.kill(pid, signal.SIGKILL)
        owner.stdout.close()
    with Recording.open(folder / "run.dsviz") as recording:
        wrong = len(recording.verify())
        return f"program held up for {held * 1e3:.0f} ms at most; recording {recording.state}, {recording.count} events, {wrong} damaged"


def full(folder: Path) -> str:
    """Record to a disk of 3 MB that is full before the program ends."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True
    ).returncode:
        return "not tried: this user may not mount"
    try:
        (folder / "train.py").write_text(FULL, encoding="utf-8")
        alone = subprocess.run([sys.executable, folder / "train.py"], capture_output=True, env=ENV)
        command = [
            sys.executable,
            "-m",
            "dsviz",
            "record",
            "-o",
            str(disk / "run.dsviz"),
            str(folder / "train.py"),
        ]
        done = subprocess.run(command, capture_output=True, env=ENV)
        same = (done.returncode, done.stdout) == (alone.returncode, alone.stdout)
        with Recording.open(disk / "run.dsviz") as recording:
            wrong = len(recording.verify())
            count = recording.count
        ringless = subprocess.run(
            [sys.executable, "-m", "dsviz", "run", "--headless", str(folder / "train.py")], capture_output=True,
            env={**ENV, "XDG_RUNTIME_DIR": str(disk), "TMPDIR": str(disk)},
        )  # fmt: skip
        same_too = ringless.stdout == alone.stdout
        said = ringless.stderr.decode().strip().splitlines()[-1:]
        return (f"program as ever: {same}; said {done.stderr.decode().strip()!r}; {count} events read, {wrong} damaged. "
                f"No room for rings: as ever: {same_too}; said {said}")  # fmt: skip
    finally:
        subprocess.run(["umount", str(disk)])


def in_a_row(folder: Path, count: int) -> str:
    """So many sessions, ended in four ways; what they leave."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = os.environ["TMPDIR"] = str(private)
    tempfile.tempdir = None
    path = folder / "short.py"
    path.write_text("import dsviz as ds\nx = ds.ones(2) + 1\ny = x * 2\n", encoding="utf-8")
    shared = set(os.listdir("/dev/shm"))
    pids, files, threads = [], [], []
    for turn in range(count):
        with Session.launch(path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
            pids.append(session.pid)
            session.wait(60)
            if turn % 4 == 0:
                session.resume(60)
            elif turn % 4 == 1:
                os.kill(session.pid, signal.SIGKILL)
            elif turn % 4 == 2:
                session.restart(60)
                pids.append(session.pid)
        files.append(len(os.listdir("/proc/self/fd")))
        threads.append(len(os.listdir("/proc/self/task")))
    left = sum(Path(f"/proc/{pid}").exists() and not _zombie(pid) for pid in pids)
    return (f"{len(pids)} programs, left: {left} processes, {len(list(private.iterdir()))} files and sockets, "
            f"{len(set(os.listdir('/dev/shm')) - shared)} of shared memory; descriptors {files[0]} to {files[-1]}, "
            f"threads {threads[0]} to {threads[-1]}")  # fmt: skip


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with browser() as chromium:
            for how in ("SIGKILL", "SIGSEGV", "out of memory"):
                print(f"program, {how}: {killed(chromium, folder, how)}", flush=True)
        for state in ("running", "paused"):
            print(f"debugger, SIGKILL, {state}: {orphaned(folder, state)}", flush=True)
        print(f"full disk: {full(folder)}", flush=True)
        print(f"sessions: {in_a_row(folder, count)}", flush=True)


if __name__ == "__main__":
    main()
