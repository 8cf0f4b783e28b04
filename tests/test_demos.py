"""Every demo runs alone, as a person would run it, and says what it promises to say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEMOS = sorted((ROOT / "demos").glob("*.py"))


def run(demo: str, *under: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *under, str(ROOT / "demos" / demo)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
    )


def test_every_demo_is_run() -> None:
    named = {*SAYS, "dynamic_net.py", "variable_rnn.py", "shape_bug.py"}
    assert {demo.name for demo in DEMOS} == named


def test_dynamic_net_learns_and_takes_its_branch_on_some_batches() -> None:
    done = run("dynamic_net.py", "-m", "dsviz", "run", "--headless")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"branch taken on (\d+) of 30 batches, test accuracy ([\d.]+)%", done.stdout)
    assert len(rows) == 4
    assert any(0 < int(taken) < 30 for taken, _ in rows)
    assert float(rows[-1][1]) > 85


def test_variable_rnn_learns_from_lines_of_different_length() -> None:
    done = run("variable_rnn.py", "-m", "dsviz", "run", "--headless")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"(\d+) letters: loss of the last 20 lines ([\d.]+)", done.stdout)
    assert len({length for length, _ in rows}) > 1
    assert float(rows[-1][1]) < float(rows[0][1]) * 0.9


def test_shape_bug_dies_on_its_rare_branch_and_names_both_lines() -> None:
    done = run("shape_bug.py")
    assert done.returncode == 1
    source = (ROOT / "demos" / "shape_bug.py").read_text(encoding="utf-8").splitlines()
    wrong = next(i for i, line in enumerate(source, 1) if "self.head = " in line)
    other = next(i for i, line in enumerate(source, 1) if "self.long = " in line)
    assert "ShapeMismatchError: Expected [batch, 128], got [1, 64]" in done.stderr
    assert f"shape_bug.py:{wrong}" in done.stderr
    assert f"shape_bug.py:{other}" in done.stderr
    assert done.stdout.count("words: loss") == 12


SAYS = {
    "execution_flow.py": r"flow.svg shows \d+ nodes\nlarge buffers asked of the allocator: \d+ with the optimisation, \d+ without",
    "live_heads.py": r"two heads become four[^$]*changes nothing yet[^$]*28 parameters with a state",
    "frozen_features.py": r"19 of 20 results used again",
    "online_stream.py": r"grows to 10 classes[^$]*200 nodes in the window",
    "mixed_precision.py": r"loss scale 128.0, 0 steps left out[^$]*runs in float32",
    "sparse_attention.py": r"derivative is that of differences on 1 sample[^$]*step 120",
    "segmentation.py": r"overlap of found and true ink: 0\.[6-9]",
    "lstm_gates.py": r"gradient norms of the gates[^$]*forget",
    "resnet50_step.py": r"23,512,130 parameters in 161 tensors(\nstep \d: loss \d[.\d]+, [\d.]+ images a second){3}",
    "onnx_exchange.py": r"differs by at most \d\.\de-0[5-9] on 297 images\nread back[^$]*net_0/Conv[^$]*trained on",
    "long_run.py": r"epoch 2: loss 0\.\d+, [89]\d% right",
    "jit_attention.py": r"with and without the JIT they differ by \de-0[5-9]|differ by 0e\+00",
    "partition.py": r"the same result as unsplit: True",
    "not_finite.py": r"loss \d\.\d+\n(loss [\d.]+\n)*loss (nan|inf)",
    "configuration.py": r"at level 0 a trace holds 0 nodes\n.*no key 'trace_levl'; did you mean 'trace_level'",
}


# Under the debugger these take longest; the others run under it, which runs them as they are and shows what it stops at.
ALONE = {"live_heads.py", "frozen_features.py", "segmentation.py", "mixed_precision.py", "resnet50_step.py"}


@pytest.mark.parametrize("demo", SAYS)
def test_demo_does_what_it_says(demo: str) -> None:
    done = run(demo) if demo in ALONE else run(demo, "-m", "dsviz", "run", "--headless")
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[demo], done.stdout), done.stdout


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.stem)
def test_demo_is_short_and_says_how_to_step_it(demo: Path) -> None:
    text = demo.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert f"dsviz run demos/{demo.name}" in (ast.get_docstring(ast.parse(text)) or "")
