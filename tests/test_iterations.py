"""Two iterations compared: what came and went, what has another shape or ran more often, and the numbers."""

from __future__ import annotations

from pathlib import Path

from dsviz.query.iterations import compare, iterations
from dsviz.session import Session

PROGRAM = """
import dsviz as ds
net = ds.Linear(3, 3)
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for rows in (2, 2, 5):
    x = net(ds.ones(rows, 3))
    for _ in range(rows):
        x = ds.tanh(x)
    if rows == 5:
        x = ds.relu(x)
    optimizer.zero_grad()
    x.sum().backward()
    optimizer.step()
"""


def test_two_iterations_are_compared(tmp_path: Path) -> None:
    script = tmp_path / "growing.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with Session.launch(script, pause_at_entry=False) as session:
        session.wait(60)
        with session.store.lock:
            same, other = compare(session.store, 0, 1), compare(session.store, 1, 2)
            rows = iterations(session.store)["rows"]
    assert same["only_a"] == same["only_b"] == same["changed"] == []
    assert [one["label"] for one in other["only_b"] if not one["label"].endswith("'")] == ["relu"]
    changed = {one["label"]: one for one in other["changed"]}
    assert changed["linear"]["a"] == {"shape": [2, 3], "dtype": "float32", "times": 1}
    assert changed["linear"]["b"] == {"shape": [5, 3], "dtype": "float32", "times": 1}
    assert changed["tanh"]["b"]["times"] == 5
    assert other["numbers"]["a"]["nodes"] < other["numbers"]["b"]["nodes"]
    assert other["numbers"]["b"]["peak"] >= other["numbers"]["a"]["peak"] > 0
    assert rows[1]["same"] is True
    assert rows[2]["added"] >= 1


PENALTY = """
import dsviz as ds
ds.manual_seed(0)
net = ds.Linear(3, 1)
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    x = ds.ones(2, 3, requires_grad=True)
    slope, = ds.autograd.grad(net(x).sum() * 0, x, create_graph=True)
    optimizer.zero_grad()
    (slope.norm() + net(x).mean() + 70).backward()
    optimizer.step()
"""


def test_a_gradient_that_is_differentiated_itself_is_a_part_of_its_iteration(tmp_path: Path) -> None:
    script = tmp_path / "penalty.py"
    script.write_text(PENALTY, encoding="utf-8")
    with Session.launch(script, pause_at_entry=False) as session:
        session.wait(60)
        rows = iterations(session.store)["rows"]
    assert len(rows) == 3
    assert all(row["loss"] > 50 for row in rows), "the loss, and not what the penalty began from"
