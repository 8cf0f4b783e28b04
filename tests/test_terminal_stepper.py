"""`dsviz run --terminal`: commands through a pipe, as a person would type them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dsviz.terminal_places import breakpoint_of

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
COMMAND = [sys.executable, "-m", "dsviz", "run", "--terminal"]
PROGRAM = """\
import sys
import dsviz as ds
class Net(ds.Module):
    def __init__(self):
        super().__init__()
        self.a = ds.Linear(4, 8)
        self.b = ds.Linear(8, 2)
    def forward(self, x):
        return self.b(ds.relu(self.a(x)))
net = Net()
x = ds.ones(3, 4)
for i in range(3):
    loss = net(x).sum()
    loss.backward()
print("read", repr(sys.stdin.read()), sys.argv[1:])
sys.exit(5)
"""


def type_in(folder: Path, source: str, *lines: str, args: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """The exit status, and what was said after the start and after each of the lines."""
    path = folder / "train.py"
    path.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, str(path), *args], input="\n".join(lines) + "\n",
        capture_output=True, text=True, env=ENV, timeout=120,
    )  # fmt: skip
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout.split("(dsviz) ")


def test_stepping_looking_and_the_scripts_own_status(tmp_path: Path) -> None:
    lines = ("n", "s", "", "where", "p x.shape", "p i * 2 + 41", "args", "mem", "graph", "c")
    status, said = type_in(tmp_path, PROGRAM, *lines, args=("--port", "3"))
    assert status == 5
    start, after_n, into, again, where, shape, new, args, mem, graph, end = said
    assert "Paused before linear in net.a  [entry]" in start
    assert "inputs (3, 4), (8, 4), (8,)" in start
    assert (
        f"at {tmp_path / 'train.py'}:9\n      8      def forward(self, x):\n->    9          return" in start
    )
    assert "Paused before relu in net " in after_n
    assert "Paused before module net.b (Linear)" in into
    assert "Paused before linear in net.b" in again
    assert "module net.b (Linear)" in where
    assert "train.py:13 in <module>" in where
    assert "(3, 4)" in shape
    assert new == "p i * 2 + 41\n41\n"
    assert "input 1: (2, 8)  parameter" in args
    assert "mean" in args
    assert "parameters       232 B" in mem
    assert "peak" in mem
    assert "for i in range(3)" in graph
    assert "next" in graph
    assert "read '' ['--port', '3']" in end
    assert "exit status 5" in end


def test_breakpoints_are_set_hit_listed_and_cleared(tmp_path: Path) -> None:
    lines = (
        "b op relu if i == 1", "b 13", "b op sum log turn {i}", "b if nothing_of_the_kind", "breaks", "c", "p i", "clear 4", "c", "clear 3",
        "disable 6", "breaks", "restart", "c", "p i", "q",
    )  # fmt: skip
    status, said = type_in(tmp_path, PROGRAM, *lines)
    assert status == 5  # it had ended before q
    assert "Breakpoint 3: Op relu if i == 1" in said[1]
    assert "  4  train.py:13  hit 0 times" in said[5]
    assert "log: turn 0" in said[6]
    assert "[breakpoint 4: train.py:13]" in said[6]
    assert "Breakpoint 6 (Any op if nothing_of_the_kind) cannot be decided" in said[6]
    assert said[7] == "p i\n0\n"
    assert "[breakpoint 3: Op relu if i == 1]" in said[9]
    assert "Op relu" not in said[12]
    assert "Op sum" in said[12]
    assert "disabled" in said[12]
    assert "[entry]" in said[13]
    assert "turn 2" in said[14]
    assert "exit status 5" in said[14]
    assert "restart runs it again" in said[15]


def test_a_mismatch_is_explained_whole_and_a_result_supplied(tmp_path: Path) -> None:
    source = "import dsviz as ds\nx = ds.ones(3, 4)\nz = x * 2\ny = x @ ds.ones(5, 6)\nprint('sum', y.sum().item())\n"
    status, said = type_in(
        tmp_path, source, "c", "supply nope", "supply ds.ones(3, 6)", "c", "p 1", "nonsense"
    )
    assert status == 0
    assert "ds.ones(5, 6) expects rows of 5, but x has rows of 4." in said[1]
    assert "makes 4       train.py:2  x = ds.ones(3, 4)" in said[1]
    assert "->    4  y = x @" in said[1]
    assert "NameError" in said[2]
    assert "(3, 6)" in said[3]
    assert "sum 18.0" in said[4]
    assert "The program finished." in said[4]
    assert "has ended" in said[5]
    assert "There is no command" in said[6]


def test_bad_input_is_a_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    bad = {
        "frobnicate": "There is no command 'frobnicate'",
        "n 3": "'n' takes no '3'",
        "p nonsense": "NameError: name 'nonsense' is not defined",
        "p (": "SyntaxError",
        "p": "an expression was expected",
        "b": "FILE:LINE",
        "b frob": "There is no breakpoint kind 'frob'",
        "b op rellu": "So far there is no op 'rellu'; near are relu",
        "b 99": "train.py has 16 lines",
        "b nofile.py:3": "There is no file nofile.py",
        "b if out.sum(": "is no Python expression",
        "b memory 64Q": "'64Q' is no size",
        "b op": "say which",
        "b node zero": "Expected a node's number, got 'zero'",
        "graph relu": "graph takes module=PATH",
        "graph depth=x": "depth has to be a whole number",
        "graph module=nett": "there is no module 'nett'",
        "clear 77": "There is no breakpoint 77",
        "clear": "Expected a breakpoint's number",
        "to nowhere": "Expected a line",
        "to": "to N runs to a node, to FILE:LINE to a line",
        "supply 3": "only at a stop before an op that cannot run",
        "\N{SNOWMAN}": "There is no command",
    }
    status, said = type_in(tmp_path, PROGRAM, *bad, "n", "q")
    assert status == 0
    for answer, (line, expected) in zip(said[1:], bad.items(), strict=False):
        assert expected in answer, line
        assert "Traceback" not in answer
    assert "Paused before relu" in said[len(bad) + 1]


def test_ctrl_c_pauses_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(
        "import dsviz as ds\nx = ds.ones(2)\nprint('on', flush=True)\nwhile True:\n    x = x * 1\n"
    )
    with subprocess.Popen(
        [*COMMAND, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENV,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        seen = []
        while "-> " not in (line := process.stdout.readline()):
            assert line, seen
            seen.append(line)
        process.stdin.write("c\n")
        process.stdin.flush()
        while "(dsviz) c" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate("p x.shape\nq\n", timeout=60)
    assert process.returncode == 0
    assert "Paused before mul" in rest
    assert "(2,)" in rest


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ("shape", "shape mismatch", {}),
        ("shape mismatch hit 3", "shape mismatch", {"hit": "3"}),
        ("nan", "nan", {}),
        ("module net.a", "module", {"name": "net.a"}),
        ("node 7", "node", {"node": 7}),
        ("if shape[0] > 4 if phase else 0 hit % 2", "if", {"condition": "shape[0] > 4 if phase else 0", "hit": "% 2"}),
        ("gradient if norm > 10", "gradient", {"condition": "norm > 10"}),
        ("gradient net.a.weight", "gradient", {"name": "net.a.weight"}),
        ("memory 1K", "memory", {"limit": 1024}),
        ("data net.a.weight log moved {i}", "data", {"name": "net.a.weight", "log": "moved {i}"}),
    ],
)  # fmt: skip
def test_how_a_breakpoint_is_written(text: str, kind: str, fields: dict[str, object]) -> None:
    assert breakpoint_of(text, "train.py") == (kind, fields)


def test_options_that_contradict(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("pass\n")
    done = subprocess.run(
        [*COMMAND, "--headless", str(tmp_path / "a.py")], capture_output=True, text=True, env=ENV, timeout=60
    )
    assert done.returncode == 2
    assert "--headless has no meaning beside it" in done.stderr


def test_a_closed_output_ends_it_quietly(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("import dsviz as ds\nx = ds.ones(2)\nwhile True:\n    x = x * 1\n")
    with subprocess.Popen(
        [*COMMAND, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENV,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write("n\n" * 3)
        process.stdin.flush()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_back_into_the_past_and_forward_again(tmp_path: Path) -> None:
    source = "import dsviz as ds\nx = ds.ones(3)\ny = x * 2\nz = y + 1\nprint('sum', z.sum().item())\nraise SystemExit(5)\n"
    status, said = type_in(tmp_path, source, "n", "n", "back", "p y", "rc", "n", "now", "c", "back", "q")
    assert "Paused before sum" in said[2]
    assert "In the past: before add" in said[3]
    assert "->    4  z = y + 1" in said[3]
    assert "This moment is past" in said[4]
    assert "In the past: paused before mul  [entry]" in said[5]
    assert "->    4" in said[6]
    assert "Paused before sum" in said[7]
    assert "exit status 5" in said[8]
    assert "In the past: before sum" in said[9]
    assert status == 5, "a look back at the end does not change how the program ended"


def test_every_kind_of_breakpoint_may_be_named_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM.replace("self.a(x))", "self.a(x).detach())"), encoding="utf-8")
    breaks = [
        "missing net.a.bias hit 1",
        "op sum log 'turn {i}'",
        "predicate shape[-1] == 8 hit 1",
        "zero",
        "branch",
    ]
    words = [each for text in breaks for each in ("--break", text)]
    done = subprocess.run(
        [sys.executable, "-m", "dsviz", "run", "--headless", *words, str(path)],
        input="", capture_output=True, text=True, env=ENV, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5
    assert "net.a.bias got no gradient from this backward pass" in done.stderr
    assert "Paused after linear" in done.stderr
    typed = subprocess.run(
        [sys.executable, "-m", "dsviz", "run", "--terminal", *words, str(path)],
        input="breaks\nc\n", capture_output=True, text=True, env=ENV, timeout=120,
    )  # fmt: skip
    assert "Breakpoint 3: Gradient of net.a.bias is missing, hit 1" in typed.stdout
    assert "Branch that goes another way" in typed.stdout
    assert "Paused after linear in net.a  [breakpoint 5: Shape if shape[-1] == 8, hit 1]" in typed.stdout
