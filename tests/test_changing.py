"""At a stop: what is changed there is what the program goes on with, in every phase."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from test_session import TRAIN, WAIT, line
from test_terminal_stepper import PROGRAM, type_in

SOURCE = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.head = ds.Linear(3, 2)
        self.scale = 1.0

    def forward(self, x):
        count = 2
        def doubled():
            return x * count
        h = ds.relu(doubled())
        return self.head(h) * self.scale

net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for turn in range(2):
    loss = net(ds.ones(2, 3)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss)
"""


def test_locals_closures_attributes_and_parameters_are_changed(session_of: Any) -> None:
    session = session_of(SOURCE)
    session.run_to_line(session.script, line("ds.relu", SOURCE), WAIT)
    session.evaluate("count = 5; x = ds.ones(2, 3) * 4; extra = [n for n in range(count)]")
    session.evaluate("self.scale = 0.5; self.head.weight.data[:] = 1.0; self.head.bias.data.fill_(0.0)")
    session.run_to_line(session.script, line("self.head(h)", SOURCE), WAIT)
    assert session.evaluate("count, extra, float(x[0, 0])") == "(5, [0, 1, 2, 3, 4], 4.0)"
    session.run_to_line(session.script, line("loss.backward()", SOURCE), WAIT)
    assert session.evaluate("float(loss.item())") == "12.0", "4 sums of 3 twos, halved"
    assert session.evaluate("net.scale") == "0.5"


def test_a_value_on_its_way_and_a_gradient_are_changed(session_of: Any) -> None:
    session = session_of(SOURCE)
    session.run_to_line(session.script, line("self.head(h)", SOURCE), WAIT)
    h = session.next(WAIT).pending["inputs"][0]
    assert session.set_value(h, "1, :2", "[7.0, 8.0]")["values"] == [2.0, 2.0, 2.0, 7.0, 8.0, 2.0]
    assert session.look(h, "1")["rows"] == [[7.0, 8.0, 2.0]]
    session.add_breakpoint("op", name="sgd")
    stop = session.resume(WAIT)
    assert (stop.op, stop.phase, stop.line) == ("sgd", 2, line("optimizer.step()", SOURCE))
    assert session.evaluate("net.head.weight.grad[0].tolist()") == "[9.0, 10.0, 4.0]", (
        "it was used in the backward pass"
    )
    weight, gradient = stop.pending["inputs"]
    before = session.inspect(weight)["values"]
    assert session.set_value(gradient, "", "ds.zeros(2, 3)")["shape"] == [2, 3]
    assert session.evaluate("net.head.weight.grad.tolist()[1]") == "[0.0, 0.0, 0.0]"
    session.next(WAIT)
    assert session.inspect(weight)["values"] == before, "a gradient of zero moves nothing"


def test_each_update_of_the_optimizer_is_a_step(session_of: Any) -> None:
    session = session_of(SOURCE)
    session.run_to_line(session.script, line("optimizer.step()", SOURCE), WAIT)
    stop = session.stop_now
    assert stop is not None
    assert (stop.op, stop.phase) == ("sgd", 2)
    first = stop.pending["inputs"][0]
    stop = session.into(WAIT)
    assert (stop.op, stop.phase) == ("sgd", 2)
    assert stop.pending["inputs"][0] != first, "the next parameter"
    assert session.next_line(WAIT).line < stop.line, "the rest of the step is one line"
    session.run_to_line(session.script, line("optimizer.step()", SOURCE), WAIT)
    assert session.over(WAIT).op == "sgd"
    assert session.next_iteration(WAIT).state == "finished"


def test_the_terminal_leads_a_backward_node_to_its_forward_line(tmp_path: Path) -> None:
    status, said = type_in(tmp_path, PROGRAM, "b op relu'", "c", "args", "where", "clear all", "c")
    assert status == 5
    at = said[2]
    assert "Paused before relu' in net" in at
    assert re.search(r"train\.py:9\n", at)
    assert re.search(r"node \d+, the gradient of node \d+", at)


def test_the_terminal_tells_a_failing_condition_again_after_a_restart(tmp_path: Path) -> None:
    status, said = type_in(tmp_path, PROGRAM, "b op sum if 1 / 0", "c", "restart", "c")
    assert status == 5
    assert "cannot be decided" in said[2]
    assert "ZeroDivisionError" in said[4]


def test_a_backward_stop_names_its_twin(session_of: Any) -> None:
    session = session_of(TRAIN)
    session.add_breakpoint("op", name="tanh'")
    stop = session.resume(WAIT)
    assert stop.line == line("ds.tanh")
    assert session.store.text(session.store.nodes[stop.pending["twin"]].op) == "tanh"
