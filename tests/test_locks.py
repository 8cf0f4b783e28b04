"""No lock of ours jams a program: not for a finaliser that computes in the middle of it, and not in a forked child."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine as ds
from dsviz.debuggee import followed
from engine import locks
from engine.bus import Bus
from engine.dnn import library as dnn
from engine.locks import reentrant
from engine.memory import Memory
from engine.pool import LARGE, Pool
from engine.random import Generator

ROOT = Path(__file__).resolve().parents[1]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
SHAPE = (LARGE, 4)


def child(work: Any) -> int:
    """The exit status of a forked child that does `work`, 99 where it raises; it is ended after a while."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of the threads there are
        pid = os.fork()
    if pid == 0:
        status = 99
        try:
            import faulthandler

            faulthandler.dump_traceback_later(60, exit=True)  # a child that hangs fails the test
            status = int(work())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@forks
def test_what_another_thread_holds_at_a_fork_is_free_in_the_child() -> None:
    lock, held, done = reentrant(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(60)
        assert not lock.acquire(blocking=False)
        assert child(lambda: lock.acquire(blocking=False)) == 1
    finally:
        done.set()
        thread.join()


@forks
def test_what_the_forking_thread_holds_it_lets_go_itself_on_both_sides() -> None:
    lock = reentrant()

    def within() -> int:
        lock.release()  # would raise where the lock was not its own any more
        return 7

    with lock:
        assert child(within) == 7
    assert lock.acquire(blocking=False)
    lock.release()


def test_a_buffer_asked_for_in_the_middle_of_the_pool_is_one_of_its_own() -> None:
    pool, inner = Pool(), []
    first = pool.empty(SHAPE, np.float32)
    first_at = first.__array_interface__["data"][0]
    collect, counts = pool._collect, pool.counts()

    def collected() -> None:
        if not inner:
            inner.append(pool.empty(SHAPE, np.float32))
            assert pool.counts().live == counts.live
            pool.clear()
        collect()

    pool._collect = collected  # type: ignore[method-assign]
    del first
    outer = pool.empty(SHAPE, np.float32)
    assert outer.__array_interface__["data"][0] == first_at
    assert not np.shares_memory(outer, inner[0])


class Meanwhile(int):
    """A number with which somebody else draws as soon as it is compared."""

    draws: list[Any] = []  # noqa: RUF012
    generator: Generator

    def __gt__(self, other: object) -> bool:
        self.draws.append(self.generator.draw(5))
        return super().__gt__(other)  # type: ignore[operator]


def test_numbers_drawn_in_the_middle_of_a_draw_are_others() -> None:
    generator = Meanwhile.generator = Generator(3)
    with generator._lock:
        assert generator.draw(2) == (3, 0)
    assert generator.draw(Meanwhile(4))[1] >= 7
    assert generator.counter == 2 + 5 + 4


def test_a_subscriber_that_comes_while_another_one_is_added_stays() -> None:
    bus, told = Bus(), []
    late = bus.subscribe(lambda kind, subject: told.append("late"), "step")
    late.close()

    class Sinks(tuple):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            if not told:
                told.append("added")
                bus.subscribe(lambda kind, subject: told.append("inner"), "step")
            return super().__iter__()

    bus.step = Sinks()
    bus.subscribe(lambda kind, subject: told.append("outer"), "step")
    bus.emit("step", None)
    assert sorted(told) == ["added", "inner", "outer"]


def test_the_kernels_are_not_entered_again_by_who_is_inside_one() -> None:
    lib = dnn.library()
    if lib is None:
        pytest.skip("oneDNN is not installed")
    x = ds.randn(1, 3, 8, 8)
    conv = ds.nn.Conv2d(3, 4, 3)
    wanted = conv(x).detach().numpy()
    with lib.lock:
        assert dnn.library() is None
        inside = conv(x).detach().numpy()
    assert dnn.library() is lib
    np.testing.assert_allclose(inside, wanted, rtol=1e-4, atol=1e-5)


def test_a_buffers_end_told_by_two_threads_at_once_is_no_error() -> None:
    memory = Memory()
    array = np.empty(4)
    buffer = memory.expect(array, "inputs")

    class Alive(dict):  # type: ignore[type-arg]
        def get(self, key: Any, default: Any = None) -> Any:
            found = super().get(key, default)
            self.pop(key, None)  # the other thread was here
            return found

    memory._alive = Alive(memory._alive)
    del array
    assert list(memory.waiting) == [buffer]
    memory.flush()
    assert not memory.waiting


def test_after_a_fork_the_first_op_of_any_thread_has_the_debugger_listen_again(monkeypatch) -> None:
    heard, subscribe = [], Bus.subscribe

    def at_once(self: Bus, sink: Any, *kinds: str, **how: Any) -> Any:
        made = subscribe(self, sink, *kinds, **how)
        for _ in range(2):  # two other threads run an op before the one that forked goes on
            sink("op_start", None)
        return made

    monkeypatch.setattr(Bus, "subscribe", at_once)
    before = followed.bus.op_start
    followed.after_fork(lambda: heard.append("again"))
    assert heard == ["again"]
    assert followed.bus.op_start == before


LATE = """\
import threading
began.set()
assert forking.wait(60)
sum(range(3_000_000))  # it takes its time
done = 7
"""


@pytest.fixture
def late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A part of the engine that begins to be imported, and goes on once there is a fork."""
    import builtins

    began, forking = threading.Event(), threading.Event()
    (tmp_path / "late_part.py").write_text(LATE, encoding="utf-8")
    monkeypatch.setattr(ds, "__path__", [*ds.__path__, str(tmp_path)])
    monkeypatch.setattr(builtins, "began", began, raising=False)
    monkeypatch.setattr(builtins, "forking", forking, raising=False)
    yield began, forking
    sys.modules.pop("engine.late_part", None)


@forks
def test_what_another_thread_imports_at_a_fork_is_whole_in_the_child(
    late: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, forking = late
    thread = threading.Thread(target=importlib.import_module, args=("engine.late_part",))
    thread.start()
    assert began.wait(60)
    importing = locks._importing

    def asked() -> bool:
        forking.set()  # from here on the import may end
        return importing()

    monkeypatch.setattr(locks, "_importing", asked)
    assert child(lambda: importlib.import_module("engine.late_part").done) == 7
    thread.join()


@forks
def test_a_fork_does_not_wait_for_ever_for_an_import(
    late: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, forking = late
    monkeypatch.setattr(locks, "PATIENCE", 0.01)
    thread = threading.Thread(target=importlib.import_module, args=("engine.late_part",))
    thread.start()
    assert began.wait(60)
    assert child(lambda: 3) == 3
    forking.set()
    thread.join()
    assert child(lambda: importlib.import_module("engine.late_part").done) == 7


FORKS = """\
import os, threading, warnings
import dsviz as ds
warnings.simplefilter("ignore")
going = True
def prints():
    while going:
        print("." * 50)
def computes():
    x = ds.randn(300, 300)
    while going:
        x = (x * x).sqrt()
threads = [threading.Thread(target=work) for work in (prints, prints, computes)]
ds.randn(300, 300)  # what NumPy loads late is loaded
for thread in threads:
    thread.start()
ended = []
for turn in range(15):
    pid = os.fork()
    if pid == 0:
        os._exit(int((ds.randn(300, 300) * 0 + 3).max().item()))
    ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
going = False
for thread in threads:
    thread.join()
print("\\nended", set(ended), len(ended))
"""


@forks
def test_a_program_forks_while_its_threads_print_and_compute(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FORKS, encoding="utf-8")
    command = [sys.executable, "-m", "dsviz", "run", "--headless", str(tmp_path / "train.py")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"ended {3} 15\n" in done.stdout
    assert b"Traceback" not in done.stderr
