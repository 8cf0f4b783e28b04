"""What armed breakpoints ask each op: the quick ways give what the thorough ones give."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine as ds
from dsviz.debuggee import sinks
from dsviz.debuggee.breakpoints import checked
from dsviz.debuggee.changes import Changes
from dsviz.debuggee.conditions import Conditions
from dsviz.debuggee.inspection import WIDE, all_finite
from dsviz.debuggee.outlets import DirectOutlet
from dsviz.debuggee.simple import comparison, decided
from dsviz.debuggee.stepper import Stepper
from dsviz.debuggee.tracer import Tracer
from engine.bus import bus
from engine.memory import memory
from engine.writes import writes

OP = {"shape": (3, 4), "phase": "forward", "norm": 2.5, "op": "relu", "iteration": 7, "out": np.ones(3)}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("shape == (3, 4)", True),
        ("shape[0] == 3 and not norm > 3", True),
        ("shape[-1:] == (4,) or norm == 0", True),
        ("0 < iteration <= 6", False),
        ("op in ('relu', 'tanh')", True),
        ("phase is None", False),
        ("here == 'a name of the frame'", True),
        ("iteration == 70", True),  # the frame's own comes first
        ("GLOBAL != -1", False),
        ("missing == 3", None),
        ("shape[5] == 3", None),
        ("norm > op", None),
        ("strange == 1", None),  # its __eq__ may do anything
        ("nested == 1", None),
        ("out == 1", None),
    ],
)
def test_a_comparison_is_decided_or_left_to_a_closer_look(text: str, holds: bool | None) -> None:
    here, iteration, unset_is_local = "a name of the frame", 70, None
    strange = type("Strange", (), {"__eq__": lambda self, other: sys.exit("compared")})()
    nested = (strange,)
    asked = comparison(text)
    assert asked is not None
    frame = sys._getframe()
    if "70" not in text:
        del iteration
    assert decided(asked, frame, OP) is holds
    assert (here, unset_is_local, nested[0]) == (here, None, strange)
    if holds is not None:
        names = {**frame.f_globals, **OP, **frame.f_locals}
        assert bool(eval(text, names)) is holds


GLOBAL = -1


@pytest.mark.parametrize(
    "text", ["out.max() > 3", "f(1)", "[x for x in y]", "2 ** 2 ** 99", "a.b == 1", "(lambda: 1)()"]
)
def test_what_may_run_code_is_no_comparison(text: str) -> None:
    assert comparison(text) is None


def test_a_condition_that_raises_is_told_though_it_only_compares() -> None:
    told: list[Any] = []
    conditions = Conditions(lambda message: told.append(message) or True)
    hit = checked(4, "if", {"condition": "norm > op"})
    assert conditions.satisfied([hit], [sys._getframe()], OP) == []
    assert conditions.satisfied([hit], [sys._getframe()], OP) == []
    assert [message["id"] for message in told] == [4]
    assert "TypeError" in told[0]["error"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["f2", "f4", "f8", "i1", "i4", "?", "U3", "c8"]),
    st.sampled_from([(), (0,), (1,), (3, 5), (8, 8)]),
    st.booleans(),
    st.integers(0, 63),
)
def test_a_value_has_changed_when_a_bit_of_it_has(
    dtype: str, shape: tuple[int, ...], turned: bool, at: int
) -> None:
    array = np.zeros(shape, dtype)
    array = array.T if turned else array
    changes = Changes()
    assert not changes.look(1, array)
    assert not changes.look(1, array)
    assert not changes.look(1, array.copy()), "the same numbers elsewhere are the same"
    if array.size:
        array[np.unravel_index(at % array.size, array.shape)] = 1
        assert changes.look(1, array)
        assert not changes.look(1, array)
    assert changes.look(1, np.zeros((2, 9), dtype)), "another shape is another value"
    assert not changes.look(2, array), "each number has its own"


def test_a_value_that_is_no_number_differs_by_what_it_is() -> None:
    changes = Changes()
    for value in (3, [1, "two"], {"a": 1}, np.nan, "text", object):
        assert changes.look(1, value) is (value != 3)
        assert not changes.look(1, value)
    assert not changes.look(1, [[1], [1, 2]]), "ragged: nothing to compare"
    assert changes.look(1, ds.ones(2))
    assert not changes.look(1, np.ones(2, np.float32)), "a tensor is its numbers"


def test_after_a_backward_op_only_what_the_engine_wrote_is_compared() -> None:
    changes, array = Changes(), np.zeros(4)
    changes.look(1, array)
    array[0] = 1
    assert not changes.look(1, array, backward=True), "no line of the program ran"
    writes.note(array, "add_")
    assert changes.look(1, array, backward=True)
    assert changes.look(1, np.full(4, 2.0), backward=True), "another array is looked at"


def test_a_watched_value_lives_no_longer_for_it() -> None:
    class Noted(np.ndarray):
        gone = 0

        def __del__(self) -> None:
            Noted.gone += self.size == 4

    changes = Changes()
    array = np.zeros(4).view(Noted)
    changes.look(1, array)
    before = Noted.gone
    del array
    gc.collect()
    assert Noted.gone == before + 1


def test_the_innermost_frame_where_a_name_means_something_counts() -> None:
    conditions = Conditions(lambda message: True)
    name = checked(1, "data", {"name": "weight"})
    part = checked(2, "data", {"name": "holder[0].weight"})

    def inner() -> list[Any]:
        frames = [sys._getframe(), sys._getframe(1)]
        if frames is None:
            weight = None  # a local name with no value
            assert weight
        return [conditions._named(hit, frames) for hit in (name, part)]

    class Holder:
        weight = np.ones(2)

    holder = [Holder()]
    weight = np.zeros(3)
    found = inner()
    assert found[0] is weight
    assert found[1] is Holder.weight
    assert holder
    assert conditions._named(checked(3, "data", {"name": "nowhere"}), [sys._getframe()]) is None


@pytest.mark.parametrize("size", [1, 100, WIDE, 3 * WIDE])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_number_that_is_not_finite_is_found_wherever_it_is(size: int, dtype: str) -> None:
    array = np.ones(size, dtype)
    assert all_finite(array)
    assert all_finite(np.full(size, np.finfo(dtype).max)), "a sum that overflows is no infinity"
    assert all_finite(array.reshape(1, size).T)
    for bad in (np.nan, np.inf, -np.inf):
        for at in (0, size // 2, size - 1):
            array[at] = bad
            assert not all_finite(array)
            assert not all_finite(array.reshape(1, size).T[::1])
            array[at] = 1
    assert all_finite(np.zeros(0, dtype))
    assert all_finite(np.arange(3))
    assert all_finite(2.5)


def test_the_bytes_alive_are_those_of_the_buffers() -> None:
    with bus.subscribe(lambda kind, change: None, "buffer"):
        kept = []
        for turn in range(3):
            x = ds.ones(10 + turn, 10, requires_grad=True)
            (ds.relu(x * 2.0).reshape(-1)[::2].sum()).backward()
            kept.append(x.grad)
            memory.flush()
            assert memory.nbytes == sum(buffer.nbytes for buffer in memory.live()) > 0
        del kept, x
        gc.collect()
        memory.flush()
        assert memory.nbytes == sum(buffer.nbytes for buffer in memory.live())


def own_names(x: Any) -> Any:
    op, shape = "exp", (7,)
    y = x * 2.0
    assert (op, shape) == ("exp", (7,))
    return y + x


def training() -> None:
    ds.manual_seed(0)
    net = ds.Sequential(ds.nn.Linear(3, 4), ds.nn.ReLU(), ds.nn.Linear(4, 2))
    frozen = ds.ones(5)
    optimizers = [ds.optim.SGD(net.parameters(), lr=0.1), ds.optim.SGD([frozen], lr=0.1)]
    for turn in range(4):
        x = ds.ones(turn % 2 + 1, 3, requires_grad=True)
        out = net(x)
        if turn == 1:
            frozen.array[0] = 9.0
        (net(own_names(x)) + out).sum().backward()
        if turn == 2:
            frozen.grad = ds.ones(5)
        for optimizer in optimizers:
            optimizer.step()
        frozen.grad = None


ASKED = [
    ("if", {"condition": "op in ('mul', 'add')"}),
    ("if", {"condition": "op == 'exp'"}),
    ("if", {"condition": "op == \"linear'\" and phase == 'backward'"}),
    ("if", {"condition": "phase == 'optimizer' and iteration > 1"}),
    ("shape predicate", {"condition": "shape == (2, 4)"}),
    ("shape predicate", {"condition": "shape == (7,)"}),
    ("shape predicate", {"condition": "shape[0] == 1 and phase == 'backward'"}),
    ("op", {"name": "relu", "condition": "out.sum() > -1 and shape == (1, 4)"}),
    ("data", {"name": "frozen"}),
    ("gradient", {"condition": "norm > 0.1"}),
    ("nan", {}),
]


@pytest.mark.parametrize(("kind", "fields"), ASKED, ids=lambda value: str(value)[:40])
def test_what_is_not_asked_again_stops_where_it_did(
    kind: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard() -> list[str]:
        told: list[Any] = []
        tracer = Tracer(bus, lambda: DirectOutlet(lambda event: None), level=0)
        stepper = Stepper(bus, tracer, lambda message: told.append(message) or True, lambda *_: {}, dict)
        stepper.set_breakpoints([checked(1, kind, {**fields, "log": "{(op, shape, phase)}", "hit": ">= 1"})])
        try:
            training()
        finally:
            stepper.close()
            tracer.close()
        assert {message["t"] for message in told} <= {"log"}
        return [message["text"] for message in told]

    quick = heard()
    monkeypatch.setattr(Conditions, "refuses", lambda *_: False)
    monkeypatch.setattr(Stepper, "_still", lambda *_: False)
    monkeypatch.setattr(sinks, "plainly_finite", lambda *_: False)
    assert quick == heard()
    assert bool(quick) is (kind != "nan")
