"""`dsviz run` with scripts that go wrong, as a person types it: what it says, how it ends, what it leaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dsviz import Session

ROOT = Path(__file__).resolve().parents[1]
DSVIZ = [sys.executable, "-m", "dsviz", "run"]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
TWO_NODES = "import dsviz as ds\ny = ds.ones(2) + 1\nz = y * 2\nprint('end', z.tolist())\n"


def write(folder: Path, source: str, name: str = "train.py") -> str:
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return str(path)


def headless(folder: Path, source: str, stdin: str = "", *args: str) -> subprocess.CompletedProcess[str]:
    command = [*DSVIZ, "--headless", write(folder, source), *args]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=ENV, timeout=120)


def test_an_exception_while_importing_ends_as_python_ends_it(tmp_path: Path) -> None:
    done = headless(tmp_path, "import dsviz as ds\nimport not_there_at_all\n")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'not_there_at_all'" in done.stderr
    assert 'train.py", line 2' in done.stderr
    assert "dsviz/debuggee" not in done.stderr


def test_the_session_says_where_it_raised(tmp_path: Path) -> None:
    with Session.launch(write(tmp_path, "import dsviz as ds\n1 / 0\n"), stderr=subprocess.DEVNULL) as session:
        stop = session.wait(60)
        assert (stop.reason, stop.line) == ("exception", 2)
        stop = session.resume(60)
        assert (stop.state, stop.status) == ("failed", 1)
        assert "ZeroDivisionError" in stop.text
        assert "train.py:2" in stop.text


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("print('nothing to do')\n", 0, "finished before any node ran"),
        ("import sys\nsys.exit(7)\n", 7, "exit status 7"),
        ("import os\nos._exit(9)\n", 9, "exit status 9"),
        ("raise SystemExit('no data')\n", 1, "exit status 1"),
    ],
)
def test_a_script_that_ends_before_any_node(tmp_path: Path, source: str, status: int, says: str) -> None:
    script = write(tmp_path, source)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with Session.launch(script, **quiet) as session:
        stop = session.wait(60)
        assert stop.state in ("finished", "failed")
        assert stop.status == status
        assert says in stop.text


def test_megabytes_of_output_pass_through_whole(tmp_path: Path) -> None:
    done = headless(tmp_path, TWO_NODES + "for i in range(40_000):\n    print(f'{i:099d}')\n")
    assert done.returncode == 0
    lines = re.findall(r"^\d{99}$", done.stdout, re.MULTILINE)
    assert [int(line) for line in lines] == list(range(40_000))


def test_standard_input_belongs_to_the_script(tmp_path: Path) -> None:
    done = headless(tmp_path, TWO_NODES + "print(input()[::-1], input())\n", "olleh\nworld\n")
    assert done.returncode == 0
    assert "hello world" in done.stdout


def test_arguments_and_name_are_as_under_python(tmp_path: Path) -> None:
    source = (
        "import sys, __main__\nprint(sys.argv[1:], __name__, sys.path[0], __main__.__file__ == sys.argv[0])\n"
    )
    done = headless(tmp_path, source, "", "--port", "x y")
    assert f"['--port', 'x y'] __main__ {tmp_path} True" in done.stdout


def test_a_layouts_file_beside_the_script_is_its_own(tmp_path: Path) -> None:
    write(tmp_path, "mine = 'my layouts'\n", "layouts.py")
    done = headless(tmp_path, "import layouts\n" + TWO_NODES + "print(layouts.mine)\n")
    assert done.returncode == 0
    assert "my layouts" in done.stdout


def served(folder: Path, source: str, *options: str) -> subprocess.Popen[str]:
    command = [*DSVIZ, "--no-browser", "--port", "0", *options, write(folder, source)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV,
        start_new_session=True,
    )  # fmt: skip


def left_of(group: int) -> list[int]:
    """Processes of the group that still run (zombies and our own child do not)."""
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                left.append(int(entry.name))
    return left


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes through Linux's /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_paused_program_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path, TWO_NODES) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert "Traceback" not in out + err
        assert left_of(process.pid) == []


def test_the_address_is_the_first_line_and_only_this_machine_is_served(tmp_path: Path) -> None:
    with served(tmp_path, TWO_NODES) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"dsviz: http://127\.0\.0\.1:(\d+)/\?token=[\w-]{43,}\n", line)
        assert match, line
        with socket.create_connection(("127.0.0.1", int(match[1])), timeout=60):
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [*DSVIZ, "--no-browser", "--port", str(port), write(tmp_path, "print('ran')\n")]
        done = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=60)
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert "ran" not in done.stdout


def test_sigkill_in_the_middle_names_the_op(tmp_path: Path) -> None:
    source = "import os, signal\nimport dsviz as ds\nx = ds.ones(3)\ny = ds.exp(x)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    with Session.launch(write(tmp_path, source)) as session:
        assert session.wait(60).reason == "entry"
        stop = session.resume(60)
        assert (stop.state, stop.status, stop.op, stop.line) == ("killed", -9, "exp", 4)
        assert "SIGKILL after exp" in stop.text
        assert len(session.store.nodes) == 2  # the graph stays: the leaf and the op


def test_the_mismatch_is_explained_and_the_status_is_the_scripts() -> None:
    done = subprocess.run(
        [*DSVIZ, "--headless", str(ROOT / "demos" / "shape_bug.py")],
        capture_output=True, text=True, env=ENV, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Expected [batch, 128], got [1, 64]" in done.stderr
    assert "Shape mismatch, stopped before linear in net.head" in done.stderr
    assert "ShapeMismatchError" in done.stderr
