"""Programs that end badly or behave oddly: under the debugger they print, compute and end as under Python alone.

And the other way round: what becomes of a program and its recording when the debugger is killed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dsviz import Session
from dsviz.endings import STARVED, ended, memory_kills
from dsviz.playback import Playback
from dsviz.recording.format import EVENTS_PER_CHUNK
from dsviz.recording.recorder import Recorder
from dsviz.stop import ENDS, Stop

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
WAIT = 60
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through Linux's /proc")

# Each does several things that have gone wrong in one debugger or another.
PROGRAMS = {
    "raises in forward, caught and not": """\
class Net(ds.Module):
    def forward(self, x):
        y = x * 2
        raise KeyError("no such thing")
try:
    Net()(ds.ones(2))
except KeyError as error:
    print("caught", error)
Net()(ds.ones(2))
""",
    "raises in hooks and backward": """\
class Twice(ds.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        raise ValueError("my backward")
layer = ds.nn.Linear(2, 2)
layer.register_forward_hook(lambda *a: [][1])
for call in (lambda: layer(ds.ones(1, 2)), lambda: Twice.apply(ds.ones(2, requires_grad=True)).sum().backward()):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, error)
x = ds.ones(2, requires_grad=True)
y = x * 2
y.register_hook(lambda g: 1 / 0)
y.sum().backward()
""",
    "runs out of stack and goes on": """\
def deeper(x):
    return deeper(x + 1)
for _ in range(2):
    try:
        deeper(ds.ones(1))
    except RecursionError as error:
        print(type(error).__name__)
x = ds.ones(1, requires_grad=True)
y = x
for _ in range(3000):
    y = y + 1
y.backward()
print(x.grad.tolist())
""",
    "threads, tasks and an exception in a thread": """\
import asyncio, threading
out = {}
def work(i):
    x = ds.ones(20, 20) * i
    for _ in range(5):
        x = ds.tanh(x @ x / 20)
    out[i] = float(x.sum())
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(out.items()))
async def task(i):
    x = ds.ones(3) * i
    await asyncio.sleep(0)
    return (x * 2).sum().item()
async def main():
    print(await asyncio.gather(*[task(i) for i in range(3)]))
asyncio.run(main())
def bad():
    ds.ones(2) + 1
    raise SystemExit("in a thread")
t = threading.Thread(target=bad); t.start(); t.join()
print("main goes on", (ds.ones(2) * 3).tolist())
""",
    "a finaliser while the debugger is busy with its thread": """\
import threading
from dsviz.debuggee.link import Link
class Held:
    def __del__(self):
        ds.ones(2) + 1
held = [Held()]
send = Link.send
def late(self, message):
    threading.current_thread().name == "worker" and held.clear()
    return send(self, message)
Link.send = late
def work():
    for i in range(2):
        print(i, (ds.ones(2) * 3).tolist())
t = threading.Thread(target=work, name="worker"); t.start(); t.join()
""",
    "a child before the first op, pools, and a program of its own": """\
import os, subprocess, sys, multiprocessing as mp
x = ds.ones(3)
child = os.fork()
if child == 0:
    os._exit(int((x * 5).sum().item()))
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), (x * 2).tolist())
def work(i):
    return (ds.ones(3) * i).sum().item()
with mp.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)))
done = subprocess.run([sys.executable, "-c", "import dsviz as ds; print((ds.ones(2) + 1).tolist())"],
                      capture_output=True, text=True)
print(done.returncode, done.stdout, done.stderr)
""",
    "children started afresh, and from a task": """\
import asyncio, multiprocessing as mp, sys
def work(i):
    return (ds.ones(3) * i).sum().item(), __name__
async def outside():
    words = [sys.executable, "-c", "import dsviz as ds; print((ds.ones(2) + 1).tolist()); raise SystemExit(3)"]
    child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    print(child.returncode, out, (ds.ones(2) * 2).tolist())
if __name__ == "__main__":
    with mp.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, range(3)))
    process = mp.get_context("spawn").Process(target=sys.exit, args=(5,))
    process.start(); process.join()
    print(process.exitcode)
    asyncio.run(outside())
""",
    "odd values": """\
print(ds.tensor([]).sum().item(), (ds.zeros(0, 5) @ ds.zeros(5, 3)).shape, (ds.tensor(3.0) * 2).item())
print((ds.tensor([2**62]) * 4).tolist(), (ds.tensor([200], dtype=ds.uint8) + ds.tensor([100], dtype=ds.uint8)).tolist())
print(ds.ones(1).expand(1000000).sum().item(), ds.isnan(ds.tensor([float("nan"), float("inf")])).tolist())
class Net(ds.Module):
    pass
net = Net()
for name in ("x" * 5000, "\\u202e<script>\\n\\x00", "\\ud800"):
    setattr(net, name, ds.nn.Linear(2, 2))
for layer in list(net.children()):
    print(tuple(layer(ds.ones(1, 2)).shape))
""",
    "touches what the debugger uses": """\
import os, time, signal, sys, tempfile
print(sys.argv[1:], __name__, os.path.basename(__file__), input())
sys.stdout.buffer.write(b"\\xff\\xfe raw\\n"); sys.stdout.flush()
x = ds.ones(2) * 2
signal.signal(signal.SIGUSR1, lambda *a: print("signal", (ds.ones(1) * 2).item()))
os.kill(os.getpid(), signal.SIGUSR1)
time.time = lambda: 0.0
time.perf_counter_ns = lambda: -5
os.chdir(tempfile.gettempdir()); os.environ.clear()
os.closerange(3, 256)
for _ in range(50):
    x = x + 1
print(x.tolist())
""",
    "ends with a status, an exit handler and finalisers": """\
import atexit
class Held:
    def __del__(self):
        print("gone", (ds.ones(1) * 3).item())
atexit.register(lambda: print("bye", (ds.ones(1) + 1).item()))
a = Held(); del a
b = Held()
ds.ones(2) * 2
raise SystemExit(4)
""",
    "training with random numbers": """\
import random, numpy as np
ds.manual_seed(3); random.seed(1); np.random.seed(2)
net = ds.nn.Sequential(ds.nn.Linear(4, 8), ds.nn.Dropout(0.5), ds.nn.ReLU(), ds.nn.Linear(8, 2))
adam = ds.optim.Adam(net.parameters())
for _ in range(5):
    loss = ds.cross_entropy(net(ds.randn(6, 4)), ds.tensor(np.random.randint(0, 2, 6)))
    adam.zero_grad(); loss.backward(); adam.step()
    print(repr(loss.item()), random.random())
print(net[0].weight.array.tobytes().hex())
""",
}


# Each leaves with an exception that has been through what the debugger changes on an exception's way.
TRACEBACKS = {
    "nested modules, a hook, a module switched off, a chain": """\
class Net(ds.Module):
    def __init__(self):
        self.a, self.b = ds.Linear(2, 2), ds.Linear(2, 3)
        self.a.register_forward_hook(lambda *a: None)
    def forward(self, x):
        return ds.exp(self.b(self.a(x))) + ds.ones(2, 2)
net = Net()
errors = []
for given in ((1, 2, 3), (ds.ones(2, 3),), (ds.ones(2, 2),)):
    try:
        net(*given)
    except Exception as error:
        errors.append(error)
net.trace(False)
errors[1].__context__ = errors[0]
try:
    net(ds.ones(2, 2))
except Exception as error:
    error.__context__ = errors[2]
    raise error from errors[1]
""",
    "an op of one argument in a hook of the backward pass": """\
x = ds.ones(2, requires_grad=True)
y = x * 2
y.register_hook(lambda g: ds.exp(ds.tensor(["text"])))
y.sum().backward()
""",
    "interrupted": """\
class Net(ds.Module):
    def forward(self, x):
        raise KeyboardInterrupt
Net()(ds.ones(1))
""",
    "an exception that cannot say what it is, every file closed": """\
import os
class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")
os.closerange(3, 256)
ds.ones(2) + 1
raise Mute()
""",
}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    full = [sys.executable, *command, str(folder / "train.py"), "one", "two"]
    return subprocess.run(full, input=b"typed\n", capture_output=True, env=ENV, timeout=120)


def raised(text: bytes) -> list[bytes]:
    """A traceback without the frames of the engine, which goes another way while it is watched."""
    text = re.sub(rb'  File "[^"]*/engine/[^"]*", line \d+, in .*\n(    .*\n)*', b"", text)
    return re.sub(rb"repeated \d+ more", b"repeated", text).splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="some of them fork")
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_prints_computes_and_ends_as_under_python_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.py").write_text("import dsviz as ds\n" + PROGRAMS[name], encoding="utf-8")
    alone, watched = run(tmp_path), run(tmp_path, "-m", "dsviz", "run", "--headless")
    assert watched.returncode == alone.returncode, watched.stderr.decode(errors="replace")
    assert alone.stdout in watched.stdout
    told = raised(watched.stderr)
    missing = [line for line in raised(alone.stderr) if line not in told]
    assert not missing, watched.stderr.decode(errors="replace")
    assert b"detached" not in watched.stderr


@pytest.mark.parametrize("name", TRACEBACKS)
def test_the_traceback_and_the_status_at_the_end_are_pythons_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.py").write_text("import dsviz as ds\n" + TRACEBACKS[name], encoding="utf-8")
    alone, watched = run(tmp_path), run(tmp_path, "-m", "dsviz", "run", "--headless", "--break", "node 999")
    ended = alone.returncode if alone.returncode > 0 else 128 - alone.returncode  # as a shell tells a signal
    assert watched.returncode == ended != 0
    assert alone.stderr in watched.stderr, watched.stderr.decode(errors="replace")


# A program that says how far it is in a file, for a debugger of another process to be killed at.
LONG = """\
import os, sys, time
import dsviz as ds
x = ds.ones(4)
for turn in range(1200):
    x = ds.tanh(x) + 1
    if turn == 999:
        while not os.path.exists("go"):
            time.sleep(0.01)
open("done.tmp", "w").write(str(x.tolist()))
os.rename("done.tmp", "done")
"""
# The debugger: starts it, runs it or stands at a stop, says who it is, and waits to be killed.
OWNER = """\
import sys, threading
from dsviz import Session
session = Session.launch("train.py", record="run.dsviz")
session.wait(60)
print(session.pid, flush=True)
if sys.argv[1] == "running":
    heard = threading.Event()
    session.on_change(lambda what: heard.set())
    session.send("continue")
    while len(session.store.nodes) < 2000:
        heard.wait(0.1)
        heard.clear()
    open("heard", "w").close()
threading.Event().wait()
"""


def appears(path: Path) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + WAIT
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@linux
@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_killed_debugger_leaves_the_program_to_itself(tmp_path: Path, state: str) -> None:
    (tmp_path / "train.py").write_text(LONG, encoding="utf-8")
    alone = subprocess.run([sys.executable, "-c", "import os; open('go', 'w').close(); exec(open('train.py').read())"],
                           cwd=tmp_path, env=ENV, timeout=120, check=True)  # fmt: skip
    assert alone.returncode == 0
    wanted = (tmp_path / "done").read_text()
    for name in ("done", "go"):
        (tmp_path / name).unlink()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, state], cwd=tmp_path, env=ENV, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    try:
        if state == "running":
            appears(tmp_path / "heard")
        owner.kill()
        owner.wait(WAIT)
        (tmp_path / "go").touch()
        appears(tmp_path / "done")
        assert (tmp_path / "done").read_text() == wanted
    finally:
        owner.stdout.close()
        if alive(pid) and not (tmp_path / "done").exists():
            os.kill(pid, signal.SIGKILL)
    with Playback(str(tmp_path / "run.dsviz")) as recording:
        nodes = list(recording.store.nodes)
        if state == "running":  # all that was heard but what one chunk holds
            assert len(nodes) >= 2000 - EVENTS_PER_CHUNK
        assert nodes == sorted(nodes)


STOPPED = """\
import os, sys, threading
from dsviz import Session
heard = threading.Event()
with Session.launch("train.py", capacity=1 << 16, breakpoints=False) as session:
    session.wait(60)
    session.on_change(lambda what: heard.set())
    session.send("continue")  # it is on its way to the program, whatever becomes of who sent it
    print(session.pid, flush=True)
    while session.state == "running":
        heard.wait(0.1)
        heard.clear()
    store = session.store
    print(session.stop_now.state, sum(gap.lost for gap in store.gaps), store.count, flush=True)
"""


@linux
def test_a_debugger_that_is_suspended_holds_the_program_up_for_a_moment_and_counts_what_it_missed(
    tmp_path: Path,
) -> None:
    (tmp_path / "train.py").write_text(LONG.replace("1200", "6000"), encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", STOPPED], cwd=tmp_path, env=ENV, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:  # fmt: skip
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.send_signal(signal.SIGSTOP)
        try:
            (tmp_path / "go").touch()
            appears(tmp_path / "done")  # the ring is full long before
        finally:
            owner.send_signal(signal.SIGCONT)
        state, lost, count = owner.stdout.readline().split()
    assert state == "finished"
    assert int(lost) > 0
    assert int(count) < 2 * 6000


@linux
def test_a_program_that_is_suspended_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("import dsviz as ds\nx = ds.ones(2)\nwhile True:\n    x = ds.tanh(x)\n", encoding="utf-8")
    with Session.launch(str(path), stderr=subprocess.DEVNULL) as session:
        session.wait(WAIT)
        session.send("continue")
        os.kill(session.pid, signal.SIGSTOP)
        session.send("pause")  # it cannot hear it yet
        os.kill(session.pid, signal.SIGCONT)
        assert session.wait(WAIT).reason == "pause"
        assert session.next(WAIT).op == "tanh"
        nodes = [node for node in session.store.nodes if node > 1]
        assert nodes == list(range(nodes[0], nodes[0] + len(nodes)))


THRICE = """\
import os, signal
import dsviz as ds
x = ds.ones(2)
for turn in range(3):
    try:
        for i in range(100):
            x = ds.tanh(x)
            if i == 50:
                os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted", turn, i)
        if turn == 2:
            raise
"""


@linux
def test_interrupts_are_the_programs_paused_and_running_as_often_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(THRICE, encoding="utf-8")
    with Session.launch(str(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
        assert session.wait(WAIT).reason == "entry"
        os.kill(session.pid, signal.SIGINT)  # at the pause: it goes on by itself, with a KeyboardInterrupt
        heard = threading.Event()
        session.on_change(lambda what: heard.set() if session.state in ENDS else None)
        assert session.state in ENDS or heard.wait(WAIT)
        assert session.state == "killed"
        told = "".join(text for _, text in session.store.output())
        assert told.startswith("interrupted 0 0\ninterrupted 1 50\ninterrupted 2 50\n")


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGSEGV"])
def test_an_end_is_told_before_the_recording_is_closed_and_waited_for_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_name: str
) -> None:
    heard, told, end = threading.Event(), [], Recorder.end

    def slowly(self: Recorder, stop: Stop) -> None:
        assert heard.wait(WAIT), "a page heard of the end only once the disk had all of the recording"
        told.append("closed")
        end(self, stop)

    monkeypatch.setattr(Recorder, "end", slowly)
    monkeypatch.setattr("dsviz.session.program.ended", lambda *a, **k: ended(*a, **{**k, "starved": True}))
    path = tmp_path / "train.py"
    path.write_text("import dsviz as ds\nx = ds.ones(2)\nwhile True:\n    x = ds.tanh(x)\n", encoding="utf-8")
    with Session.launch(str(path), stderr=subprocess.DEVNULL, record=tmp_path / "run.dsviz") as session:
        session.wait(WAIT)
        session.on_change(lambda what: heard.set() if session.state in ENDS else None)
        session.send("continue")
        os.kill(session.pid, getattr(signal, signal_name))
        stop = session.wait(WAIT)
        assert told == ["closed"]
        assert f"Killed by {signal_name}" in stop.text
        assert stop.text.endswith(STARVED) == (signal_name == "SIGKILL")  # nobody else is killed for memory
        with Playback(str(tmp_path / "run.dsviz")) as recording:
            assert recording.store.count == session.store.count


def test_how_many_the_system_killed_for_memory_is_a_number_wherever_it_runs() -> None:
    assert memory_kills() >= 0


def test_a_crash_in_native_code_names_the_op_and_keeps_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(
        "import ctypes\nimport dsviz as ds\ny = ds.exp(ds.ones(3))\nctypes.string_at(0)\n", encoding="utf-8"
    )
    with Session.launch(str(path), stderr=subprocess.DEVNULL) as session:
        assert session.wait(WAIT).reason == "entry"
        stop = session.resume(WAIT)
        assert (stop.state, stop.status, stop.op, stop.line) == ("killed", -signal.SIGSEGV, "exp", 3)
        assert len(session.store.nodes) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space, which Linux keeps to")
def test_memory_that_runs_out_is_the_programs_own_error(tmp_path: Path) -> None:
    source = """\
import resource
import dsviz as ds
x = ds.ones(8)
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
try:
    x = ds.zeros(1 << 31, 4) + 1
except MemoryError as error:
    print("caught")
y = ds.exp(ds.ones(3))
z = ds.zeros(1 << 31, 4) + 1
"""
    path = tmp_path / "train.py"
    path.write_text(source, encoding="utf-8")
    with Session.launch(str(path), stderr=subprocess.DEVNULL) as session:
        assert session.wait(WAIT).reason == "entry"
        stop = session.resume(WAIT)
        assert stop.reason == "exception"
        assert stop.line == 10, stop
        assert "caught" in "".join(text for _, text in session.store.output())
        assert session.resume(WAIT).status == 1


@linux
def test_sessions_one_after_the_other_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(private))
    path = tmp_path / "train.py"
    path.write_text("import dsviz as ds\nx = ds.ones(2) + 1\ny = x * 2\n", encoding="utf-8")
    files = []
    for turn in range(5):
        with Session.launch(str(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
            pid = session.pid
            assert session.wait(WAIT).reason == "entry"
            assert list(private.iterdir())
            if turn % 2:
                session.next(WAIT)
                os.kill(pid, signal.SIGKILL)
            else:
                session.resume(WAIT)
        assert not list(private.iterdir())
        assert not alive(pid)
        files.append(len(os.listdir("/proc/self/fd")))
    assert files[-1] <= files[0], files


def test_no_duration_is_measured_by_a_clock_that_can_be_set() -> None:
    """Only when something was made or ended is told by the clock on the wall."""
    told = {"dsviz/recording/writer.py", "dsviz/recording/recorder.py", "engine/native/cache.py"}
    files = [file for part in ("dsviz", "engine", "layouts") for file in (ROOT / part).rglob("*.py")]
    wall = re.compile(r"\btime\.time(_ns)?\(|datetime\.now|\bfrom time import\b.*\btime(_ns)?\b(?!\.)")
    found = {
        file.relative_to(ROOT).as_posix() for file in files if wall.search(file.read_text(encoding="utf-8"))
    }
    assert len(files) > 400
    assert found == told
