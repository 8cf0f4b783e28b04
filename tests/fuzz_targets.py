"""What strangers may send or leave lying around, as functions of bytes: each takes anything, and raises only what it may.

`tests/test_fuzz.py` gives them seeds that are bent a little; `tests/benchmarks/fuzz.py` runs them for as long as one likes,
led by the coverage.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

import engine as ds
from dsviz import events
from dsviz.playback import Playback
from dsviz.query.node import describe
from dsviz.recorded import record
from dsviz.recording.format import RecordingError
from dsviz.store import GraphStore
from dsviz.wire import control
from engine.config import ConfigError

FOLDER = Path(tempfile.mkdtemp(prefix="dsviz-fuzz-"))


def program() -> list[events.AnyEvent]:
    """The events of a small program: branches, a loop, modules, gradients, an optimizer."""
    path = FOLDER / "seed.dsviz"
    with record(path, level=2):
        net = ds.nn.Sequential(ds.nn.Linear(2, 3), ds.nn.ReLU(), ds.nn.Linear(3, 1))
        sgd = ds.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            sgd.zero_grad()
            net(ds.ones(2, 2)).sum().backward()
            sgd.step()
    with Playback(str(path)) as run:
        return list(run.reader.events(0, run.reader.count))


def of_events(data: bytes) -> None:
    """The records of a ring: whatever decodes is taken by the store, which then describes what it holds."""
    store = GraphStore()
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        try:
            some = events.decode(data[at + 2 : at + 2 + size])
        except (msgspec.MsgspecError, RecursionError):
            break
        store.feed_many(some)
        at += 2 + size
    store.output()
    assert store.files is not None
    for node in list(store.nodes)[:20]:
        describe(store, node)


def of_control(data: bytes) -> None:
    """The control channel before and after trust."""
    for trusted in (False, True):
        here, there = socket.socketpair()
        channel = control.Channel(here)
        if trusted:
            channel.trust()
        there.sendall(data[: 1 << 15])
        there.close()
        try:
            while channel.receive(1.0) is not None:
                pass
        except (EOFError, control.ControlError):
            pass
        finally:
            channel.close()


def of_recording(data: bytes) -> None:
    """A file that says it is a recording."""
    path = FOLDER / "given.dsviz"
    path.write_bytes(data)
    try:
        with Playback(str(path)) as run:
            for _ in run.reader.events(0, run.reader.count):
                pass
    except RecordingError:
        pass


def of_config(data: bytes) -> None:
    """A configuration file."""
    path = FOLDER / "given.yaml"
    path.write_bytes(data)
    try:
        with ds.load_config(path):
            pass
    except ConfigError:
        pass


def of_onnx(data: bytes) -> None:
    """An ONNX file, loaded and run where it says what it takes."""
    from engine import onnx
    from engine.onnx.load import LoadError

    path = FOLDER / "given.onnx"
    path.write_bytes(data)
    with contextlib.suppress(LoadError):
        onnx.load(path)


def _framed(some: list[events.AnyEvent]) -> bytes:
    records = [events.encoder.encode(event) for event in some]
    return b"".join(len(r).to_bytes(2, "big") + r for r in records if len(r) < 1 << 16)


def _messages() -> bytes:
    import struct

    texts = [{"t": "hello", "version": 1}, {"t": "go", "verb": "next", "number": 3}, {"t": "reply", "id": 1}]
    encoded = [msgspec.msgpack.encode(text) for text in texts]
    return b"".join(struct.pack(">I", len(e)) + e for e in encoded)


def _onnx() -> bytes:
    from engine import onnx

    path = FOLDER / "seed.onnx"
    net = ds.nn.Sequential(ds.nn.Linear(2, 3), ds.nn.ReLU(), ds.nn.Linear(3, 1))
    with ds.trace(level=2) as graph:
        net(ds.ones(2, 2))
    onnx.export(graph, path)
    return path.read_bytes()


def seeds() -> dict[str, list[bytes]]:
    """For each target, inputs it takes as they are."""
    ran = program()
    return {
        "events": [_framed(ran), _framed(ran[:40])],
        "control": [_messages()],
        "recording": [(FOLDER / "seed.dsviz").read_bytes()],
        "config": [
            b"graph_config:\n  trace_level: 2\n  amp: true\n  loss_scaling: dynamic\n  keep_fp32: 0.5\n"
        ],
        "onnx": [_onnx()],
    }


TARGETS: dict[str, Callable[[bytes], None]] = {
    "events": of_events,
    "control": of_control,
    "recording": of_recording,
    "config": of_config,
    "onnx": of_onnx,
}


def bent(seed: bytes, rng: np.random.Generator) -> bytes:
    """A seed with a few bytes changed, cut, doubled, moved or put in."""
    data = bytearray(seed)
    for _ in range(int(rng.integers(1, 6))):
        if not data:
            break
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 9))
        kind = int(rng.integers(6))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at : at + size] = rng.integers(0, 256, size, np.uint8).tobytes()
        elif kind == 2:
            del data[at : at + size * int(rng.integers(1, 40))]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            data[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xC0, 0xDF, 0xFF]))
        else:
            to = int(rng.integers(len(data)))
            data[to : to + size] = data[at : at + size]
    return bytes(data)
