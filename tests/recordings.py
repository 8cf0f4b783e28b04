"""A small recording with something in every table, and the one rule for reading a damaged one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsviz import events
from dsviz.recording import Meta, Reader, Recording, Value
from dsviz.stop import Source, Stop

META = Meta(script="/home/me/train.py", args=("--epochs", "3"), python="3.11.7", started=1.5)
SOURCES = {"/home/me/train.py": "import dsviz as ds\n" * 20, "/home/me/model.py": "class Net: ...\n"}
STOP = Stop(
    "step", 7, Source("/home/me/train.py", 3), "matmul", text="Paused before matmul", pending={"a": [1]}
)
VALUES = [np.arange(12, dtype="<f4").reshape(3, 4), np.zeros(0, "<i8"), np.array(True), np.eye(9)]


OP = {
    "op": 1, "phase": 0, "shape": (32, 10), "dtype": 2, "call": 0, "frame": 1, "twin": 0, "iteration": 1,
    "duration": 500, "nbytes": 1280, "saved": 0, "attrs": {"axis": 1},
}  # fmt: skip


def op(node: int, **fields: object) -> events.Op:
    return events.Op(node=node, **{**OP, "inputs": (node - 1, 0), "start": node * 1000, **fields})


def run(nodes: int) -> list[events.AnyEvent]:
    """The events of a run with this many nodes, the first one a leaf."""
    found: list[events.AnyEvent] = [
        events.Text(1, "matmul"),
        events.Text(2, "<f4"),
        events.Frame(1, 0, 1, 3, 1, 8),
    ]
    found.append(events.Leaf(1, "parameter", "net.weight", (10, 10), 2, 400, 1))
    for node in range(2, nodes + 1):
        found += [op(node), events.Allocated(node, 1280, 2, node, node * 1000 + 400)]
    return found


def write(
    path: Path, nodes: int = 60, chunk: int = 20, before_close: Callable[[], object] = int
) -> list[events.AnyEvent]:
    """Write the recording, `chunk` events a row; what it holds."""
    some = run(nodes)
    writer = Recording.create(path, META)
    for file, text in SOURCES.items():
        writer.add_source(file, text)
    for index, array in enumerate(VALUES):
        value = Value.of(array)
        writer.append_value(value.dtype, value.shape, value.data, node=index + 2)
    for start in range(0, len(some), chunk):
        writer.extend(some[start : start + chunk])
        writer.flush()
        if start == 2 * chunk:
            writer.append_stop(STOP)
    before_close()
    writer.close("finished", 0)
    return some


def check(recording: Reader, expected: list[events.AnyEvent]) -> None:
    """Nothing read differs from what was written; what is missing is in a gap, and reported."""
    following, gaps = 0, False
    for position, batch in recording.batches():
        assert position == following
        for event in batch:
            if isinstance(event, events.Gap):
                gaps = True
                following += event.lost
            else:
                assert event == expected[following]
                following += 1
    for node in range(1, 80):
        found = recording.find(node)
        assert found is None or (found[1] == expected[found[0]] and found[1].node == node)
    stops = [stopped.stop for stopped in recording.stops()]
    sources = {path: recording.source(path) for path in recording.sources()}
    keys = {Value.of(array).key for array in VALUES}
    found_keys = {key for key in recording.values() if recording.value(key)}
    assert recording.meta in (META, Meta())
    assert stops in ([STOP], [])
    assert all(text in (SOURCES[path], None) for path, text in sources.items())
    assert found_keys <= keys
    links = {link.node for node in range(2, 6) for link in recording.values_of(node)}
    assert links <= {2, 3, 4, 5}
    damage = recording.verify()
    assert damage or not gaps
    if damage:
        return
    assert recording.meta == META
    if recording.state == "finished":
        assert (following, stops, sources, found_keys) == (len(expected), [STOP], SOURCES, keys)
        assert links == {2, 3, 4, 5}
    else:
        assert recording.state == "unfinished"
