"""The page in a real browser, used as a person would: the main job, verb by verb and panel by panel."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import DEMOS, WAIT, Run, graph, poll, press, running, shows
from playwright.sync_api import Browser, Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

BRANCHES = """
import dsviz as ds

class Cell(ds.Module):
    def __init__(self):
        self.gates = ds.Linear(3, 3)

    def forward(self, x):
        return ds.tanh(self.gates(x))

class Net(ds.Module):
    def __init__(self):
        self.cell = Cell()
        self.head = ds.Linear(3, 2)

    def forward(self, x, flag):
        x = self.cell(x)
        if flag:
            x = ds.relu(x)
        return self.head(x)

net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for turn in range(4):
    loss = net(ds.ones(2, 3), turn % 2 == 1).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("the end", flush=True)
"""


def line_of(text: str, source: str) -> int:
    return next(i for i, line in enumerate(source.splitlines(), 1) if text in line)


@pytest.fixture
def run(chromium: Browser, tmp_path: Path) -> Iterator[Run]:
    script = tmp_path / "branches.py"
    script.write_text(BRANCHES, encoding="utf-8")
    with running(chromium, script) as run:
        yield run


def stands_at(page: Page, text: str) -> None:
    expect(page.locator("#current-node")).to_contain_text(text)


def test_entry_says_what_to_do_and_where_it_stands(run: Run) -> None:
    page = run.page()
    expect(page.locator("#stop-reason")).to_have_text("Paused before linear")
    expect(page.locator("#canvas .empty")).to_contain_text("Nothing has run yet")
    stands_at(page, "linear")
    line = page.locator("#source .ln.now")
    expect(line).to_contain_text("self.gates(x)")
    expect(line.locator(".no")).to_have_text(str(line_of("ds.tanh", BRANCHES)))
    for verb in ("continue", "next", "into", "over", "out", "restart", "stop"):
        expect(page.locator(f"#btn-{verb}")).to_be_enabled()
    expect(page.locator("#btn-pause")).to_be_disabled()
    assert graph(page, "count") == 0
    assert run.problems == []


def test_next_runs_one_node_and_nothing_drawn_moves(run: Run) -> None:
    page = run.page()
    places: dict[int, dict[str, float]] = {}
    seen = []
    for count in range(1, 24):
        current = graph(page, "current")
        seen.append(page.locator("#current-node").inner_text().split(" ")[0])
        press(page, "next")
        assert graph(page, "count") == count
        place = graph(page, f"position({current})")
        assert place, f"node {current} is not drawn"
        for node, old in places.items():
            now = graph(page, f"position({node})")
            assert (now["x"], now["y"]) == (old["x"], old["y"]), f"node {node} moved"
        places[current] = place
    assert seen[:5] == ["linear", "tanh", "linear", "sum", "sum\u2032"]
    assert "sgd" in seen
    phases = {node["phase"] for node in graph(page, "nodes()")}
    assert phases == {"forward", "backward", "optimizer"}
    assert run.problems == []


def test_a_backward_node_stands_level_with_its_twin(run: Run) -> None:
    page = run.page()
    for _ in range(7):
        press(page, "next")
    nodes = {(n["op"], n["phase"], n["module"]): n["id"] for n in graph(page, "nodes()")}
    forward, backward = nodes["linear", "forward", "net.head"], nodes["linear", "backward", "net.head"]
    a, b = graph(page, f"position({forward})"), graph(page, f"position({backward})")
    assert a["y"] == b["y"]
    assert a["x"] < b["x"]


def test_into_over_and_out_follow_the_modules(run: Run) -> None:
    page = run.page()
    press(page, "out")  # of net.cell.gates
    stands_at(page, "tanh")
    press(page, "over")
    stands_at(page, "module net.head")
    press(page, "over")  # the whole of head
    stands_at(page, "sum")
    page.keyboard.press("F10")
    stands_at(page, "sum\u2032")


def test_the_arm_that_is_taken_is_told_and_the_other_one_too(run: Run) -> None:
    page = run.page()
    condition = page.locator(".ln", has_text="if flag:")
    for _ in range(3):
        press(page, "next")
    expect(condition.locator(".pill")).to_have_text("not taken")
    poll(page, "window.dsviz.graph.count >= 3")
    while "relu #" not in page.locator("#current-node").inner_text():
        press(page, "next")
    expect(condition.locator(".pill")).to_have_text("taken")


def test_the_inspector_follows_and_shows_the_chosen_node(run: Run) -> None:
    page = run.page()
    press(page, "next")
    inspector = page.locator("#inspector")
    expect(inspector).to_contain_text("tanh")
    expect(inspector).to_contain_text("net.cell")
    expect(inspector).to_contain_text("about to run")
    page.locator(".ln", has_text="return self.head(x)").locator(".tx").click()
    for _ in range(3):
        press(page, "next")
    page.locator(".ln", has_text="return self.head(x)").locator(".tx").click()
    expect(inspector).to_contain_text("linear")
    for text in ("net.head", "2\u00d72", "2\u00d73", "float32", "16 B", "branches.py"):
        expect(inspector).to_contain_text(text)


def test_the_memory_timeline_is_drawn_once_dash_has_come_and_nothing_waits_for_it(run: Run) -> None:
    held: list[Route] = []
    late = True
    run.context.route(
        "**/_dash-component-suites/**", lambda route: held.append(route) if late else route.continue_()
    )
    page = run.page()
    for _ in range(8):
        press(page, "next")
    expect(page.locator("#memory-legend")).to_contain_text("Parameters")
    # Until then the page draws it itself.
    expect(page.locator("#memory-sketch svg")).to_contain_text("Peak")
    assert graph(page, "count") == 8
    poll(
        page, "document.querySelector('script[src*=_dash-component-suites]')"
    )  # it comes when nothing else is going on
    late = False
    for route in held:
        route.continue_()
    # Dash's scripts and plotly's come one after the other through this test: on a busy machine that takes its time.
    expect(page.locator("#memory-timeline .js-plotly-plot .scatterlayer .trace").first).to_be_attached(
        timeout=6 * WAIT
    )
    expect(page.locator("#memory-timeline")).to_contain_text("Peak")


def test_continue_runs_to_the_end_and_the_page_says_so(run: Run) -> None:
    page = run.page()
    page.click("#btn-continue")
    shows(page, "finished")
    page.click("#tab-console")
    expect(page.locator("#console")).to_contain_text("the end")
    page.click("#tab-iterations")
    expect(page.locator("#iterations tbody tr")).to_have_count(4)
    page.click("#tab-events")
    expect(page.locator("#events")).to_contain_text("relu")
    expect(page.locator("#btn-next")).to_be_disabled()
    press(page, "restart")
    shows(page, "paused")
    assert graph(page, "count") == 0
    assert os.getpgid(page.evaluate("window.dsviz.pid")) == run.process.pid  # of the new run


def test_stop_ends_the_program(run: Run) -> None:
    page = run.page()
    page.click("#btn-stop")
    shows(page, "stopped")


def test_a_line_breakpoint_set_in_the_gutter_stops_there(run: Run) -> None:
    page = run.page()
    page.locator(".ln", has_text="ds.relu(x)").locator(".bp").click()
    expect(page.locator("#breakpoints")).to_contain_text("branches.py:")
    press(page, "continue")
    stands_at(page, "relu")
    expect(page.locator("#breakpoints")).to_contain_text("stopped here")


def test_trace_level_and_module_switch_change_what_is_recorded(run: Run) -> None:
    page = run.page()
    page.click("#trace-level-2")
    expect(page.locator("#trace-level-2")).to_have_attribute("aria-checked", "true")
    press(page, "next")
    press(page, "next")
    page.locator(".ln", has_text="ds.tanh").locator(".tx").click()
    switch = page.locator('#inspector .sw[data-target="module"]')
    switch_name = switch.get_attribute("data-name")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    page.click("#btn-continue")
    shows(page, "finished")
    assert switch_name == "net.cell.gates"
    shown = {(n["module"], n["op"], n["phase"]) for n in graph(page, "nodes()")}  # of the last turn
    assert ("net.cell", "tanh", "forward") in shown
    assert ("net.head", "linear", "backward") in shown
    assert not [op for module, op, _ in shown if module == switch_name and op]


def test_the_console_evaluates_in_the_paused_frame(run: Run) -> None:
    page = run.page()
    page.click("#tab-console")
    page.fill("#console-input", "x.shape")
    page.keyboard.press("Enter")
    expect(page.locator("#console-log")).to_contain_text("(2, 3)")
    page.fill("#console-input", "nothing_of_that_name")
    page.keyboard.press("Enter")
    expect(page.locator("#console-log .err")).to_contain_text("NameError")


def test_a_reload_in_the_middle_of_a_step_shows_everything_again(run: Run) -> None:
    page = run.page()
    for _ in range(5):
        press(page, "next")
    before = graph(page, "nodes()")
    page.reload()
    shows(page, "paused")
    poll(page, "window.dsviz && window.dsviz.graph.count === 5")
    assert graph(page, "nodes()") == before
    press(page, "next")
    assert graph(page, "count") == 6


def test_two_pages_show_the_same_and_the_slower_command_is_told(run: Run) -> None:
    one, two = run.page(), run.page()
    press(one, "next")
    poll(two, "window.dsviz.graph.count === 1")
    assert graph(two, "current") == graph(one, "current")
    stale = two.evaluate("window.dsviz.live.ask('next', {at: -1}).then(() => 'done', error => error.message)")
    assert "moved on" in stale
    assert graph(two, "count") == 1


def test_a_closed_page_leaves_the_program_paused_and_the_terminal_says_how_to_open_it_again(run: Run) -> None:
    page = run.page()
    press(page, "next")
    where = page.text_content("#current-node")
    page.close()
    assert run.process.stdout is not None
    said = run.process.stdout.readline()
    assert "the page was closed; branches.py stays paused. Open it again: http://127.0.0.1:" in said
    run.address, run._opened = said.split("again: ")[1].strip(), False
    again = run.page()
    expect(again.locator("#current-node")).to_have_text(where or "")
    press(again, "next")


def test_a_killed_program_is_told_at_once_and_the_graph_stays(run: Run) -> None:
    page = run.page()
    for _ in range(4):
        press(page, "next")
    pid = page.evaluate("document.querySelector('#app') && window.dsviz.pid")
    assert os.getpgid(pid) == run.process.pid  # the program's: 0 would be the tests' own processes
    os.kill(pid, signal.SIGKILL)
    shows(page, "killed")
    expect(page.locator("#canvas .card")).to_contain_text("sum")
    expect(page.locator("#canvas .card")).to_contain_text("branches.py")
    assert graph(page, "count") == 4


def test_a_shape_mismatch_stops_before_the_op_and_explains_itself(chromium: Browser) -> None:
    with running(chromium, DEMOS / "shape_bug.py") as run:
        page = run.page()
        press(page, "continue")
        expect(page.locator("#stop-reason")).to_have_text("Shape mismatch")
        card = page.locator("#canvas .card")
        expect(card).to_contain_text("head expects rows of 128, but first has rows of 64.")
        expect(card.locator(".operand")).to_have_count(2)
        expect(card.locator(".operand b.red")).to_have_text(["64", "128"])
        nodes = {node["id"]: node for node in graph(page, "nodes()")}
        failed = next(node for node in nodes.values() if node["status"] == "failed")
        sources = [
            nodes[e["from"]]["op"] for e in graph(page, "edges()") if e["to"] == failed["id"] and e["live"]
        ]
        assert sources == ["relu"], (
            "the way that leads to the failed node is drawn, though it was taken for the first time"
        )
        source = (DEMOS / "shape_bug.py").read_text(encoding="utf-8")
        culprit = line_of("self.head = ", source)
        card.get_by_role("button", name=f"shape_bug.py:{culprit}").click()
        expect(page.locator(f'.ln[data-line="{culprit}"]')).to_be_visible()
        stands_at(page, "linear")
        press(page, "continue")
        shows(page, "failed")
        page.click("#tab-console")
        expect(page.locator("#console")).to_contain_text("ShapeMismatchError")
        assert run.problems == []


HOSTILE = """
import dsviz as ds

class Net(ds.Module):
    def forward(self, x):
        return ds.relu(x)

bad = Net()
holder = ds.Module()
holder.add_module('<img src=x onerror="owned=1">', bad)
setattr(holder, "forward", lambda x: bad(x))
print('<script>window.owned=1</script><b>bold</b>', flush=True)
net = holder
net(ds.ones(2, requires_grad=True)).sum().backward()
raise ValueError('<img src=x onerror="window.owned=1">')
"""


def test_hostile_names_and_messages_stay_text(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "<b>hostile&.py"
    script.write_text(HOSTILE, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        press(page, "next")
        page.click("#btn-continue")
        shows(page, "paused")
        page.click("#tab-events")
        expect(page.locator("#events tbody tr").first).to_be_attached()
        page.click("#tab-console")
        expect(page.locator("#console-log")).to_contain_text("<script>window.owned=1</script><b>bold</b>")
        press(page, "continue")
        shows(page, "failed")
        assert page.evaluate("window.owned") is None
        assert page.locator("img").count() == 0
        assert run.problems == []


def test_it_fits_a_laptop_screen_and_has_a_dark_theme(run: Run) -> None:
    page = run.page()
    page.set_viewport_size({"width": 1280, "height": 720})
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#btn-theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    for name in (
        "btn-stop",
        "trace-level",
        "btn-theme",
        "inspector",
        "memory-timeline",
        "source",
        "breakpoints",
    ):
        box = page.locator(f"#{name}").bounding_box()
        assert box, name
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280.5, name
        assert box["y"] + box["height"] <= 720.5, name


def test_ctrl_k_finds_a_node_by_its_module(run: Run) -> None:
    page = run.page()
    for _ in range(4):
        press(page, "next")
    page.keyboard.press("Control+k")
    page.keyboard.type("net.head linear")
    page.keyboard.press("Enter")
    expect(page.locator("#inspector")).to_contain_text("net.head")
