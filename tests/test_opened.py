"""dsviz open: a recording in the page, gone back in, with nothing that could run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import Run, poll, press, running, shows
from playwright.sync_api import Browser, expect

from dsviz import cli
from dsviz.opened import Opened
from dsviz.session import Refused
from dsviz.web.live import Refusal
from dsviz.web.verbs import Verbs

ROOT = Path(__file__).resolve().parents[1]
TRAIN = """\
import dsviz as ds
ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for step in range(2):
    loss = (net(ds.randn(3, 4)) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
print("the end")
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opened")
    (folder / "train.py").write_text(TRAIN)
    path = folder / "run.dsviz"
    assert cli.main(["record", "--trace-level", "2", "-o", str(path), str(folder / "train.py")]) == 0
    (folder / "train.py").write_text("# changed since\n")
    return path


def test_events_are_read_from_the_recording_where_they_are_no_longer_held(recording: Path) -> None:
    with Opened(recording) as session:
        verbs = Verbs(session)

        def listed(**more: Any) -> list[Any]:
            rows = verbs.answer({"do": "events", "count": 1000, "only": "nodes", **more})["rows"]
            return [(row["node"], row["text"], row["line"], row["shape"]) for row in rows]

        everything = listed()
        session.store.window = 5
        session.store._drop()
        held = verbs.answer({"do": "events", "only": "nodes"})["rows"]
        assert 0 < len(held) < len(everything)
        shown = len(held)
        end = {"before": held[-1]["time"], "node": held[-1]["node"]}
        assert listed(**end) == everything[shown:]
        assert listed(**end, count=2) == everything[shown : shown + 2]
        assert listed(before=0, node=0) == []
        with pytest.raises(Refusal, match="'before', a whole number"):
            listed(before="now")


def test_a_recording_answers_as_a_session_of_the_past(recording: Path) -> None:
    with Opened(recording) as session:
        message = session.state_message()
        assert (message["state"], message["recording"]) == ("finished", "run.dsviz")
        ended = session.store.count
        back = session.step_back()
        assert (back.past, session.state, session.store.count) == (True, "paused", ended - 1)
        assert session.inspect(back.node - 1)["how"] in ("kept", "recomputed")
        first = min(session.store.nodes)
        assert session.go_to(first).past, "a leaf's moment is that of the node that ran next"
        assert session.next().past
        session.add_breakpoint("op", name="relu")
        assert session.resume().op == "relu"
        assert session.present().state == "finished"
        assert session.look(back.node - 1, "")["shape"] is not None
    for verb in ("restart", "stop", "pause", "fly"):
        with pytest.raises(Refused, match=f"there is no program to {verb}"):
            session.send(verb)
    with pytest.raises(Refused, match="The recording ends here"):
        session.send("continue")
    for refused in (
        lambda: session.evaluate("1"),
        lambda: session.set_level(2),
        lambda: session.switch("op", "relu", False),
        lambda: session.go_to(99_999),
    ):
        with pytest.raises(Refused):
            refused()
    assert session.state == "finished"


def test_the_page_gets_the_text_that_ran_and_cannot_write_it(recording: Path) -> None:
    with Opened(recording) as session:
        verbs = Verbs(session)
        ask: Any = lambda do, **fields: verbs.answer({"id": 1, "do": do, **fields})  # noqa: E731
        [file] = session.store.files
        shown = ask("source", file=file)
        assert shown["lines"][1] == "ds.manual_seed(0)"
        with pytest.raises(Refusal, match="This is a recording"):
            ask("save", file=file, hash=shown["hash"], text="x")
        ask("step_back")
        assert ask("source", file=file)["lines"] == shown["lines"]
        assert ask("memory")["peak"]["bytes"] > 0
        assert ask("stack", node=0)["frames"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "RUN.dsviz"),
        (["none.dsviz"], "there is no file"),
        (["."], "is a folder"),
        (["notes.txt"], "notes.txt is not a"),
        (["cut.dsviz"], "cut.dsviz"),
        (["newer.dsviz"], "newer dsviz"),
        (["--port", "x", "run.dsviz"], "give a number from 0 to 65535"),
    ],
)
def test_what_cannot_be_opened_is_refused(
    recording: Path, tmp_path: Path, capsys: Any, monkeypatch: Any, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine " * 1000)
    data = bytearray(recording.read_bytes())
    (tmp_path / "cut.dsviz").write_bytes(data[:60])
    data[60:64] = (9999).to_bytes(4, "big")  # user_version
    (tmp_path / "newer.dsviz").write_bytes(data)
    for command in ("open", "print"):
        if "--port" in words and command == "print":
            continue
        assert cli.main([command, *words]) == 2
        out, err = capsys.readouterr()
        assert (out, "Traceback" in err) == ("", False)
        assert says in err


@contextmanager
def opening(browser: Browser, path: Path) -> Iterator[Run]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dsviz", "open", "--no-browser", "--port", "0", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        match = re.search(r"http://\S+", process.stdout.readline())
        assert match
        run = Run(process, match.group(), browser)
        yield run
        run.context.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        process.stdout.close()


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_person_looks_through_a_recording(chromium: Browser, recording: Path) -> None:
    with opening(chromium, recording) as run:
        page = run.page("finished")
        expect(page.locator("#scrub-mark")).to_have_text("Recording")
        for verb in ("continue", "pause", "next", "restart", "stop"):
            expect(page.locator(f"#btn-{verb}")).to_be_disabled()
        press(page, "step_back")
        expect(page.locator("#scrub-mark")).to_have_text("Recording, past")
        expect(page.locator("#stop-reason")).to_contain_text("In the past")
        page.locator("#scrub-node").evaluate(
            "range => { range.value = 8; range.dispatchEvent(new Event('change')); }"
        )
        poll(page, "document.querySelector('#scrub-label').textContent.startsWith('before node')")
        press(page, "next")
        page.click("#btn-present")
        shows(page, "finished")
        expect(page.locator("#btn-step_back")).to_be_enabled()
        assert run.problems == []


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_person_steps_back_in_a_live_run(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    with running(chromium, script) as run:
        page = run.page()
        for _ in range(3):
            press(page, "next")
        present = page.evaluate("window.dsviz.stops")
        expect(page.locator("#scrub")).to_be_hidden()
        press(page, "step_back")
        expect(page.locator("#scrub-mark")).to_have_text("Past")
        press(page, "reverse_continue")
        press(page, "next")
        page.click("#btn-present")
        expect(page.locator("#scrub")).to_be_hidden()
        assert page.evaluate("window.dsviz.stops") == present
        press(page, "continue")
        shows(page, "finished")
        assert run.problems == []
