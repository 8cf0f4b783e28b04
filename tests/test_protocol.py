"""The protocol as dsviz/protocol.md has it, spoken by a program that knows nothing of dsviz or its engine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dsviz as ds
from dsviz import events
from dsviz.session import LaunchError, Refused, Session
from dsviz.wire import short

ROOT = Path(__file__).resolve().parents[1]
FOREIGN = ROOT / "tests" / "foreign.py"
TEXT = (ROOT / "dsviz" / "protocol.md").read_text(encoding="utf-8")
LOOP = FOREIGN.read_text(encoding="utf-8").splitlines().index("        total = total + x") + 1

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the setup comes through a pipe")


def launch(**options):
    # -I -S: no PYTHONPATH and no site-packages, so that it cannot import us even by mistake.
    command = [sys.executable, "-I", "-S", str(FOREIGN)]
    return Session.launch(
        FOREIGN, command=command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )


@pytest.mark.parametrize("ring", ["1", "2"])
def test_another_framework_is_stepped_shown_and_recorded(tmp_path, ring):
    with launch(record=tmp_path / "run.dsviz", env={**os.environ, "FOREIGN_RING": ring}) as session:
        stop = session.wait(60)
        assert (stop.reason, stop.op, stop.node) == ("entry", "times", 3)
        assert session.store.python == "toy 1.0"
        stop = session.next(30)
        assert (stop.op, stop.line, session.store.count) == ("plus", LOOP, 1)
        with pytest.raises(Refused, match="A toy cannot do that"):
            session.evaluate("x")
        stop = session.resume(30)
        assert (stop.state, stop.status) == ("finished", 0)
        records = [node for node in session.store.nodes.values() if isinstance(node, events.Op)]
        assert [session.store.text(record.op) for record in records] == ["times", "plus", "plus", "plus"]
        assert [record.inputs for record in records] == [(1, 2), (3, 1), (4, 1), (5, 1)]
        back = session.step_back()
        assert (back.op, back.node, session.inspect(5)["values"]) == ("plus", 6, [18.0])
    with ds.open(tmp_path / "run.dsviz") as run:
        assert run.value(6) == 21.0
        [loop] = [item for item in run.graph()["root"]["items"] if item["kind"] == "loop"]
        assert loop["label"] == "for _ in range(3)", "its source is read as any other"


def test_another_version_ends_with_a_sentence():
    with launch(env={**os.environ, "FOREIGN_VERSION": "7"}) as session:
        stop = session.wait(60)
        while stop.state == "paused":
            stop = session.resume(30)
        assert stop.state == "failed"
        assert "speaks version 7 of the protocol, and this dsviz version 1" in stop.text


def test_a_command_that_cannot_be_started_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(LaunchError, match="cannot be started"):
        Session.launch(FOREIGN, command=["/no/such/program"], record=tmp_path / "run.dsviz")
    assert os.listdir(tmp_path) == []


def test_the_document_has_every_event_and_its_fields_in_order():
    section = TEXT.partition("## 4.")[2].partition("## 5.")[0]
    rows = dict(re.findall(r"^\| (\d+) \| (.*)$", section, re.MULTILINE))
    known = (*events.AnyEvent.__args__, short.Kind, short.Ran)
    for kind in known:
        tag = kind.__struct_config__.tag
        name, said = (part.strip() for part in rows[str(tag)].split("|")[:2])
        assert name == kind.__name__
        places = [re.search(rf"\b{field}\b", said) for field in kind.__struct_fields__]
        assert all(places), (name, kind.__struct_fields__)
        assert [place.start() for place in places] == sorted(place.start() for place in places), name
    assert len(known) == len(rows)


def test_the_document_names_no_class_of_the_engine():
    import engine

    classes = {name for name in engine.__all__ if isinstance(getattr(engine, name), type)} - {"Op", "Node"}
    named = set(re.findall(r"`([A-Za-z_.]+)`", TEXT)) | set(re.findall(r"\bengine\.\w+", TEXT))
    assert not {name.rpartition(".")[2] for name in named} & classes


def test_the_foreign_program_imports_nothing_of_ours():
    source = FOREIGN.read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", source, re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names)
