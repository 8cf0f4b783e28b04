"""No room on the disk: the program computes and ends as ever, and what is missing is said.

A limit on the size of files stands for the full disk; a real one is filled by `python tests/benchmarks/faults.py`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsviz import Session
from dsviz.process import Process

if sys.platform == "win32":
    pytest.skip("Windows has no limit on a file's size", allow_module_level=True)

import resource

WAIT = 60
PROGRAM = """\
import dsviz as ds
x = ds.ones(4)
for turn in range(50):
    x = ds.tanh(x) + 1
print(x.tolist())
"""
THREADED = """\
import resource, threading
import dsviz as ds
x = ds.ones(4)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
def work():
    print("thread", (ds.tanh(x) + 1).tolist())
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("main", (x * 2).tolist())
"""
REMOVED = """\
import shutil
import dsviz as ds
x = ds.ones(4) * 2
shutil.rmtree("recorded")
for turn in range(50):
    x = ds.tanh(x) + 1
print(x.tolist())
"""


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def ran(folder: Path, source: str, **options: Any) -> tuple[Session, str, str]:
    """A session that ran the program to its end, what it printed and what stood on its stderr."""
    script = folder / "train.py"
    script.write_text(source, encoding="utf-8")
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        session = Session.launch(script, stdout=out, stderr=err, pause_at_entry=False, cwd=folder, **options)
        with session:
            ended = threading.Event()
            session.on_change(lambda what: ended.set() if session.state == "finished" else None)
            session.wait(WAIT)
            assert session.state == "finished" or ended.wait(WAIT), (
                session.stop_now,
                (folder / "err").read_text(),
            )
    return session, (folder / "out").read_text(), (folder / "err").read_text()


def test_a_smaller_ring_is_made_where_there_is_little_room(tmp_path: Path) -> None:
    session, _, err = ran(tmp_path, PROGRAM, preexec_fn=limited(1 << 20))
    assert session.store.count == 100
    assert session.store.gaps == []
    assert err == ""


def test_without_any_room_the_program_runs_by_itself_and_both_sides_say_so(tmp_path: Path) -> None:
    session, out, err = ran(tmp_path, PROGRAM, preexec_fn=limited(100_000))
    alone, expected, _ = ran(tmp_path, PROGRAM)
    assert out == expected
    assert alone.store.count == 100
    assert session.store.count == 0
    assert "dsviz: the debugger cannot follow the program" in err
    assert session.stop_now is not None
    assert "was not followed" in session.stop_now.text


def test_a_thread_without_room_runs_unfollowed_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    session, out, err = ran(tmp_path, THREADED)
    assert [line.split()[0] for line in out.splitlines()] == ["thread", "main"]
    assert err.count("there is no room for what another thread does") == 1
    assert sum(gap.lost for gap in session.store.gaps) >= 2
    assert session.store.count == 1  # the op of the main thread


def test_a_recording_whose_folder_is_removed_says_so(tmp_path: Path) -> None:
    (tmp_path / "recorded").mkdir()
    session, out, _ = ran(tmp_path, REMOVED, record=tmp_path / "recorded" / "run.dsviz")
    assert out
    assert "run.dsviz was removed or moved meanwhile" in session.recording_problem


def test_a_runtime_folder_without_room_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(small))
    monkeypatch.setattr("dsviz.process.ROOM", 1 << 62)
    folders: list[str] = []
    real = Process._begin
    monkeypatch.setattr(Process, "_begin", lambda self, *a: (folders.append(self.folder), real(self, *a))[1])
    ran(tmp_path, PROGRAM)
    assert folders
    assert not folders[0].startswith(str(small))
