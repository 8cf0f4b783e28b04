"""What the debugger shows of the engine's own doings: configuration, types, reuse, parts, drift, restructuring while paused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dsviz as ds
from dsviz import Session
from dsviz.inprocess import store_of
from dsviz.query import drift, jit, partitions, precision, settings
from dsviz.query.engine import engine
from dsviz.query.iterations import compare
from dsviz.session import Refused
from engine.native.compiler import compiler

ROOT = Path(__file__).resolve().parents[1]
QUIET = {"stdout": subprocess.DEVNULL}

PROGRAM = """\
import dsviz as ds
ds.manual_seed(0)
class Net(ds.Module):
    def __init__(self):
        self.attn = ds.MultiheadAttention(8, 2, batch_first=True)
        self.head = ds.Linear(8, 3)
    def forward(self, x):
        return self.head(self.attn(x, x, x, need_weights=False)[0])
net = Net()
fixed = ds.Linear(4, 8)
fixed.requires_grad_(False)
fixed.trace_(False, reuse=True)
x = ds.ones(2, 5, 4)
with ds.trace(level=2) as trace:
    ds.relu(x) + ds.exp(x)
parts = ds.partition(trace, 2, seconds_a_byte=0, seconds_a_segment=0)
optimizer = ds.optim.Adam(net.parameters())
for step in range(6):
    loss = net(fixed(x)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step)
"""


@pytest.fixture
def session(tmp_path: Path) -> Any:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with Session.launch(script, trace_level=2, **QUIET) as found:
        found.wait(60)
        yield found


def turn(session: Any, count: int = 1) -> None:
    """To the first node of the `count`-th next iteration."""
    for _ in range(count):
        assert session.next_iteration(60).state == "paused"


def test_heads_changed_at_the_console_count_from_the_next_call_and_the_diff_shows_it(session: Any) -> None:
    turn(session, 2)
    iteration = session.stop_now.iteration
    session.evaluate("net.attn.num_heads = 4")
    session.evaluate("net.head.out_features = 5", frame=0)
    turn(session)
    found = compare(session.store, iteration - 1, iteration)
    shapes = {(item["label"], tuple(item["b"]["shape"])) for item in found["changed"]}
    assert ("scaled_dot_product_attention", (2, 4, 5, 2)) in shapes
    assert ("linear", (2, 5, 5)) in shapes
    assert (
        session.evaluate("sorted(tuple(s['exp_avg'].shape) for s in optimizer.state.values())[-1]")
        == "(24, 8)"
    )
    with pytest.raises(Refused, match=r"embed_dim|heads"):
        session.evaluate("net.attn.num_heads = 3")
    assert session.evaluate("net.attn.num_heads") == "4"  # nothing was altered


def test_configuration_is_shown_and_changed_from_here_on(session: Any) -> None:
    rows = {row["key"]: row for row in session.facts()["config"]}
    assert rows["amp"]["value"] is False
    with pytest.raises(Refused, match=r"amp takes true or false, got 'maybe'"):
        session.configure(amp="maybe")
    with pytest.raises(Refused, match=r"no key 'apm'; did you mean 'amp'"):
        session.configure(apm=True)
    turn(session)  # out of the block of `ds.trace(level=2)`, whose end brings back what was before it
    changed = settings.config_sentences(session.configure(**settings.change("amp=true loss_scaling=8")))
    assert any(line.startswith("* amp") for line in changed)
    turn(session)
    view = precision.precision(session.store, session.stop_now.iteration - 1)
    ran = {row["module"]: row["dtypes"] for row in view["layers"]}
    assert ran["net.head"] == {"float16": 1}
    assert view["casts"] > 0
    assert view["overflow"] is None
    said = "\n".join(precision.sentences(view, session.facts()["amp"]))
    assert "mixed precision is on, loss scale 8 (fixed), 0 steps left out" in said


def test_reuse_and_partition_are_told(session: Any) -> None:
    turn(session, 3)
    facts = session.facts()
    (row,) = facts["reuse"]
    assert (row["path"], row["misses"]) == ("fixed", 1)
    assert row["hits"] >= 2
    assert row["bytes"] == row["hits"] * 2 * 5 * 8 * 4
    assert "results used again" in settings.reuse_sentences(facts["reuse"])[0]
    (view,) = partitions.partitions(session.store, facts["partitions"])
    assert {part["part"] for part in view["parts"]} == {0, 1}
    assert sum(part["nodes"] for part in view["parts"]) == 3
    assert set(view["slots"].values()) <= {0, 1}
    assert len(view["slots"]) == 3
    assert view["seen"] is None
    session.evaluate("parts.run()")
    (view,) = partitions.partitions(session.store, session.facts()["partitions"])
    assert view["seen"] is not None
    assert "at once in the last run" in partitions.sentences(session.store, [view])[0]


def test_drift_over_the_iterations(session: Any) -> None:
    assert drift.drift(session.store)["iterations"] < 2
    turn(session, 4)
    session.evaluate("fixed.trace_(True)")
    view = drift.drift(session.store)
    assert view["statistics"]
    assert view["loss"][1] < view["loss"][0]  # it learns: the sum goes down
    moved = {place["label"]: place["moved"] for place in view["places"]}
    assert moved["linear"] > 0
    assert "mean loss" in "\n".join(drift.sentences(view))


def test_overflow_is_traced_to_where_it_began(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import dsviz as ds\n"
        "net = ds.Sequential(ds.Linear(4, 4), ds.ReLU(), ds.Linear(4, 1))\n"
        "with ds.graph_config(amp=True, loss_scaling=1.0):\n"
        "    y = net[0](ds.full((2, 4), 300.0)) * 300.0\n"
        "    z = y.to('float16') * 1000.0\n"
        "    (z.sum() + 1).item()\n",
        encoding="utf-8",
    )
    with Session.launch(script, trace_level=2, pause_at_entry=False, breakpoints=False, **QUIET) as session:
        session.wait(60)
        view = precision.precision(session.store)
    assert view["overflow"] is not None
    assert view["overflow"]["dtype"] == "float16"
    assert view["overflow"]["place"] in ("train.py:4", "train.py:5")
    assert "overflow began at" in precision.sentences(view)[-1]


def test_types_are_told_of_a_trace_and_a_recording_without_a_program() -> None:
    net = ds.Sequential(ds.Linear(3, 3), ds.Tanh())
    with ds.graph_config(amp=True), ds.trace() as graph:
        net(ds.ones(2, 3))
    view = precision.precision(store_of(graph))
    assert view["layers"] == [
        {"module": "net.0", "dtypes": {"float16": 1}, "place": view["layers"][0]["place"]}
    ]
    assert not view["statistics"]
    assert "known at trace level 2 only" in precision.sentences(view)[-1]


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
def test_what_is_compiled_is_told(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import dsviz as ds\n"
        "from engine.jit.plan import plans\n"
        "def run(x, n):\n"
        "    return ds.tanh(x * 0.5) ** n + x\n"
        "x = ds.ones(64, 96)\n"
        "with ds.graph_config(trace_level=0):\n"
        "    for n in (2, 2, 2, 3):\n"
        "        ds.jit(run)(x, n)\n"
        "        plans.wait()\n"
        "run(x, 2)\n",
        encoding="utf-8",
    )
    with Session.launch(
        script, env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}, **QUIET
    ) as session:
        assert session.wait(60).state == "paused"
        told = session.facts()["jit"]
        view = engine(session.store, "jit", session.facts)
    assert told == view["told"]
    regions = {tuple(region["ops"]): region for region in told["regions"] if region["hits"]}
    ((names, region),) = regions.items()
    assert names == ("mul", "tanh", "pow", "add")
    assert (region["state"], region["hits"], region["line"]) == ("compiled", 2, 4)
    said = "\n".join(jit.sentences(told))
    assert "train.py:4 mul tanh pow add [64, 96] float32: compiled: 2 hits, 1 misses" in said
    assert "another region here because pow of 3 instead of 2" in said


def test_the_terminal_prints_them(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM, encoding="utf-8")
    typed = "i\ni\nconfig\nconfig keep_fp32=2\nconfig amp\namp\nreuse\nparts\njit\ndrift\nq\n"
    done = subprocess.run(
        [sys.executable, "-m", "dsviz", "run", "--terminal", str(script)], input=typed, capture_output=True,
        text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = done.stdout.split("(dsviz) ")
    config, wrong, change, amp, reuse, parts, compiled, moved = said[3:11]
    assert "memory_optimization  True" in config
    assert "keep_fp32 takes a number from 0 to 1, got 2" in wrong
    assert "a change is KEY=VALUE, such as amp=true, not 'amp'" in change
    assert "mixed precision is off here" in amp
    assert "net.head  float32 ×1" in amp
    assert "fixed: " in reuse
    assert "partition 0: predicted" in parts
    assert "ops that are traced run one by one" in compiled
    assert "iterations 0 to" in moved
