"""A session beside a model of it: what a person or two may do in any order, and where the program must then stand.

The program is deterministic, so its positions can be listed once, by going `into` each. The model is that list and a
place in it; every verb is a rule about which place comes next.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dsviz.session import Refused, Session
from dsviz.stop import ENDS, Stop
from dsviz.web.live import Refusal
from dsviz.web.verbs import Verbs

WAIT = 60
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
PROGRAM = """\
import dsviz as ds

class Cell(ds.Module):
    def __init__(self):
        self.inner = ds.Linear(2, 2)

    def forward(self, x):
        return ds.tanh(self.inner(x))

class Net(ds.Module):
    def __init__(self):
        self.cell = Cell()

    def forward(self, x):
        return self.cell(x) * 2

ds.manual_seed(0)
net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for turn in range(3):
    loss = net(ds.ones(1, 2)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@dataclass(frozen=True)
class Place:
    """A position: a node about to run (`node`), or a module about to be entered."""

    node: int
    op: str
    module: str
    depth: int
    phase: int
    iteration: int
    line: int


def place_of(stop: Stop) -> Place:
    """Where a stop stands."""
    is_node = stop.position == "node"
    depth = len(stop.modules) if is_node else len(stop.modules) - 1
    label = stop.op + "'" * (stop.phase == 1)
    return Place(
        stop.node if is_node else 0, label, stop.module, depth, stop.phase, stop.iteration, stop.line
    )


def launch(path: Path) -> Session:
    session = Session.launch(path, breakpoints=False, **QUIET)
    assert session.wait(WAIT).reason == "entry"
    return session


_folder = tempfile.TemporaryDirectory(prefix="dsviz-model-")
SCRIPT = Path(_folder.name) / "train.py"
SCRIPT.write_text(PROGRAM, encoding="utf-8")
_places: list[Place] = []


def places() -> list[Place]:
    """All positions in order."""
    if not _places:
        with launch(SCRIPT) as session:
            stop: Stop | None = session.stop_now
            while stop is not None and stop.state not in ENDS:
                _places.append(place_of(stop))
                stop = session.into(WAIT)
        # The entry is a node; the modules before it are those of every iteration.
        modules = [place for place in _places if not place.node and place.iteration == 1]
        _places[:0] = [replace(place, iteration=0) for place in modules]
    return _places


KINDS = st.sampled_from(
    [("op", "tanh"), ("op", "tanh'"), ("op", "sgd"), ("op", "sum"), ("module", "net"), ("module", "net.cell.inner")]
)  # fmt: skip


class SessionModel(RuleBasedStateMachine):
    """Two pages and one program."""

    @initialize()
    def begin(self) -> None:
        self.places = places()
        self.session = launch(SCRIPT)
        self.pages = [Verbs(self.session), Verbs(self.session)]
        self.at = -1  # where the program stands; len(places): it has ended
        self.state = "paused"
        self.known = True  # whether the model knows which nodes have run
        self.breaks: dict[int, tuple[str, str, bool]] = {}
        self.hits: dict[int, int] = {}
        self.move("entry")
        self.past: int | None = None  # the place in the past that is looked at
        self.old = -1  # number of an earlier stop

    def teardown(self) -> None:
        if hasattr(self, "session"):
            pid = self.session.pid
            self.session.close()
            assert not os.path.exists(f"/proc/{pid}") or self.session.state in ENDS

    # The model

    def hit_at(self, place: Place) -> tuple[int, ...]:
        return tuple(
            id
            for id, (kind, name, on) in self.breaks.items()
            if on
            and (
                (kind == "op" and place.node and place.op == name)
                or (kind == "module" and not place.node and place.module == name)
            )
        )

    def reached(self, verb: str, place: Place) -> bool:
        if verb in ("next", "entry"):
            return bool(place.node)
        here = self.places[self.at]
        if verb == "into":
            return True
        if verb == "over":
            return place.depth <= here.depth
        if verb == "out":
            return place.depth < here.depth
        if verb == "next_iteration":
            return bool(place.node) and not place.phase and place.iteration > here.iteration
        return False

    def move(self, verb: str) -> None:
        """Where the program stands after `verb`."""
        for index in range(self.at + 1, len(self.places)):
            hits = self.hit_at(self.places[index])
            if hits or self.reached(verb, self.places[index]):
                self.at = index
                for id in hits:
                    self.hits[id] += 1
                return
        self.at, self.state = len(self.places), "finished"

    def check(self, stop: Stop) -> None:
        assert stop.state == self.state, (stop.text, self.state)
        if self.state == "paused":
            assert place_of(stop) == self.places[self.at]
            hits = self.hit_at(self.places[self.at])
            assert set(stop.breakpoints) <= set(self.breaks)
            assert stop.reason in ("step", "breakpoint", "entry", "pause")
            if stop.reason == "breakpoint":
                assert set(stop.breakpoints) == set(hits) != set()

    def number(self) -> int:
        assert self.session.stop_now is not None
        return self.session.stop_now.number

    def stands(self) -> bool:
        return hasattr(self, "session") and self.state == "paused" and self.past is None

    def over(self) -> None:
        """It has ended in a way that depends on how fast everything was."""
        self.state, self.at, self.past, self.known = self.session.state, len(self.places), None, False
        self.hits = {item.id: item.hits for item in self.session.breakpoints}

    # What people do

    @precondition(stands)
    @rule(verb=st.sampled_from(["next", "into", "over", "out", "next_iteration", "resume"]))
    def step(self, verb: str) -> None:
        self.old = self.number()
        stop = getattr(self.session, verb)(WAIT)
        self.move(verb)
        self.check(stop)

    @precondition(stands)
    @rule(which=st.integers(0, 1), verb=st.sampled_from(["next", "over", "into"]))
    def a_page_steps(self, which: int, verb: str) -> None:
        self.old = self.number()
        self.pages[which].answer({"do": verb, "at": self.old})
        self.move(verb)
        self.check(self.session.wait(WAIT))

    @precondition(lambda self: self.stands() and self.old >= 0)
    @rule(which=st.integers(0, 1))
    def a_page_that_was_slower_is_refused(self, which: int) -> None:
        if self.old == self.number():
            return
        with pytest.raises(Refusal, match="another page was quicker"):
            self.pages[which].answer({"do": "next", "at": self.old})

    @precondition(stands)
    @rule()
    def both_pages_step_at_once(self) -> None:
        number, refused = self.number(), []

        def ask(page: Verbs) -> None:
            try:
                page.answer({"do": "next", "at": number})
            except Refusal as error:
                refused.append(str(error))

        threads = [threading.Thread(target=ask, args=(page,)) for page in self.pages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        self.old = number
        self.move("next")
        self.check(self.session.wait(WAIT))

    @precondition(stands)
    @rule()
    def run_and_pause(self) -> None:
        """It stops at the pause or at a breakpoint before, or it was quicker and has ended."""
        before = self.at
        self.session.send("continue")
        stop = self.session.pause(WAIT)
        if stop.state not in ENDS:
            here = place_of(stop)
            later = [i for i in range(before + 1, len(self.places)) if self.places[i] == here]
            assert later, "it paused where it had been"
            self.at = later[0]
        hit = [
            i for i in range(before + 1, min(self.at + 1, len(self.places))) if self.hit_at(self.places[i])
        ]
        if stop.state in ENDS:
            assert not [i for i in range(before + 1, len(self.places)) if self.hit_at(self.places[i])]
        else:
            assert not hit or hit == [self.at]
            following = self.session.next(WAIT)  # and a pause that was too late does not come back
            self.move("next")
            assert following.reason in ("step", "breakpoint", "finished")
            assert following.state == self.state
        while self.session.state not in ENDS:
            self.session.resume(WAIT)
        self.over()

    @precondition(lambda self: hasattr(self, "session"))
    @rule(kind=KINDS)
    def add_a_breakpoint(self, kind: tuple[str, str]) -> None:
        new = self.session.add_breakpoint(kind[0], name=kind[1])
        self.breaks[new.id] = (*kind, True)
        self.hits.setdefault(new.id, 0)

    @precondition(lambda self: hasattr(self, "session") and bool(self.breaks))
    @rule(data=st.data(), what=st.sampled_from(["remove", "enable", "disable"]))
    def change_a_breakpoint(self, data: Any, what: str) -> None:
        id = data.draw(st.sampled_from(sorted(self.breaks)))
        if what == "remove":
            self.session.remove_breakpoint(id)
            del self.breaks[id], self.hits[id]
        else:
            self.session.enable_breakpoint(id, what == "enable")
            self.breaks[id] = (*self.breaks[id][:2], what == "enable")

    @precondition(lambda self: hasattr(self, "session") and self.known)
    @rule(data=st.data())
    def look_into_the_past(self, data: Any) -> None:
        ran = [place.node for place in self.places[: self.at] if place.node]
        if not ran:
            return
        node = data.draw(st.sampled_from(ran))
        self.session.send("go_to", node=node)
        stop = self.session.stop_now
        assert stop is not None
        assert (stop.past, stop.node) == (True, node)
        self.past = node

    @precondition(lambda self: hasattr(self, "session") and self.past is not None)
    @rule(again=st.booleans())
    def step_back_and_return(self, again: bool) -> None:
        ran = [place.node for place in self.places[: self.at] if place.node]
        assert self.past is not None
        index = ran.index(self.past)
        if again and index:
            stop = self.session.step_back(WAIT)
            assert stop.node == ran[index - 1]
        stop = self.session.present(WAIT)
        self.past = None
        self.check(stop)

    @precondition(lambda self: hasattr(self, "session") and self.state == "paused")
    @rule(running=st.booleans())
    def kill(self, running: bool) -> None:
        if running and self.past is None:
            self.session.send("continue")
        os.kill(self.session.pid, signal.SIGKILL)
        if self.past is not None:
            self.session.present()
            self.past = None
        ended = threading.Event()
        remove = self.session.on_change(lambda what: ended.set())
        while self.session.state not in ENDS:
            assert ended.wait(WAIT)
            ended.clear()
        remove()
        self.over()
        assert self.state == "killed" or (running and self.state == "finished")

    @precondition(lambda self: hasattr(self, "session"))
    @rule(verb=st.sampled_from(["restart", "stop"]))
    def end(self, verb: str) -> None:
        if verb == "stop":
            stop = self.session.stop(WAIT)
            self.state = "stopped" if self.state == "paused" else self.state
            self.at, self.past, self.known = len(self.places), None, False
            assert stop.state == self.state
            return
        stop = self.session.restart(WAIT)
        self.past, self.at, self.state, self.old, self.known = None, -1, "paused", -1, True
        self.move("entry")
        self.check(stop)

    @precondition(lambda self: hasattr(self, "session") and self.state in ENDS and self.past is None)
    @rule(verb=st.sampled_from(["next", "into", "continue", "pause", "fly"]))
    def what_has_ended_does_not_move(self, verb: str) -> None:
        with pytest.raises(Refused, match=r"\.$"):
            self.session.send(verb)

    # What holds always

    @invariant()
    def the_session_says_what_the_model_says(self) -> None:
        if not hasattr(self, "session"):
            return
        state = self.session.state
        assert state == ("paused" if self.past is not None else self.state)
        assert {
            item.id: (item.kind, item.name, item.enabled) for item in self.session.breakpoints
        } == self.breaks
        assert {item.id: item.hits for item in self.session.breakpoints} == self.hits
        message = self.session.state_message()
        assert message["state"] == state
        assert message["message"]
        if self.state == "paused" and self.past is None:
            with self.session.store.lock:
                ran = {place.node for place in self.places[: self.at] if place.node}
                assert ran <= set(self.session.store.nodes)
