"""What strangers may send or leave lying around, as functions of bytes: each takes anything, and raises only what it may.

`tests/test_fuzz.py` gives them seeds that are bent a little; `tests/benchmarks/fuzz.py` runs them for as long as one likes,
led by the coverage.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import socket
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

import engine as ds
from dsviz import events, saved
from dsviz.debuggee.breakpoints import Table, checked, no_expression
from dsviz.debuggee.simple import comparison, decided
from dsviz.opened import Opened
from dsviz.playback import Playback
from dsviz.query.node import describe
from dsviz.recorded import record
from dsviz.recording.format import RecordingError
from dsviz.store import GraphStore
from dsviz.terminal_places import breakpoint_of
from dsviz.web.live import Refusal, parse
from dsviz.web.verbs import Verbs
from dsviz.wire import control, ring
from engine.config import ConfigError
from engine.files import FileFormatError

FOLDER = Path(tempfile.mkdtemp(prefix="dsviz-fuzz-"))


@functools.cache
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
    store = GraphStore(read=lambda path: None)  # sources are not what comes from strangers here
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        try:
            some = events.decode(data[at + 2 : at + 2 + size])
        except msgspec.MsgspecError:
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


def of_ring(data: bytes) -> None:
    """A ring's file, and the records in it."""
    path = FOLDER / "given.ring"
    path.write_bytes(data)
    try:
        reader = ring.RingReader(str(path))
    except ValueError:
        return
    store = GraphStore(read=lambda path: None)  # sources are not what comes from strangers here
    try:
        for entry in reader.read():
            store.feed_many(events.decode(entry))
    except msgspec.MsgspecError:
        pass
    finally:
        reader.breadcrumb()
        reader.close()


def of_breakpoint(data: bytes) -> None:
    """A breakpoint as it is typed: its kind, its condition, its hit count, its log text."""
    text = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(ValueError):
        kind, fields = breakpoint_of(text, __file__)
        item = checked(1, kind, fields)
        assert item.label
        Table([item])
        compared = comparison(item.condition) if item.condition else None
        if compared is not None:
            decided(compared, None, {"shape": (2, 3), "norm": 1.5, "op": "relu", "phase": "forward"})


def of_watch(data: bytes) -> None:
    """A watch expression, and a file of breakpoints and watches."""
    text = data.decode("utf-8", "surrogateescape")
    no_expression(text)
    with contextlib.suppress(ValueError):
        saved.read(text, str(FOLDER), "given.json")


_opened: list[Verbs] = []


def of_request(data: bytes) -> None:
    """What a page may send: a request of any kind on an opened recording."""
    if not _opened:
        program()
        _opened.append(Verbs(Opened(FOLDER / "seed.dsviz")))
    with contextlib.suppress(Refusal):
        _, request = parse(data.decode("utf-8", "surrogateescape"))
        answer = _opened[0].answer(request)
        msgspec.json.encode(events.cleaned(answer))


def of_weights(data: bytes) -> None:
    """A file of weights."""
    path = FOLDER / "given.safetensors"
    path.write_bytes(data)
    with contextlib.suppress(FileFormatError):
        ds.load(path)


def _framed(some: list[events.AnyEvent]) -> bytes:
    records = [events.encoder.encode(event) for event in some]
    return b"".join(len(r).to_bytes(2, "big") + r for r in records if len(r) < 1 << 16)


def _messages() -> bytes:
    import struct

    texts = [{"t": "hello", "version": 1}, {"t": "go", "verb": "next", "number": 3}, {"t": "reply", "id": 1}]
    encoded = [msgspec.msgpack.encode(text) for text in texts]
    return b"".join(struct.pack("<I", len(e)) + e for e in encoded)


def _onnx() -> bytes:
    from engine import onnx

    path = FOLDER / "seed.onnx"
    net = ds.nn.Sequential(ds.nn.Linear(2, 3), ds.nn.ReLU(), ds.nn.Linear(3, 1))
    with ds.trace(level=2) as graph:
        net(ds.ones(2, 2))
    onnx.export(graph, path)
    return path.read_bytes()


def _ring() -> bytes:
    path = FOLDER / "seed.ring"
    path.unlink(missing_ok=True)
    writer = ring.RingWriter(str(path), 4096)
    for event in program()[:40]:
        writer.put(events.encoder.encode(event))
    writer.breadcrumb(3, 1, 2)
    writer.close()
    return path.read_bytes()


def _weights() -> bytes:
    path = FOLDER / "seed.safetensors"
    adam = {"state": [ds.ones(2), {"step": 3, "lr": 0.1, "name": None}], "pair": (ds.zeros(0, 2), True)}
    ds.save(adam, path)
    return path.read_bytes()


BREAKPOINTS = """\
op relu if shape[0] > 4 hit >= 2
if out.abs().max() > 5 and not (norm == 1.5 or op == 'relu')
predicate shape[-1] == 1
module net.head log now {out.mean().item():.3f} of {{x}}
gradient net.head.bias if norm > 10 hit % 3
memory 64M
fuzz_targets.py:12 if x is None
branch 12
data net.weight
node 7
""".splitlines()
WATCHES = [
    "loss.item()",
    "[x for x in range(3) if x % 2] + [{'a': lambda y=1, *z: y}]",
    '{"dsviz breakpoints": 1, "breakpoints": [{"kind": "line", "file": "a.py", "line": 3, "text": "x = 1"}, '
    '{"kind": "op", "name": "relu", "condition": "shape[0] > 1", "enabled": false}], "watches": ["x"]}',
]
REQUESTS = [
    {"do": "node", "node": 5},
    {"do": "look", "node": 5, "index": "0, :", "kind": "value"},
    {"do": "go_to", "node": 6},
    {"do": "breakpoint", "action": "add", "kind": "line", "file": 1, "line": 3, "condition": "x > 1"},
    {"do": "breakpoint", "action": "load", "text": WATCHES[-1]},
    {"do": "events", "from": 0, "count": 20, "only": "all"},
    {"do": "why", "question": "value", "node": 5, "dim": 0},
    {"do": "alive", "axis": "events", "x": 12},
    {"do": "turn", "group": 2, "index": 1},
    {"do": "compare", "a": 1, "b": 2},
    {"do": "variable", "file": 1, "line": 2, "name": "x"},
    {"do": "save", "file": 1, "hash": "x", "text": "y"},
    {"do": "switch", "target": "op", "name": "relu", "on": False},
    {"do": "evaluate", "text": "1 + 1", "frame": 0},
    {"do": "parameters", "module": "0"},
    {"do": "step_back", "at": 3},
]


@functools.cache
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
        "ring": [_ring()],
        "breakpoint": [text.encode() for text in BREAKPOINTS],
        "watch": [text.encode() for text in WATCHES],
        "request": [msgspec.json.encode({"id": 1, **request}) for request in REQUESTS],
        "weights": [_weights()],
    }


TARGETS: dict[str, Callable[[bytes], None]] = {
    "events": of_events,
    "control": of_control,
    "recording": of_recording,
    "config": of_config,
    "onnx": of_onnx,
    "ring": of_ring,
    "breakpoint": of_breakpoint,
    "watch": of_watch,
    "request": of_request,
    "weights": of_weights,
}


CORPUS = Path(__file__).with_name("corpus")


def corpus(name: str) -> list[bytes]:
    """Inputs that a fuzzer led by coverage found worth keeping: each a line of base64 of deflated bytes."""
    path = CORPUS / f"{name}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [zlib.decompress(base64.b64decode(line)) for line in lines]


def put_corpus(name: str, inputs: list[bytes]) -> None:
    """Replace what is kept for a target."""
    CORPUS.mkdir(exist_ok=True)
    lines = [base64.b64encode(zlib.compress(data, 9)).decode() + "\n" for data in inputs]
    (CORPUS / f"{name}.txt").write_text("".join(lines), encoding="ascii")


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
