"""What a signal handler raises in the middle of an op goes on to the program: it is no failure of the op or of who watches."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

import dsviz as ds
from engine import core
from engine.bus import bus
from engine.interruption import from_handler
from engine.op import OPS

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="signals of POSIX")


class Handler:
    """A callable with a state, as a library has it."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        raise TimeoutError("too long")


def plain(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("too long")


def loose(*words: Any) -> None:
    raise TimeoutError("too long")


@pytest.fixture(params=[plain, loose, Handler()], ids=["plain", "loose", "object"])
def alarm(request: pytest.FixtureRequest) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, request.param)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("way", ["python", "compiled"])
@pytest.mark.parametrize("name", ["relu", "mul"])
def test_an_op_that_is_interrupted_is_not_run_again(
    way: str, name: str, alarm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = core.extension.build() if way == "compiled" else None
    if way == "compiled" and module is None:
        pytest.skip(f"no compiled core here: {core.extension.why}")
    calls: list[int] = []

    def interrupted(*arrays: Any) -> Any:
        calls.append(1)
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(OPS[name], "on_numpy", interrupted)
    core.apply_by(module)
    try:
        x = ds.ones(3)
        with pytest.raises(TimeoutError, match=r"^too long$"):
            ds.relu(x) if name == "relu" else x * x
    finally:
        core.apply_by(None)
    assert len(calls) == 1


def test_a_sink_that_is_interrupted_stays(alarm: None) -> None:
    seen: list[str] = []

    def sink(kind: str, node: Any) -> None:
        seen.append(kind)
        if len(seen) == 1:
            signal.raise_signal(signal.SIGALRM)

    with bus.subscribe(sink, "op_finish"):
        with pytest.raises(TimeoutError):
            ds.ones(2) + 1
        ds.ones(2) + 1
    assert len(seen) >= 2


def test_what_no_handler_raised(capsys: Any) -> None:
    def sink(kind: str, node: Any) -> None:
        raise TimeoutError("of the sink itself")

    with bus.subscribe(sink, "op_finish"):
        ds.ones(2) + 1
    assert "failed and was detached" in capsys.readouterr().err
    with pytest.raises(TimeoutError) as called:
        plain(14, None)
    assert not from_handler(called.value)
    assert not from_handler(None)
