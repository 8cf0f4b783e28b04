"""Odd and hostile programs, alone and under the debugger: `python tests/benchmarks/odd_programs.py [WORD]`.

Each is run by Python alone, under `dsviz run --headless` at trace level 1 and at level 2 with a conditional breakpoint that
never holds: what it prints (its numbers bit for bit), its exit status and its traceback have to be the same. Printed for
each: what differed, and how long each run took; at the end how many were tried and how many survived.
With WORD only those with it in their name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from test_faults import raised  # noqa: E402

ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
PROGRAMS = {
    "a finaliser in a cycle computes, prints and forks threads": """\
import gc, threading
count = 0
class Held:
    def __init__(self):
        self.me, self.x = self, ds.ones(3)
    def __del__(self):
        global count
        count += int((self.x * 2).sum().item())
gc.set_threshold(11, 3, 3)
x = ds.ones(4, requires_grad=True)
for i in range(400):
    Held()
    x = (x * 1.0001).detach().requires_grad_()
    (x * x).sum().backward()
gc.collect()
print(count, x.grad.tolist())
""",
    "a timer's handler computes, draws and prints in the middle of everything": """\
import signal, time
seen = ds.randn(1).shape[0] - 1  # NumPy loads its random numbers late, and not twice at once
def handler(number, frame):
    global seen
    seen += int((ds.ones(200, 300) + 1).sum().item() == 120000)
    ds.randn(3)
    print("tick", flush=True) if seen in (1, 7) else None
    signal.setitimer(signal.ITIMER_REAL, 0.003)  # not before this one is over
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.003)
x, turns = ds.ones(200, 300), 0
while seen < 20:
    x = ds.tanh(x) + 1
    turns += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print("done")
""",
    "its own trace and profile functions": """\
import sys, threading
calls = 0
def trace(frame, event, arg):
    global calls
    calls += frame.f_code.co_name == "mine" and event == "call"
    return None
def mine(x):
    return x * 2
sys.settrace(trace)
sys.setprofile(lambda frame, event, arg: None)
x = ds.ones(2)
for _ in range(5):
    x = mine(x)
sys.settrace(None); sys.setprofile(None)
print(calls, x.tolist(), sys.gettrace())
""",
    "replaces builtins, open, print, stdout and excepthook": """\
import builtins, io, sys
out = sys.stdout
builtins.open = None
builtins.print = lambda *a, **k: out.write("P:" + " ".join(map(str, a)) + "\\n")
sys.stdout = io.StringIO()
print((ds.ones(2) * 2).tolist())
builtins.sorted = builtins.sum = None
y = ds.cat([ds.ones(2), ds.zeros(3)])
sys.excepthook = lambda kind, error, trace: out.write(f"hook {kind.__name__} {error}\\n")
del builtins.map
raise ValueError("mine")
""",
    "an exception whose text raises and whose class lies": """\
class Liar(Exception):
    def __str__(self):
        raise RuntimeError("no text")
    __repr__ = __str__
    @property
    def __class__(self):
        return KeyError
class Net(ds.Module):
    def forward(self, x):
        x + 1
        raise Liar(x)
try:
    Net()(ds.ones(2))
except Exception as error:
    print(type(error).__name__, isinstance(error, KeyError))
raise SystemExit(ds.ones(2).sum().item() == 2.0)
""",
    "attributes, names and classes that raise when looked at": """\
class Mean:
    def __getattr__(self, name):
        raise ZeroDivisionError(name)
    def __repr__(self):
        raise ZeroDivisionError("repr")
    def __eq__(self, other):
        raise ZeroDivisionError("eq")
    __hash__ = None
    def __len__(self):
        return -1
    def __bool__(self):
        raise ZeroDivisionError("bool")
class Net(ds.Module):
    def __init__(self):
        self.mean = Mean()
        self.layer = ds.nn.Linear(2, 2)
        self.__dict__["nope\\udc80"] = Mean()
    def __repr__(self):
        raise ZeroDivisionError("net")
    def forward(self, x, mean):
        hidden = mean
        return self.layer(x) * 2
ds.manual_seed(1)
net = Net()
mean = Mean()
print(net(ds.ones(1, 2), mean).tolist())
""",
    "generators closed by the collector, exceptions thrown into them": """\
def walk(x):
    try:
        for i in range(100):
            x = x + i
            yield x
    finally:
        print("closed", (x * 2).sum().item())
held = [walk(ds.ones(2)) for _ in range(3)]
for g in held:
    next(g); next(g)
try:
    held[0].throw(KeyError("in"))
except KeyError as error:
    print(error)
held[1].close()
del held, g
async def agen():
    for i in range(3):
        yield ds.ones(2) * i
import asyncio
async def main():
    return [x.tolist() async for x in agen()]
print(asyncio.run(main()))
""",
    "contexts, weak references and a module that deletes itself": """\
import contextvars, weakref, sys
class Net(ds.Module):
    def __init__(self):
        self.child = ds.nn.Linear(2, 2)
    def forward(self, x):
        y = self.child(x)
        del self.child
        self.again = ds.nn.Linear(2, 2)
        return self.again(y)
ds.manual_seed(2)
net = Net()
print(net(ds.ones(1, 2)).tolist())
gone = []
ref = weakref.ref(net.again, lambda r: gone.append((ds.ones(2) * 3).tolist()))
del net.again
try:
    net(ds.ones(1, 2))
except AttributeError as error:
    print(type(error).__name__)
print(gone)
del sys.modules["dsviz"], sys.modules["engine"]
print((ds.ones(2) + 1).tolist())
""",
    "writes straight to the descriptors and changes them": """\
import os, sys
os.write(1, b"one\\n"); os.write(2, b"two\\n")
copy = os.dup(1)
read, write = os.pipe()
os.dup2(write, 1)
print("into the pipe", (ds.ones(2) * 2).tolist(), flush=True)
os.dup2(copy, 1)
print("got", os.read(read, 100))
sys.stdout = os.fdopen(os.dup(1), "w", buffering=1)
print("reopened", (ds.ones(1) + 1).item())
sys.stderr.close()
x = ds.ones(2) * 5
print(x.tolist())
""",
    "a hundred threads at once, each with its own error": """\
import threading
errors, out = [], {}
threading.excepthook = lambda args: errors.append(str(args.exc_value))
def work(i):
    x = ds.ones(3) * i
    for _ in range(3):
        x = x + 1
    out[i] = x.sum().item()
    if i % 10 == 0:
        ds.ones(2) @ ds.ones(3)
threads = [threading.Thread(target=work, args=(i,)) for i in range(100)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(errors), sorted(out.values()) == sorted(3.0 * (i + 3) for i in range(100)))
""",
    "recursion in modules, deep nesting, and a stack limit of its own": """\
import sys
class Deep(ds.Module):
    def __init__(self, n):
        self.n = n
        if n:
            self.inner = Deep(n - 1)
    def forward(self, x):
        return self.inner(x + 1) if self.n else x
print(Deep(60)(ds.ones(1)).item())
sys.setrecursionlimit(150)
def down(x):
    return down(x + 1)
try:
    down(ds.ones(1))
except RecursionError as error:
    print("caught", type(error).__name__)
sys.setrecursionlimit(3000)
print((ds.ones(2) * 2).tolist())
""",
    "executes and compiles source it makes itself, with lines that are not there": """\
for i in range(30):
    space = {"ds": ds, "x": ds.ones(2)}
    exec(compile(f"y = x * {i}\\n" * 3, f"<made {i}>", "exec"), space)
print(space["y"].tolist())
exec(compile("\\n" * 100_000 + "z = ds.ones(2) + 1", __file__, "exec"))
print(z.tolist())
code = compile("ds.ones(2) @ ds.ones(3)", "/no/such/\\u202efile.py", "exec")
try:
    exec(code)
except Exception as error:
    print(type(error).__name__)
exec("raise ds.ShapeMismatchError('mine')")
""",
    "exits in the middle: os._exit in a thread while others compute": """\
import os, threading, time, sys
def spin():
    x = ds.ones(10)
    while True:
        x = ds.tanh(x)
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
print("going", (ds.ones(2) * 2).tolist(), flush=True)
threading.Thread(target=lambda: (time.sleep(0.3), os._exit(37))).start()
time.sleep(100)
""",
    "kills itself in a custom op's backward": """\
import os, signal
class Op(ds.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        print("now", flush=True)
        os.kill(os.getpid(), signal.SIGABRT)
        return g
x = ds.ones(2, requires_grad=True)
Op.apply(x).sum().backward()
""",
    "monkeypatches the engine while it runs": """\
import engine
from engine import tensor
old = ds.Tensor.__add__
ds.Tensor.__add__ = lambda self, other: old(self, other) * 1
print((ds.ones(2) + 1).tolist())
ds.Tensor.__add__ = old
class Layer(ds.nn.Linear):
    def __call__(self, *args):
        return super().__call__(*args)
    def __getattribute__(self, name):
        return super().__getattribute__(name)
ds.manual_seed(5)
layer = Layer(2, 2)
layer.forward = lambda x: x * 3
print(layer(ds.ones(1, 2)).tolist())
np_array = ds.ones(3).numpy()
np_array[:] = float("nan")
print((ds.ones(3) * 2).sum().item())
""",
    "a child by vfork and exec, daemons, and a grandchild that outlives": """\
import os, subprocess, sys, time
x = ds.ones(2)
print(subprocess.run(["sh", "-c", "echo child; exit 3"], capture_output=True, text=True, close_fds=True).stdout.strip())
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.5)
        os._exit(0)
    os._exit(4)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (x + 1).tolist())
done = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(9)"], preexec_fn=lambda: None)
print(done.wait(), (x * 3).tolist())
""",
    "an interrupt that comes again and again while it ends": """\
import atexit, os, signal
x = ds.ones(2)
@atexit.register
def last():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10):
            ds.ones(2) + 1
    except KeyboardInterrupt:
        print("at exit", (ds.ones(2) * 2).tolist())
for turn in range(3):
    try:
        while True:
            x = ds.tanh(x)
            os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("turn", turn)
raise KeyboardInterrupt
""",
    "numbers at the edges, in every dtype": """\
import warnings
warnings.simplefilter("ignore")
import numpy as np
for dtype in (ds.float16, ds.float32, ds.float64, ds.int8, ds.int64, ds.uint8, ds.bool):
    a = ds.tensor(np.array([0, 1, 1, 0], dtype=str(dtype).split(".")[-1]))
    for f in (lambda t: t + t, lambda t: t * 3, lambda t: t.sum(), lambda t: t.max(), lambda t: t[None, :, None] == t):
        try:
            r = f(a)
            print(dtype, r.shape, r.tolist())
        except Exception as error:
            print(dtype, type(error).__name__)
big = ds.tensor([3e38, -3e38, 1e-45, float("inf"), float("nan"), -0.0])
print((big * 10).tolist(), (big / 0).tolist(), big.softmax(0).tolist(), ds.zeros(0, 3).sum(0).tolist())
print(ds.ones(2, 0, 3).sum().item(), ds.tensor(7).item(), ds.ones(1, 1, 1, 1, 1, 1, 1, 1).shape)
""",
}


def run(folder: Path, *words: str) -> tuple[subprocess.CompletedProcess[bytes], float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *words, str(folder / "train.py")],
        input=b"",
        capture_output=True,
        env=ENV,
        timeout=300,
    )
    return done, time.monotonic() - began


def differences(
    alone: subprocess.CompletedProcess[bytes], watched: subprocess.CompletedProcess[bytes]
) -> list[str]:
    """What of a run is not as it was alone."""
    found = []
    status = alone.returncode if alone.returncode >= 0 else 128 - alone.returncode
    if watched.returncode != status:
        found.append(f"status {watched.returncode}, alone {status}")
    if alone.stdout not in watched.stdout:
        found.append(f"printed {watched.stdout[-300:]!r}, alone {alone.stdout[-300:]!r}")
    told = raised(watched.stderr)
    missing = [line.decode(errors="replace") for line in raised(alone.stderr) if line not in told]
    if missing:
        found.append(f"not on stderr: {missing[:3]}")
    if b"detached" in watched.stderr:
        found.append(f"a subscriber failed: {watched.stderr[-1500:].decode(errors='replace')}")
    return found


def main() -> None:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    tried = survived = 0
    ways = {
        "level 1": ("--trace-level", "1"),
        "level 2, armed": ("--trace-level", "2", "--break", "op add if 1 > 2"),
    }
    for name, source in PROGRAMS.items():
        if word not in name:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "train.py").write_text("import dsviz as ds\n" + source, encoding="utf-8")
            alone, seconds = run(folder)
            told = [f"alone {seconds:.1f} s"]
            wrong = []
            for how, options in ways.items():
                try:
                    watched, seconds = run(folder, "-m", "dsviz", "run", "--headless", *options)
                except subprocess.TimeoutExpired:
                    wrong.append(f"{how}: it hangs")
                    continue
                told.append(f"{how} {seconds:.1f} s")
                wrong += [f"{how}: {what}" for what in differences(alone, watched)]
        tried += 1
        survived += not wrong
        print(
            f"{'as ever' if not wrong else 'DIFFERS'}  {name} ({', '.join(told)})",
            *wrong,
            sep="\n    ",
            flush=True,
        )
    print(f"{tried} programs tried in {len(ways)} ways, {survived} as without the debugger")


if __name__ == "__main__":
    main()
