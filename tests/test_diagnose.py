"""`dsviz diagnose` names the line that is to blame, and says nothing of programs that are as they should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faulty import FAULTS, diagnosed, half, program, written
from healthy import HEALTHY, START

from dsviz import cli
from dsviz.commands.diagnose import stopped

ROOT = Path(__file__).resolve().parents[1]
# The program's own arithmetic may warn, as it would alone.


# Their culprits come second or third: two lines had a say, and nothing shows which of them was meant.
SECOND = {
    "conv_wrong_channels", "missing_batch_dimension_too",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda path: path.stem)
def test_the_culprit_comes_first(fault: Path, tmp_path: Path) -> None:
    text, culprit = program(fault, broken=True)
    found = diagnosed(text, tmp_path / "program.py")
    lines = [finding.line for finding in found[: 3 if fault.stem in SECOND else 1]]
    assert culprit in lines, [(f.kind, f.line, f.message) for f in found]
    for finding in found:
        assert finding.message.endswith((".", ",", ")")) or finding.kind in (
            "exception",
            "in-place change",
            "graph used twice",
        )
        assert finding.file == str(tmp_path / "program.py")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda path: path.stem)
def test_the_repaired_twin_is_silent(fault: Path, tmp_path: Path) -> None:
    text, _ = program(fault, broken=False)
    assert [(f.kind, f.line, f.message) for f in diagnosed(text, tmp_path / "program.py")] == []


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_programs_are_silent(name: str, tmp_path: Path) -> None:
    found = diagnosed(START + HEALTHY[name], tmp_path / "program.py")
    assert [(f.kind, f.line, f.message) for f in found] == []


STRANGE = {**written("fourth"), **written("fifth"), **written("sixth")}
NOT_FIRST = {
    "mean_over_classes_before_ce", "mse_reduction_sum_big_lr", "float_target_for_classes", "retained_losses_mean_later",
    "backward_on_every_other_and_step_without_grad",
}  # fmt: skip
# Nothing in the graph or the values tells what was meant.
NOT_SEEN = {
    "square_matmul_transposed_silently", "labels_off_by_one_ages", "division_by_tiny_std_constant_feature", "lr_1000x_large_adam",
    "tied_weights_untied_by_copy", "positional_encoding_added_to_batch", "kl_warmup_never_starts",
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_a_stranger_s_mistake_is_named_and_its_repair_silent(name: str, tmp_path: Path) -> None:
    text, culprit = half(STRANGE[name], broken=True)
    found = diagnosed(text, tmp_path / "program.py")
    assert bool(found) == (name not in NOT_SEEN)
    if name in NOT_FIRST:
        assert culprit in [f.line for f in found] or name == "mean_over_classes_before_ce"
    elif found:
        assert found[0].line == culprit, [(f.kind, f.line, f.message) for f in found]
    text, _ = half(STRANGE[name], broken=False)
    assert [(f.kind, f.line, f.message) for f in diagnosed(text, tmp_path / "repaired.py")] == []


ODD = written("healthy")


@pytest.mark.parametrize("name", ODD)
def test_odd_but_right_programs_are_silent(name: str, tmp_path: Path) -> None:
    found = diagnosed(ODD[name], tmp_path / "program.py")
    assert [(f.kind, f.line, f.message) for f in found] == []


DEMOS = [
    path
    for path in sorted((ROOT / "demos").glob("*.py"))
    if path.name not in ("shape_bug.py", "not_finite.py")
]


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_the_demos_are_silent(demo: Path, tmp_path: Path) -> None:
    found = diagnosed(demo.read_text(encoding="utf-8"), tmp_path / demo.name)
    assert [(f.kind, f.line, f.message) for f in found] == []


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsviz", "diagnose", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )


def test_the_command_as_a_person_types_it(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    text, culprit = program(ROOT / "tests" / "faults" / "loss_broadcasts.py", broken=True)
    script.write_text("print('my own output')\n" + text)
    done = command(str(script))
    assert done.returncode == 1
    assert f"silent broadcasting in a loss  (error)  {script}:{culprit + 1}" in done.stdout
    assert "Try: Give both one shape" in done.stdout
    done = command("--json", str(script))
    (finding,) = json.loads(done.stdout)
    assert {"kind", "severity", "file", "line", "message", "chain"} <= set(finding)
    assert finding["line"] == culprit + 1
    assert "my own output" in done.stderr
    script.write_text("import dsviz as ds\nprint(ds.ones(2) + 1)\n")
    assert command("--json", str(script)).stdout.strip() == "[]"


def test_a_program_that_exits_or_crashes_by_itself(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import dsviz as ds, sys\nds.ones(2) + 1\nsys.exit(3)\n")
    assert command(str(script)).returncode == 0
    script.write_text("def f(x):\n    return x['a']\n\nf({})\n")
    done = command(str(script))
    assert done.returncode == 1
    assert "exception  (error)" in done.stdout
    assert "KeyError: 'a'" in done.stdout
    assert f"{script}:2" in done.stdout
    script.write_text("class Mute(Exception):\n    def __str__(self): raise KeyError\nraise Mute\n")
    assert "Mute: <exception str() failed>" in command(str(script)).stdout
    script.write_text("import os\nos._exit(0)\n")
    done = command(str(script))
    assert (done.returncode, done.stdout) == (2, "")
    assert "ended the process by itself (status 0)" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no script was given"),
        (["--timeout", "soon", "x.py"], "'soon' is no time; give seconds above 0"),
        (["--jsn", "x.py"], "unrecognized arguments: --jsn"),
        (["no_such_file.py"], "there is no file"),
    ],
)
def test_wrong_words_are_refused(words: list[str], says: str, capsys: Any) -> None:
    assert cli.main(["diagnose", *words]) == cli.EXIT_USAGE
    assert says in capsys.readouterr().err


def test_a_program_that_does_not_end_is_stopped(tmp_path: Path, capsys: Any) -> None:
    script = tmp_path / "endless.py"
    script.write_text("while True: pass\n")
    assert cli.main(["diagnose", "--timeout", "1.5", str(script)]) == cli.EXIT_USAGE
    assert "still running after 1.5 s" in capsys.readouterr().err


def test_what_was_seen_of_a_program_that_was_stopped_is_told(tmp_path: Path) -> None:
    script, answer = tmp_path / "endless.py", tmp_path / "findings.json"
    text, culprit = program(ROOT / "tests" / "faults" / "loss_broadcasts.py", broken=True)
    script.write_text(text + "print('trained', flush=True)\nwhile True: pass\n")
    words = [sys.executable, "-m", "dsviz.diagnose.child", str(answer), str(script)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != b"trained":
            assert process.poll() is None
        found = stopped(process, str(answer))
    assert found[0]["line"] == culprit


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import dsviz as ds\nnet = ds.Linear(2, 2)\n",
            "imports dsviz and ended without running an op: call the model",
        ),
        ("import math\nimport numpy as np\n", "It imports numpy, not dsviz: only what is computed with"),
        ("print(3)\n", "It does not import dsviz: only"),
        ("import dsviz as ds\nds.ones(2) + 1\n", "nothing found. The program ran once"),
    ],
)
def test_a_program_without_an_op_is_told_why_nothing_was_found(
    source: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "program.py"
    script.write_text(source, encoding="utf-8")
    assert cli.main(["diagnose", str(script)]) == 0
    assert said in capfd.readouterr().out
