"""The page's websocket as a timeline of messages: what goes out when, and what is answered."""

import asyncio
import json
import threading
from collections import deque

import pytest

from dsviz.web import live as module
from dsviz.web.live import CLIENTS, IN_FLIGHT, Live, Refusal, parse


class Program:
    """A program under debug, reduced to a list of messages that pages have cursors into."""

    def __init__(self):
        self.past = []
        self.asked = []
        self.reads = 0
        self.open = 0
        self.threads = set()
        self.hold = None  # an Event that queries wait for

    def open_stream(self):
        return Cursor(self)

    def moves(self, verb):
        return verb in {"next", "pause"}

    def answer(self, request):
        self.threads.add((request["do"], threading.current_thread() is threading.main_thread()))
        self.asked.append(request["do"])
        if request["do"] == "next":
            self.past.append({"t": "state", "state": "paused"})
        elif request["do"] == "refuse":
            raise Refusal("The program is running. Pause it first.")
        elif request["do"] == "break":
            raise ZeroDivisionError("one panel")
        elif self.hold:
            assert self.hold.wait(60)
        return {"for": request["do"]}


class Cursor:
    behind = False

    def __init__(self, program):
        self.program, self.at = program, 0
        program.open += 1

    def close(self):
        self.program.open -= 1

    def read(self):
        self.program.reads += 1
        new = self.program.past[self.at :]
        self.at = len(self.program.past)
        return new


class Page:
    """The browser's end of a websocket, in the same event loop as the server's."""

    def __init__(self):
        self.incoming = asyncio.Queue()
        self.outgoing = asyncio.Queue()
        self.took = asyncio.Event()  # clear: the page is behind and takes nothing
        self.took.set()
        self.closed = None
        self.accepted = False

    async def accept(self):
        self.accepted = True

    async def receive(self):
        return await self.incoming.get()

    async def send_text(self, data):
        await self.took.wait()
        self.outgoing.put_nowait(data)

    async def close(self, code=1000, reason=""):
        self.closed = (code, reason)

    def ask(self, do, number=1, **more):
        self.say(json.dumps({"id": number, "do": do, **more}))

    def say(self, text):
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self):
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def batch(self):
        return json.loads(await asyncio.wait_for(self.outgoing.get(), 60))

    async def reply(self):
        while True:
            for message in await self.batch():
                if message["t"] == "reply":
                    return message


def timeline(test):
    """Run an async test with a program, its Live and a page that is already open."""

    def run():
        async def go():
            program = Program()
            program.past.append({"t": "hello"})
            live = Live(program)
            page = Page()
            serving = asyncio.ensure_future(live.serve(page))
            assert await page.batch() == [{"t": "hello"}]
            await test(program, live, page)
            page.leave()
            await asyncio.wait_for(serving, 60)
            assert program.open == 0
            live.close()

        asyncio.run(go())

    run.__name__ = test.__name__
    return run


@timeline
async def test_a_step_goes_out_with_its_reply_after_it(program, live, page):
    page.ask("next", 7)
    assert await page.batch() == [
        {"t": "state", "state": "paused"},
        {"t": "reply", "id": 7, "ok": True, "data": {"for": "next"}},
    ]


@timeline
async def test_commands_run_at_once_and_questions_in_a_thread(program, live, page):
    page.ask("next")
    await page.reply()
    page.ask("memory")
    await page.reply()
    assert program.threads == {("next", True), ("memory", False)}


@timeline
async def test_a_slow_question_holds_nothing_up(program, live, page):
    program.hold = threading.Event()
    page.ask("memory", 1)
    page.ask("next", 2)
    assert (await page.reply())["id"] == 2
    program.hold.set()
    assert (await page.reply())["id"] == 1


@timeline
async def test_what_other_threads_feed_goes_out(program, live, page):
    def feed():
        for n in range(100):
            program.past.append({"t": "count", "nodes": n})
            live.wake()
        program.past.append({"t": "state", "state": "paused"})
        live.wake(urgent=True)

    thread = threading.Thread(target=feed)
    thread.start()
    got = []
    while len(got) < 101:
        got += await page.batch()
    thread.join()
    assert [m["nodes"] for m in got[:-1]] == list(range(100))
    assert got[-1]["state"] == "paused"


@timeline
async def test_while_running_frames_are_few_and_a_stop_does_not_wait(program, live, page):
    program.reads = 0
    clock = asyncio.get_running_loop().time
    start = clock()
    while clock() - start < 0.2:
        live.wake()
        await asyncio.sleep(0)
    assert 1 <= program.reads <= 0.2 / module.FRAME + 2


def test_a_stop_does_not_wait_for_the_frame(monkeypatch):
    monkeypatch.setattr(module, "FRAME", 1000.0)
    monkeypatch.setattr(module, "SETTLE", 1000.0)

    @timeline
    async def stop(program, live, page):
        live.wake()
        program.past.append({"t": "state", "state": "paused"})
        live.wake(urgent=True)
        assert await page.batch() == [{"t": "state", "state": "paused"}]

    stop()


@timeline
async def test_a_slow_page_is_not_queued_for(program, live, page):
    page.took.clear()
    reads = program.reads
    for n in range(10_000):
        program.past.append({"t": "count", "nodes": n})
        live.wake(urgent=True)
        if n % 100 == 0:
            await asyncio.sleep(0)
    assert program.reads - reads <= 1  # one batch is on its way, nothing else was made
    page.took.set()
    got = []
    while len(got) < 10_000:
        got += await page.batch()
    assert page.outgoing.empty()
    assert program.reads - reads <= 3


def test_what_does_not_fit_one_batch_comes_with_the_next(monkeypatch):
    monkeypatch.setattr(Cursor, "behind", property(lambda self: self.at < len(self.program.past)))

    def one(self):
        self.at += 1
        return self.program.past[self.at - 1 : self.at]

    monkeypatch.setattr(Cursor, "read", one)

    @timeline
    async def batches(program, live, page):
        program.past += [{"t": "count", "nodes": n} for n in range(3)]
        live.wake()
        assert [(await page.batch())[0]["nodes"] for _ in range(3)] == [0, 1, 2]

    batches()


@timeline
async def test_a_page_that_takes_no_replies_is_not_read_from(program, live, page):
    page.took.clear()
    for number in range(3 * IN_FLIGHT):
        page.ask("next", number)
    while not len(program.asked) >= IN_FLIGHT:
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(program.asked) == IN_FLIGHT
    page.took.set()
    answered = [(await page.batch()) for _ in range(1)]
    while sum(m["t"] == "reply" for batch in answered for m in batch) < 3 * IN_FLIGHT:
        answered.append(await page.batch())


@timeline
async def test_a_refusal_is_a_sentence(program, live, page):
    page.ask("refuse", 3)
    error = "The program is running. Pause it first."
    assert await page.reply() == {"t": "reply", "id": 3, "ok": False, "error": error}


def test_a_fault_in_one_answer_ends_nothing(capfd):
    @timeline
    async def fault(program, live, page):
        page.ask("break", 4)
        reply = await page.reply()
        assert reply["ok"] is False
        assert "ZeroDivisionError" in reply["error"]
        page.ask("next", 5)
        assert (await page.reply())["ok"] is True

    fault()
    assert "one panel" in capfd.readouterr().err


MALFORMED = [
    ("", None),
    ("not json", None),
    ("[1, 2]", None),
    ("7", None),
    ('"next"', None),
    ("null", None),
    ("[" * 100_000, None),
    ("{}", None),
    ('{"do": "next"}', None),
    ('{"id": "1", "do": "next"}', None),
    ('{"id": true, "do": "next"}', None),
    ('{"id": -1, "do": "next"}', None),
    ('{"id": 1e300, "do": "next"}', None),
    ('{"id": 99999999999999999999, "do": "next"}', None),
    ('{"id": 1}', 1),
    ('{"id": 2, "do": 5}', 2),
    ('{"id": 3, "do": null}', 3),
    ('{"id": 4, "do": ["next"]}', 4),
]


@pytest.mark.parametrize(("text", "number"), MALFORMED)
def test_a_malformed_request_is_refused_with_a_sentence(text, number):
    with pytest.raises(Refusal) as refusal:
        parse(text)
    assert refusal.value.number == number
    assert str(refusal.value).endswith(".")


@timeline
async def test_malformed_requests_do_not_end_the_conversation(program, live, page):
    for text, number in MALFORMED:
        page.say(text)
        reply = await page.reply()
        assert (reply["id"], reply["ok"]) == (number, False)
    page.incoming.put_nowait({"type": "websocket.receive", "bytes": b"\x00\xff"})
    assert (await page.reply())["ok"] is False
    page.ask("next", 9)
    assert (await page.reply())["ok"] is True


@timeline
async def test_every_page_has_its_own_cursor(program, live, page):
    program.past.append({"t": "count", "nodes": 1})
    other = Page()
    serving = asyncio.ensure_future(live.serve(other))
    assert await other.batch() == [{"t": "hello"}, {"t": "count", "nodes": 1}]
    other.ask("next", 1)
    await other.reply()
    program.past.append({"t": "state", "state": "running"})
    live.wake(urgent=True)
    seen = []
    while len(seen) < 3:
        seen += await page.batch()
    assert [m["t"] for m in seen] == ["count", "state", "state"]  # and no reply that it did not ask for
    other.leave()
    await serving


@timeline
async def test_a_reloaded_page_starts_from_the_beginning(program, live, page):
    program.past.append({"t": "state", "state": "running"})
    again = Page()
    serving = asyncio.ensure_future(live.serve(again))
    assert [m["t"] for m in await again.batch()] == ["hello", "state"]
    again.leave()
    await serving


@timeline
async def test_pages_are_counted(program, live, page):
    pages = [Page() for _ in range(CLIENTS)]
    serving = [asyncio.ensure_future(live.serve(p)) for p in pages]
    while not any(task.done() for task in serving):
        await asyncio.sleep(0)
    refused = next(p for p, task in zip(pages, serving, strict=True) if task.done())
    assert refused.closed[0] == module.TOO_MANY
    assert "close one" in refused.closed[1]
    for other in pages:
        other.leave()
    await asyncio.gather(*serving)


class Timers(deque):
    """Stands in for the loop's clock: `ring` lets all the time pass."""

    def call_later(self, _seconds, what):
        self.append(what)
        return self

    def cancel(self):
        self.clear()

    def ring(self):
        while self:
            self.popleft()()


def test_the_terminal_is_told_when_the_last_page_is_gone_and_stays_gone(monkeypatch):
    monkeypatch.setattr(module, "ALONE", 0.0)

    async def go():
        program, told = Program(), asyncio.Event()
        live = Live(program, on_alone=told.set)
        first, second = Page(), Page()
        serving = [asyncio.ensure_future(live.serve(p)) for p in (first, second)]
        await asyncio.sleep(0)
        first.leave()
        await serving[0]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not told.is_set()
        second.leave()
        await serving[1]
        await asyncio.wait_for(told.wait(), 60)

    asyncio.run(go())


def test_a_reload_is_not_told(monkeypatch):
    async def go():
        timers, told = Timers(), []
        live = Live(Program(), on_alone=lambda: told.append(True))
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", timers.call_later, raising=False)
        before = Page()
        serving = asyncio.ensure_future(live.serve(before))
        before.leave()
        await serving
        assert timers
        after = Page()
        serving = asyncio.ensure_future(live.serve(after))
        while not live.clients:
            await asyncio.sleep(0)
        timers.ring()
        assert told == []
        after.leave()
        await serving

    asyncio.run(go())


def test_waking_without_pages_or_after_the_end_is_harmless():
    live = Live(Program())
    live.wake(urgent=True)

    async def go():
        page = Page()
        serving = asyncio.ensure_future(live.serve(page))
        page.leave()
        await serving

    asyncio.run(go())
    live.wake(urgent=True)
    live.wake()
