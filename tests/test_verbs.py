"""What a page may ask: each verb reaches the session or a query, and nonsense is refused with a sentence."""

from types import SimpleNamespace

import pytest

from dsviz import events as ev
from dsviz.session import Refused
from dsviz.session.watches import Watch
from dsviz.store import GraphStore
from dsviz.web.live import Refusal
from dsviz.web.verbs import MOVES, TEXT_LIMIT, Verbs, field


class Session:
    """Writes down what it is told."""

    def __init__(self):
        self.store = GraphStore()
        self.stop_now = SimpleNamespace(number=4)
        self.told = []

    def earlier(self, node):
        return None

    def __getattr__(self, name):
        def tell(*args, **fields):
            self.told.append((name, *args, *fields.items()))
            return SimpleNamespace(id=3, label="model.py:31")

        return tell


@pytest.fixture
def session():
    session = Session()
    session.store.feed(ev.Text(1, "/home/me/model.py"))
    session.store.feed(ev.Text(2, "main"))
    session.store.feed(ev.Frame(1, 0, 1, 31, 2, 0))
    return session


@pytest.fixture
def ask(session):
    verbs = Verbs(session)
    return lambda do, **fields: verbs.answer({"id": 1, "do": do, **fields})


@pytest.mark.parametrize("verb", sorted(MOVES - {"run_to_node", "run_to_line", "go_to"}))
def test_commands_go_to_the_session(ask, session, verb):
    assert Verbs(session).moves(verb)
    ask(verb)
    assert session.told == [("send", verb)]


def test_running_to_a_place_names_it(ask, session):
    ask("run_to_node", node=7)
    assert session.told == [("send", "run_to_node", ("node", 7))]
    with pytest.raises(Refusal, match="'run_to_node' needs 'node', a whole number"):
        ask("run_to_node", node="7")
    with pytest.raises(Refusal, match="There is no file number 99"):
        ask("run_to_line", file=99, line=3)


def test_a_command_goes_with_the_stop_it_is_meant_for(ask, session):
    # The session refuses it at any other one: `tests/session_model.py` has two pages step at once.
    ask("next", at=4)
    ask("pause", at=4)  # whoever wants it to stand still is never too late
    ask("go_to", at=5, node=1)
    assert session.told == [
        ("send", "next", ("seen", 4)), ("send", "pause"), ("send", "go_to", ("seen", 5), ("node", 1)),
    ]  # fmt: skip


def test_what_the_session_refuses_is_told(ask, session):
    def refuse(_verb):
        raise Refused("The program is running: pause it before 'next'.")

    session.send = refuse
    with pytest.raises(Refusal, match="pause it before"):
        ask("next")


def test_settings_go_to_the_session(ask, session):
    ask("level", level=2)
    ask("switch", target="module", name="net.cell", on=False)
    ask("switch", target="place", file=1, line=31, on=True)
    assert session.told == [
        ("set_level", 2),
        ("switch", "module", "net.cell", False),
        ("switch", "place", "/home/me/model.py:31", True),
    ]


def test_breakpoints(ask, session):
    added = ask("breakpoint", action="add", kind="line", file=1, line=31, condition="x > 1")
    assert added == {"id": 3, "label": "model.py:31"}
    ask("breakpoint", action="disable", breakpoint=3)
    ask("breakpoint", action="enable", breakpoint=3)
    ask("breakpoint", action="remove", breakpoint=3)
    assert session.told[0][:2] == ("add_breakpoint", "line")
    assert ("file", "/home/me/model.py") in session.told[0]
    assert session.told[1:] == [
        ("enable_breakpoint", 3, False),
        ("enable_breakpoint", 3, True),
        ("remove_breakpoint", 3),
    ]


def test_watches(ask, session):
    ask("watch", action="add", text="x.shape")
    ask("watch", action="edit", watch=3, text="x")
    ask("watch", action="remove", watch=3)
    session.watches_in = lambda frame: [Watch(3, "x", value=str(frame))]
    assert ask("watch", action="look", frame=2)[0]["value"] == "2"
    assert session.told == [("add_watch", "x.shape"), ("edit_watch", 3, "x"), ("remove_watch", 3)]


@pytest.mark.parametrize("file", [2, 0, -1, 99, "1", "/etc/passwd", 1.0, True, [1]])
def test_a_page_can_only_name_files_of_the_program_by_number(ask, session, file):
    with pytest.raises(Refusal):
        ask("breakpoint", action="add", kind="line", file=file, line=1)
    with pytest.raises(Refusal):
        ask("switch", target="place", file=file, line=1, on=True)
    assert session.told == []


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("fly", {}),
        ("", {}),
        ("__init__", {}),
        ("level", {}),
        ("level", {"level": "2"}),
        ("level", {"level": 1.5}),
        ("level", {"level": True}),
        ("level", {"level": 1 << 60}),
        ("next", {"at": "4"}),
        ("switch", {"target": "op", "name": "relu"}),
        ("switch", {"target": "op", "name": "relu", "on": 1}),
        ("switch", {"target": "op", "name": ["relu"], "on": True}),
        ("breakpoint", {}),
        ("breakpoint", {"action": "explode", "breakpoint": 1}),
        ("breakpoint", {"action": "remove"}),
        ("breakpoint", {"action": "add"}),
        ("breakpoint", {"action": "add", "kind": "op", "condition": "x" * (TEXT_LIMIT + 1)}),
        ("watch", {}),
        ("watch", {"action": "add"}),
        ("watch", {"action": "add", "text": 3}),
        ("watch", {"action": "edit", "text": "x"}),
        ("watch", {"action": "look", "frame": "0"}),
        ("watch", {"action": "explode"}),
        ("memory", {"axis": "space"}),
        ("turn", {"group": "1"}),
        ("evaluate", {"text": None}),
        ("evaluate", {"text": "x" * (TEXT_LIMIT + 1)}),
    ],
)
def test_nonsense_is_refused_with_a_sentence(ask, session, do, fields):
    with pytest.raises(Refusal) as refusal:
        ask(do, **fields)
    assert str(refusal.value).endswith(".")
    assert len(str(refusal.value)) < 400
    assert session.told == []


def test_a_field_that_may_be_missing():
    assert field({"do": "turn", "index": None}, "index", int, None) is None
    assert field({"do": "turn"}, "index", int, 7) == 7
    with pytest.raises(Refusal, match="'index', a whole number"):
        field({"do": "turn", "index": "a"}, "index", int, 7)


def test_a_turn_of_a_loop_is_chosen(ask, session):
    ask("turn", group=5, index=2)
    assert session.store.pins == {5: 2}
    ask("turn", group=5, index=None)
    assert session.store.pins == {}


def test_an_answer_that_never_comes_is_told(ask, session):
    def never(*_args):
        raise TimeoutError

    session.evaluate = never
    with pytest.raises(Refusal, match="has not answered"):
        ask("evaluate", text="while True: pass")


def test_a_node_that_is_no_longer_kept_is_told_from_the_recording(session_of):
    session = session_of(
        "import dsviz as ds\nx = ds.ones(2, 3)\nfor turn in range(200):\n    y = ds.relu(x + turn)\n"
    )
    session.store.window = 50
    assert session.resume(60).state == "finished"
    gone = [node for node in range(1, 50) if node not in session.store.nodes]
    told = next(
        t for node in gone if (t := Verbs(session).answer({"id": 1, "do": "node", "node": node})).get("op")
    )
    assert (told["op"], told["shape"], told["line"]) == ("add", [2, 3], 4)
    assert told["slot"] is not None
    assert "problem" in Verbs(session).answer({"id": 1, "do": "node", "node": 10**6})
