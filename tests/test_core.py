"""The compiled core: what is told is the same to the byte, nothing leaks, and where it cannot be had Python serves."""

from __future__ import annotations

import itertools
import operator
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import core_programs
import numpy as np
import pytest

import dsviz as ds
from dsviz import events as ev
from dsviz.debuggee import core
from dsviz.debuggee.into_ring import RingOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.query.stream import PageStream
from dsviz.wire.ring import RingReader, RingWriter
from dsviz.wire.short import Reading
from engine import backpropagation, dispatch, watched
from engine import core as engines
from engine.bus import bus
from engine.native import compiler
from engine.native.extension import SWITCH, Extension
from engine.ops import arithmetic

if TYPE_CHECKING:
    from dsviz.session import Session

SCRIPT = Path(core_programs.__file__)
WAYS = ("python", "compiled", "late")


@pytest.fixture(scope="module")
def buildable() -> None:
    """Skips where there is no compiler, or no headers of Python's."""
    for extension in (engines.extension, core.extension):
        if extension.build() is None:
            assert extension.why != "the compiler failed"
            pytest.skip(f"no compiled core here: {extension.why}")


@pytest.fixture
def compiled(buildable: None) -> Iterator[None]:
    """Ops are followed by the compiled core."""
    assert core.use(wait=True)
    yield
    core.leave()


@pytest.fixture(scope="module")
def told(buildable: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each way told of each program."""
    folder = tmp_path_factory.mktemp("told")
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    environment["PYTHONPATH"] = os.pathsep.join((str(SCRIPT.parents[1]), str(SCRIPT.parent)))
    running = {
        way: subprocess.Popen(
            [sys.executable, str(SCRIPT), way, str(folder / way)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for way in WAYS
    }
    for way, process in running.items():
        said = process.communicate()[1]
        assert process.returncode == 0, f"{way}: {said}"
    return {way: pickle.loads((folder / way).read_bytes()) for way in WAYS}


def without_releases(rings: list[Any]) -> list[Any]:
    """What rings say but for when buffers were released."""
    said = []
    for head, _, _, _, _, content in rings:
        at, records = 0, []
        while at < min(head, len(content)):
            size = int.from_bytes(content[at : at + 4], "little")
            records.append(content[at + 4 : at + 4 + size])
            at += size + 7 & ~3
        # A small ring holds gaps, which are no events here.
        events = Reading().events([record for record in records if not record.startswith(b"{")])
        assert len(events) > 20
        said.append([repr(event) for event in events if type(event) is not ev.Released])
    return said


@pytest.mark.parametrize("program", [*core_programs.PROGRAMS, *core_programs.PROBED])
@pytest.mark.parametrize("way", WAYS[1:])
def test_what_is_told_is_the_same_to_the_byte(
    way: str, program: str, told: dict[str, dict[str, Any]]
) -> None:
    compared = 0
    for name, mine in told[way].items():
        if name.startswith(program + ","):
            pure = told["python"][name]
            assert mine["crumbs"] == pure["crumbs"]
            assert mine["inside"] == pure["inside"]
            if program not in core_programs.LOOSE:
                assert mine["rings"] == pure["rings"]
            elif not any(ring[4] for ring in pure["rings"]):
                assert without_releases(mine["rings"]) == without_releases(pure["rings"])
            compared += len(pure["rings"][0][5]) > 0 and pure["rings"][0][0] > 0
    assert compared == len(core_programs.WAYS)


LEAKS = """
import gc, sys
import dsviz as ds
from dsviz.debuggee import core
from dsviz.debuggee.into_ring import RingOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.wire.ring import _TAIL, RingWriter
from engine.bus import bus

assert core.use(wait=True)
ring = RingWriter(sys.argv[1], 8 << 20)
tracer = Tracer(bus, lambda: RingOutlet(ring), level=1)
net = ds.Sequential(ds.Linear(2, 3), ds.Tanh(), ds.Linear(3, 1))
x = ds.ones(2, requires_grad=True)

def work():
    for _ in range(40):
        y = x
        for _ in range(5):
            y = y * 1.5 + x
        net(y).sum().backward()
        x.grad = None
        for parameter in net.parameters():
            parameter.grad = None
        for _ in range(2):
            try:
                y + ds.ones(3)
            except ValueError:
                y - 1
    ring._words[_TAIL] = ring.head  # read

for _ in range(9):
    work()
    gc.collect()
    print(sys.getallocatedblocks())
tracer.close()
ring.close()
"""


def test_nothing_leaks(buildable: None, tmp_path: Path) -> None:
    # In a process of its own: threads that other tests left would be counted.
    ran = subprocess.run(
        [sys.executable, "-c", LEAKS, str(tmp_path / "ring")], capture_output=True, text=True, check=True
    )
    blocks = [int(line) for line in ran.stdout.split()]
    assert len(blocks) == 9
    # Caches fill, ever more slowly; an object an op would be 800 and more a turn.
    assert blocks[-1] - blocks[3] < 1000, blocks


def test_its_times_are_those_of_the_clock(compiled: None, tmp_path: Path) -> None:
    ring = RingWriter(str(tmp_path / "ring"), 1 << 20)
    tracer = Tracer(bus, lambda: RingOutlet(ring), level=1)
    x = ds.ones(64, 64, requires_grad=True)
    for _ in range(40):
        (x @ x).sum().backward()
    ended = perf_counter_ns() - tracer.began
    cost = tracer.lane().cost
    tracer.close()
    reader = RingReader(ring.path)
    ops = [event for event in Reading().events(list(reader.read())) if isinstance(event, ev.Op)]
    assert len(ops) == 160
    assert all(a.start + a.duration <= b.start for a, b in itertools.pairwise(ops))
    assert all(op.duration > 0 for op in ops)
    assert ops[-1].start + ops[-1].duration <= ended
    assert 0 < cost < ended
    assert tracer.overhead > 0
    reader.close()
    ring.close()


def test_the_functions_are_put_in_place_and_back(compiled: None) -> None:
    assert core.used()
    assert engines.used()
    assert dispatch.followed is watched.followed is not engines._PYTHON["followed"]
    assert core.why() == ""
    core.leave()
    assert dispatch.followed is watched.followed is engines._PYTHON["followed"]
    assert not core.used()


def test_a_sink_takes_the_place_of_another() -> None:
    seen: list[str] = []
    handle = bus.subscribe(lambda kind, node: seen.append("first"), "op_start", arguments=False)
    other = bus.subscribe(lambda kind, node: seen.append("other"), "op_start", arguments=False)
    x = ds.ones(2)
    x + 1
    handle.replace(lambda kind, node: seen.append("second"))
    x + 1
    handle.close()
    x + 1
    other.close()
    assert seen == ["first", "other", "second", "other", "other"]
    assert not bus.op_start


def shape_of_graph(tensors: list[Any]) -> list[Any]:
    """Every node behind some tensors, with what it holds."""
    found: list[Any] = []
    numbers: dict[int, int] = {}
    waiting = [tensor.node for tensor in tensors]
    while waiting:
        node = waiting.pop(0)
        if node is None or id(node) in numbers:
            continue
        numbers[id(node)] = len(numbers)
        found.append(node)
        waiting += node.inputs
    return [
        (
            node.op and node.op.name, node.shape, node.dtype, node.kwargs, node.line, node.code, node.depth, node.requires,
            node.stamp, [None if source is None else numbers[id(source)] for source in node.inputs],
            [numbers.get(id(one), one.tobytes() if hasattr(one, "tobytes") else one) for one in node.saved],
        )
        for node in found
    ]  # fmt: skip


def applications() -> list[Any]:
    """Ops of one and two arguments of all sorts; what they made, or the error they raised."""
    x, y = (
        ds.tensor([[0.5, 1.5], [-2.0, 3.0]], requires_grad=True),
        ds.tensor([2.0, -1.0], requires_grad=True),
    )
    plain, whole, wide = ds.ones(2), ds.tensor([1, 2]), ds.ones(2).to(ds.float64)
    weight = ds.nn.Parameter(ds.ones(2, 2))
    made: list[Any] = []
    large = ds.ones(200, 200)
    operands = (x, y, plain, whole, wide, weight, large, 2, 0.5, True, np.ones(2))
    for a in operands:
        for b in operands:
            # Two shapes that clash are explained, and that takes long.
            if a is x or b is x or (isinstance(a, ds.Tensor) and b is not large and a is not large):
                for op in (
                    operator.add, operator.mul, operator.truediv, operator.pow, operator.gt, operator.matmul, ds.maximum,
                ):  # fmt: skip
                    try:
                        made.append(op(a, b))
                    except Exception as error:  # noqa: BLE001 - it is compared
                        made.append((type(error), str(error)))
    for a in (x, plain, weight, whole, ds.zeros(0), large):
        made += [op(a) for op in (ds.exp, ds.tanh, ds.relu, operator.neg, ds.abs, ds.isnan, ds.sigmoid)]
    with ds.no_grad():
        for _ in range(60):
            plain = plain * 1.5 - y
        made.append(x * y)
    return [*made, plain, (x * x).sum(0) + y]


def test_ops_applied_by_it_make_the_same_graph(buildable: None) -> None:
    module = engines.extension.ready()
    graphs = []
    for way in (None, module):
        engines.apply_by(way)
        with np.errstate(all="ignore"):
            made = applications()
        tensors = [one for one in made if isinstance(one, ds.Tensor)]
        errors = [one for one in made if not isinstance(one, ds.Tensor)]
        graphs.append((shape_of_graph(tensors), errors, [one.array.tobytes() for one in tensors]))
        (made[-1] * made[-1]).sum().backward()
        graphs[-1] += (made[-1].grad_fn is None,)
    engines.apply_by(None)
    assert graphs[0][1] == graphs[1][1]
    assert len(graphs[0][0]) > 400
    assert len(graphs[0][1]) > 10
    assert graphs[0] == graphs[1]


def test_a_program_that_trains_on_is_applied_by_it(buildable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backpropagation, "_passes", itertools.count(1))
    monkeypatch.setattr(backpropagation, "_quick", False)
    engines.apply_by(None)
    x, seen = ds.ones(2, requires_grad=True), []
    for _ in range(backpropagation.QUICKEN):
        seen.append(type(dispatch.binary).__name__)
        (x * 2).sum().backward()
    assert set(seen) == {"function"}
    assert type(dispatch.binary).__name__ == "builtin_function_or_method"
    assert arithmetic.binary is dispatch.binary
    engines.apply_by(None)
    assert type(arithmetic.binary).__name__ == "function"


def test_a_debugger_may_come_to_a_program_that_is_applied_by_it(buildable: None) -> None:
    code = (
        "import sys\nimport dsviz as ds\nfrom engine import core\n"
        "core.apply_by(core.extension.build())\n"
        "assert not [n for n in sys.modules if n.startswith('dsviz.debuggee')]\n"
        "ds.listen(0)\n"
        "x = ds.ones(2, requires_grad=True)\n(x * 2).sum().backward()\nprint(x.grad.tolist())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "[2.0, 2.0]\n", ran.stderr


def test_it_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    extension = Extension("engine_core", engines.extension.source)
    monkeypatch.setenv(SWITCH, "0")
    assert extension.ready() is None
    assert extension.build() is None
    assert extension.why == "DSVIZ_CORE=0 refuses it"


def test_where_it_cannot_be_had_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    wrong = tmp_path / "wrong.c"
    wrong.write_text("this is no C\n")
    if compiler.compiler() is not None:
        failing = Extension("wrong", str(wrong))
        assert failing.build() is None
        assert failing.why in ("the compiler failed",) or "headers" in failing.why
    with monkeypatch.context() as patched:
        patched.setattr(compiler, "compiler", lambda: None)
        without = Extension("wrong", str(wrong))
        assert without.ready() is None
        assert without.why == "there is no C compiler"
    monkeypatch.setattr(compiler, "compiler", lambda: "/bin/true")
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    headless = Extension("wrong", str(wrong))
    assert headless.ready() is None
    assert headless.why == f"Python's headers are not in {tmp_path}"


def test_what_it_is_handed_is_checked(compiled: None) -> None:
    module = engines.extension.ready()
    assert module is not None
    for call in (lambda: module.bind({}, None), lambda: module.begin(1), lambda: module.followed(1, 2, 3)):
        with pytest.raises(TypeError):
            call()
    ours = core.extension.ready()
    assert ours is not None
    with pytest.raises(TypeError, match="a tracer"):
        ours.sinks(object())
    with pytest.raises(TypeError, match="misses Watched"):
        ours.bind({}, None)


def test_a_session_knows_why_ops_are_followed_in_python(
    monkeypatch: pytest.MonkeyPatch, session_of: Callable[[str], Session]
) -> None:
    monkeypatch.setenv(SWITCH, "0")
    session = session_of("import dsviz as ds\nds.ones(2) + 1\n")
    assert session.store.core == "DSVIZ_CORE=0 refuses it"
    assert any(message.get("core") == session.store.core for message in PageStream(session.store).collect())
