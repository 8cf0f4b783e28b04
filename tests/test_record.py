"""A run is written down while it goes: with dsviz record, and by every live session."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsviz import cli, events
from dsviz.recording import Recording
from dsviz.session import LaunchError, Session

ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
TRAIN = """\
import sys
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for step in range(int(sys.argv[1])):
    loss = (net(ds.randn(3, 4)) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
print("done", file=sys.stderr)
print("steps", step + 1)
sys.exit(3)
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(TRAIN)
    return str(path)


def dsviz(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "dsviz", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENV,
        **options,
    )


def test_a_program_is_recorded_and_stays_what_it_is(script, tmp_path):
    plain = subprocess.run([sys.executable, script, "2"], capture_output=True, text=True, timeout=60, env=ENV)
    ran = dsviz("record", "--trace-level", "2", script, "2", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert ran.returncode == 3
    with Recording.open(tmp_path / "train.dsviz") as recording:
        assert (recording.state, recording.end.status) == ("failed", 3)
        assert recording.meta.script == script
        assert recording.meta.args == ("2",)
        assert recording.sources() == (script,)
        assert recording.source(script) == TRAIN
        assert recording.verify() == []
        kinds = {type(event) for event in recording.events()}
        assert {events.Op, events.Output, events.Summary, events.Iteration, events.Allocated} <= kinds
        printed = "".join(e.text for e in recording.events() if isinstance(e, events.Output))
        assert "steps 2" in printed
        assert "done" in printed
    assert sorted(os.listdir(tmp_path)) == ["train.dsviz", "train.py"]
    dsviz("record", script, "1", cwd=tmp_path)
    assert "train-2.dsviz" in os.listdir(tmp_path), "the first recording is nobody's to overwrite unasked"


def test_a_live_session_records_its_stops(script, tmp_path):
    path = tmp_path / "run.dsviz"
    with Session.launch(script, ["1"], record=path, stdout=-3, stderr=-3) as session:
        first = session.wait(60)
        second = session.next(20)
        end = session.resume(20)
    with Recording.open(path) as recording:
        assert [stopped.stop.text for stopped in recording.stops()] == [first.text, second.text, end.text]
        assert recording.damage == []


def test_a_restart_records_beside_the_first_run(script, tmp_path):
    with Session.launch(script, ["1"], record=tmp_path / "run.dsviz", stdout=-3, stderr=-3) as session:
        session.wait(60)
        session.restart(20)
        session.resume(20)
    with Recording.open(tmp_path / "run.dsviz") as one, Recording.open(tmp_path / "run-2.dsviz") as two:
        assert (one.state, two.state) == ("stopped", "failed")


def test_without_a_file_the_recording_goes_with_the_session(script):
    with Session.launch(script, ["1"], stdout=-3, stderr=-3) as session:
        session.wait(60)
        path = session.recording
        assert os.path.isfile(path)
    assert not os.path.exists(os.path.dirname(path))


FOREVER = """\
import os
import dsviz as ds
print(os.getpid(), flush=True)
x = ds.ones(3)
while True:
    x = x * 1.5
"""


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
@pytest.mark.parametrize("victim", ["program", "server"])
def test_a_recording_survives_sigkill(tmp_path, victim):
    script, path = tmp_path / "forever.py", tmp_path / "run.dsviz"
    script.write_text(FOREVER)
    command = [sys.executable, "-m", "dsviz", "record", "-o", str(path), str(script)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV)
    program = 0
    try:
        program = int(server.stdout.readline())
        until = time.monotonic() + 60
        while not _count(path) > 1000:
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(server.pid if victim == "server" else program, signal.SIGKILL)
        status = server.wait(60)
    finally:
        server.kill()
        server.stdout.close()
        if program:
            with contextlib.suppress(ProcessLookupError):
                os.kill(program, signal.SIGKILL)
    with Recording.open(path) as recording:
        ops = [event.node for event in recording.events() if isinstance(event, events.Op)]
        assert recording.verify() == []
        assert ops == list(range(ops[0], ops[0] + len(ops))), "nothing before the end is missing"
        assert len(ops) > 200
        if victim == "program":
            assert status == 137
            assert recording.state == "killed"
            assert "SIGKILL" in recording.reason
        else:
            assert recording.state == "unfinished"


def _count(path):
    if not path.exists() or not path.stat().st_size:
        return 0
    with Recording.open(path) as recording:
        return recording.count


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no script was given"),
        (["missing.py"], "there is no file"),
        (["-o", "notes.txt", "train.py"], "notes.txt exists and is not a recording: it is not overwritten"),
        (["-o", ".", "train.py"], "is a folder, but a file for the recording was expected"),
        (["--output=-q", "train.py"], "'-q' looks like an option and not like a file"),
        (["-o", "none/run.dsviz", "train.py"], "there is no folder"),
        (["--value-budget", "lots", "train.py"], "'lots' is no size"),
        (["--trace-level", "7", "train.py"], "--trace-level"),
        (["broken.py"], "line 1"),
    ],
)
def test_what_cannot_be_recorded_is_refused(capsys, monkeypatch, script, tmp_path, words, says):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "broken.py").write_text("def (")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("dsviz: ")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_recording_may_be_replaced_and_other_files_only_when_told(script, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    assert dsviz("record", "--force", "-o", str(notes), script, "1").returncode == 3
    assert dsviz("record", "-o", str(notes), script, "2").returncode == 3
    with Recording.open(notes) as recording:
        assert recording.meta.args == ("2",)


def test_a_session_tells_what_is_wrong_with_its_file(script, tmp_path):
    with pytest.raises(LaunchError, match="exists already"):
        Session.launch(script, record=script)
    with pytest.raises(LaunchError, match="cannot be made"):
        Session.launch(script, record=tmp_path / "no" / "run.dsviz")


def test_an_unasked_recording_ends_where_it_would_grow_too_large(script, monkeypatch):
    from dsviz.recording import recorder

    monkeypatch.setattr(recorder, "MOST_BYTES", 1000)
    with Session.launch(script, ["40"], stdout=-3, stderr=-3, pause_at_entry=False) as session:
        end = session.wait(60)
        assert end.status == 3
        assert session.store.count > 500
        assert "has taken them" in session.recording_problem


@pytest.mark.skipif(os.name == "nt", reason="asks by signal")
def test_what_killed_debuggers_left_goes_away_after_a_day(script, tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, fresh, used = (
        tmp_path / f"dsviz-recording-{pid}-{n}" for n, pid in enumerate((gone.pid, gone.pid, os.getpid()))
    )
    for folder in (old, fresh, used):
        folder.mkdir()
        (folder / "run.dsviz").write_text("")
    for folder in (old, used):
        os.utime(folder, (1, 1))
    with Session.launch(script, ["1"], stdout=-3, stderr=-3) as session:
        session.wait(60)
        assert not old.exists()
        assert fresh.exists(), "it can still be looked at"
        assert used.exists(), "its debugger still runs"
