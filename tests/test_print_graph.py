"""`ds.debug.print_graph` with filters, as JSON, and with values that cannot be."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

import dsviz as ds


class Net(ds.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = ds.Linear(4, 8)
        self.head = ds.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(ds.relu(self.first(x)))


@pytest.fixture(scope="module")
def graph() -> Any:
    net = Net()
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
    with ds.trace() as graph:
        net(ds.ones(3, 4)).masked_fill(ds.ones(3, 2) > 2, float("-inf")).sum().backward()
        optimizer.step()
    return graph


def printed(graph: Any, **only: Any) -> str:
    out = io.StringIO()
    ds.debug.print_graph(graph, out, **only)
    return out.getvalue()


def tree(text: str) -> list[str]:
    """The names in the tree, without what is beside them."""
    return [line.split("─ ")[1].split("  ")[0] for line in text.splitlines() if "─ " in line]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ({}, ["net", "first", "linear", "relu", "head", "linear", "gt", "masked_fill", "sum", "SGD"]),
        ({"module": "net.head"}, ["net", "head", "linear"]),
        ({"module": "net"}, ["net", "first", "linear", "relu", "head", "linear"]),
        ({"op": "linear"}, ["net", "first", "linear", "head", "linear"]),
        ({"op": "relu'"}, ["net", "relu'"]),
        ({"op": "relu", "phase": "backward"}, ["net", "relu'"]),
        ({"op": "linear", "module": "net.first"}, ["net", "first", "linear"]),
        (
            {"phase": "backward"},
            ["net", "first", "linear'", "relu'", "head", "linear'", "masked_fill'", "sum'"],
        ),
        ({"phase": "optimizer"}, ["SGD"]),
        ({"op": "sgd", "phase": "forward"}, []),
        ({"depth": 0}, ["net", "gt", "masked_fill", "sum", "SGD"]),
        ({"depth": 1, "module": "net"}, ["net", "first", "relu", "head"]),
    ],
)
def test_a_part_of_the_graph(graph: Any, only: dict[str, Any], names: list[str]) -> None:
    assert tree(printed(graph, **only)) == names
    view = json.loads(printed(graph, json=True, **only))
    assert view["filter"] == only


def test_what_is_folded_says_how_much_is_inside(graph: Any) -> None:
    text = printed(graph, depth=0)
    assert "net  Net  3 ops inside" in text
    assert "SGD  4 updates" in text


def test_json_is_the_same_view(graph: Any) -> None:
    text = printed(graph, module="net.head", json=True)
    assert "Infinity" not in printed(graph, json=True)
    view = json.loads(text)
    assert view["matching"] == 1
    (net,) = view["root"]["items"]
    (head,) = net["items"]
    (linear,) = [item for item in head["items"] if item["kind"] == "node"]
    assert (head["module"], linear["op"], linear["shape"], linear["dtype"]) == (
        "net.head", "linear", [3, 2], "float32",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("only", "error", "says"),
    [
        ({"module": "net.haed"}, ValueError, "no module 'net.haed' in this graph; did you mean 'net.head'"),
        ({"module": ""}, ValueError, "there are: net, net.first, net.head"),
        ({"op": "rleu"}, ValueError, "did you mean 'relu'"),
        ({"phase": "backwards"}, ValueError, "one of forward, backward, optimizer, got 'backwards'; did you"),
        ({"depth": -1}, ValueError, "got -1"),
        ({"depth": 1.5}, TypeError, "depth has to be a whole number, got float"),
        ({"depth": True}, TypeError, "got bool"),
        ({"module": 3}, TypeError, "module has to be a text, got int"),
    ],
)
def test_what_the_graph_does_not_have(
    graph: Any, only: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as raised:
        printed(graph, **only)
    assert says in str(raised.value)


def test_turns_are_counted_as_the_program_ran_them() -> None:
    """Many updates from one step, and many ops of one of the engine's modules, are no turns of the loop around."""
    attend, net = ds.nn.MultiheadAttention(4, 2), Net()
    optimizer = ds.optim.Adam([*attend.parameters(), *net.parameters()], lr=0.1)
    with ds.trace() as graph:
        for _ in range(3):
            x = ds.ones(2, 3, 4)
            for _ in range(2):
                x = ds.relu(x)
            net(attend(x, x, x)[0]).sum().backward()
            optimizer.step()
    text = printed(graph)
    assert "for _ in range(3)  ×3  turn 2 shown" in text
    assert "for _ in range(2)  ×2  turn 1 shown" in text
    assert "not run in this turn" not in text
    assert "Adam  8 updates" in text


@pytest.mark.parametrize("optimizer", [ds.optim.Adam, ds.optim.SGD])
def test_a_step_alone_counts_each_parameter_once(optimizer: Any) -> None:
    net = Net()
    made = optimizer(net.parameters(), lr=0.1)
    net(ds.ones(3, 4)).sum().backward()
    with ds.trace() as graph:
        made.step()
    out = io.StringIO()
    ds.debug.print_graph(graph, file=out)
    assert f"{optimizer.__name__}  4 updates" in out.getvalue()
