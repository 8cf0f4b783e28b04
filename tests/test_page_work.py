"""What a person does beyond stepping: values, memory, editing, saving the graph, in a real browser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import DEMOS, WAIT, Run, graph, poll, press, running, shows
from playwright.sync_api import Browser, expect

import dsviz as ds

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
def bug(chromium: Browser, tmp_path: Path) -> Iterator[tuple[Run, Path]]:
    script = tmp_path / "shape_bug.py"
    script.write_bytes((DEMOS / "shape_bug.py").read_bytes())
    with running(chromium, script) as run:
        yield run, script


def test_a_mismatch_is_mended_in_the_page_and_run_again(bug: tuple[Run, Path]) -> None:
    run, script = bug
    page = run.page()
    press(page, "continue")
    page.get_by_role("button", name="Edit and rerun").click()
    area = page.locator("#editor textarea")
    expect(area).to_be_focused()
    chosen = area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
    assert "self.head = ds.Linear(hidden, 2)" in chosen, "the culprit's line is chosen"
    text = script.read_text(encoding="utf-8")
    area.fill(text.replace("ds.Linear(2 * hidden, 64)", "ds.Linear(2 * hidden, hidden)"))
    page.get_by_role("button", name="Save and rerun").click()
    poll(page, "window.dsviz.state === 'paused' && window.dsviz.graph.count === 0")
    assert "ds.Linear(2 * hidden, hidden)" in script.read_text(encoding="utf-8")
    expect(page.locator(".ln", has_text="self.long =")).to_contain_text("hidden, hidden")
    page.click("#btn-continue")
    shows(page, "finished")
    assert run.problems == []


def test_a_file_that_changed_on_disk_is_not_written_over(bug: tuple[Run, Path]) -> None:
    run, script = bug
    page = run.page()
    page.click("#btn-edit")
    page.locator("#editor textarea").fill("print('mine')\n")
    script.write_text("print('theirs')\n", encoding="utf-8")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#editor .problem")).to_contain_text("was changed on disk")
    assert script.read_text(encoding="utf-8") == "print('theirs')\n"
    page.keyboard.press("Escape")
    expect(page.locator("#editor .problem")).to_contain_text("not saved")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#editor")).to_have_count(0)


def test_values_are_shown_sliced_and_written_out(bug: tuple[Run, Path]) -> None:
    run, _script = bug
    page = run.page()
    for _ in range(3):
        press(page, "next")
    values = page.locator("#inspector .values")
    expect(values.locator("canvas.heat").first).to_be_visible()
    values.locator(".slice").fill("0, 2:5")
    values.locator(".slice").press("Enter")
    values.get_by_role("radio", name="Numbers").click()
    expect(values.locator(".written td")).to_have_count(3)
    values.locator(".slice").fill("9999")
    values.locator(".slice").press("Enter")
    expect(values).to_contain_text("outside")


def test_an_instant_of_the_memory_timeline_tells_what_was_alive(bug: tuple[Run, Path]) -> None:
    run, _script = bug
    page = run.page()
    press(page, "continue")
    plot = page.locator("#memory-timeline .js-plotly-plot")
    expect(plot.locator(".scatterlayer .trace").first).to_be_attached(timeout=6 * WAIT)
    legend = page.locator("#memory-legend")
    box = plot.locator(".nsewdrag").first.bounding_box()
    assert box
    for way in (0.60, 0.61, 0.62, 0.63, 0.64, 0.65):  # a click while plotly draws anew is lost
        page.mouse.move(box["x"] + box["width"] * way, box["y"] + box["height"] * 0.95)
        page.mouse.down()
        page.mouse.up()
        with contextlib.suppress(AssertionError):
            expect(legend.locator(".alive-h")).to_be_attached(timeout=2000)
            break
    expect(legend.locator(".alive-h")).to_contain_text("Parameters")
    expect(legend.locator(".alive")).to_contain_text("shape_bug.py:26")
    legend.get_by_role("button", name="All").click()
    expect(legend.locator(".alive-h")).to_contain_text("buffers")
    legend.get_by_role("button", name="Back to the legend").click()
    expect(legend).to_contain_text("Total")
    page.click("#memory-contrast")
    expect(legend).to_contain_text("Without the optimisation: peak")
    assert run.problems == []


def test_watches_are_the_session_s_and_so_the_same_in_every_page(bug: tuple[Run, Path]) -> None:
    run, _script = bug
    page = run.page()
    watches = page.locator("#watches")
    page.click("#watches-add")
    field = page.get_by_label("Expression to watch")
    field.fill("x.")
    page.keyboard.press("Enter")
    expect(watches.get_by_role("alert")).to_contain_text("'x.' is no Python expression")
    expect(field).to_be_focused()
    field.fill("x.shape")
    page.keyboard.press("Enter")
    expect(watches).to_contain_text("NameError")  # before the first line of forward has made it
    expect(page.locator("#watches-add")).to_be_focused()
    other = run.page()
    expect(other.locator("#watches")).to_contain_text("NameError")
    press(page, "next")
    for each in (watches, other.locator("#watches")):
        expect(each).to_contain_text(", 128)")
    other.get_by_label("Edit the watch x.shape").click(force=True)
    other.get_by_label("Expression to watch").fill("x")
    other.keyboard.press("Enter")
    expect(watches.get_by_role("listitem")).to_have_count(1)
    expect(watches).to_contain_text("float32")
    watches.locator("[data-of^=go]").click()  # a tensor leads to the node that made it
    expect(page.locator("#inspector .insp-h .t")).to_contain_text("embedding")
    page.locator("#stack [data-frame]").last.click()  # another frame, where there is no x
    expect(watches).to_contain_text("NameError")
    expect(other.locator("#watches")).to_contain_text("float32")
    page.reload()
    expect(watches).to_contain_text("float32")
    shows(page, "paused")
    poll(page, "!window.dsviz.live.waiting.size")  # the list is not drawn anew under the mouse
    page.get_by_label("Remove the watch x").focus()
    page.keyboard.press("Enter")
    for each in (watches, other.locator("#watches")):
        expect(each).to_contain_text("Add an expression")
    assert run.problems == []


def test_watches_of_the_last_time_are_offered_again(bug: tuple[Run, Path]) -> None:
    run, _script = bug
    page = run.page()
    page.evaluate(
        """() => localStorage.setItem("dsviz.watches.shape_bug.py", '["words", "1 +", 3, "len(words)"]')"""
    )
    page.reload()
    watches = page.locator("#watches")
    expect(watches).to_contain_text("3 watches of the last time")
    watches.get_by_role("button", name="Set again").click()
    expect(watches.get_by_role("listitem")).to_have_count(2)  # what is no expression is left out
    expect(watches).to_contain_text("len(words)")
    page.evaluate("window.dsviz.live.ask('restart')")
    poll(page, "window.dsviz.state === 'paused' && window.dsviz.stops.startsWith('2.')")
    expect(watches.get_by_role("listitem")).to_have_count(2)
    assert run.problems == []


def test_a_breakpoint_with_a_condition_stops_only_where_it_holds(bug: tuple[Run, Path]) -> None:
    run, _script = bug
    page = run.page()
    page.click("#breakpoints-add")
    page.locator(".breakform select").select_option("op")
    page.get_by_label("Where", exact=True).fill("mean")
    page.get_by_label("Condition").fill("len(ids) == 9")
    page.keyboard.press("Enter")
    expect(page.locator("#breakpoints")).to_contain_text("Op mean if len(ids) == 9")
    press(page, "continue")
    expect(page.locator("#current-node")).to_contain_text("mean")
    page.click("#tab-console")
    page.fill("#console-input", "len(ids)")
    page.keyboard.press("Enter")
    expect(page.locator("#console-log")).to_contain_text("9")


def test_layers_unfold_in_place(bug: tuple[Run, Path]) -> None:
    run, _script = bug
    page = run.page()
    press(page, "continue")
    before = graph(page, "visible")
    page.click("#fold-to")
    page.get_by_role("menuitemradio", name="Nothing").click()
    assert graph(page, "visible") > before
    page.click("#fold-to")
    page.get_by_role("menuitemradio", name="Layers").click()
    assert graph(page, "visible") == before


def test_the_graph_is_saved_as_svg_and_dot_and_names_stay_text(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "hostile.py"
    script.write_text(
        "import dsviz as ds\n"
        "inner = ds.Sequential(ds.Linear(2, 2))\n"
        "net = ds.Module()\n"
        "net.add_module('</g><script>\"&\\x07', inner)\n"
        "net.forward = lambda x: inner(x)\n"
        "net(ds.ones(1, 2)).sum().backward()\n",
        encoding="utf-8",
    )
    with running(chromium, script) as run:
        page = run.page()
        page.click("#btn-continue")
        shows(page, "finished")
        drawing = ElementTree.fromstring(graph(page, "svg()"))
        texts = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
        assert {"sum", "sum\u2032", "FORWARD"} <= texts
        assert not list(drawing.iter("script"))
        page.click("#btn-save-picture")
        with page.expect_download() as download:
            page.get_by_role("menuitemradio", name="DOT for graphviz").click()
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert text.startswith("digraph")
        assert "label=sum" in text
        assert "->" in text
        assert run.problems == []


def test_values_that_are_not_finite_are_marked_where_they_were_made(chromium: Browser) -> None:
    with running(chromium, DEMOS / "not_finite.py", options=("--trace-level", "2")) as run:
        page = run.page()
        page.click("#btn-continue")
        shows(page, "finished")
        page.click("#colour-by")
        page.get_by_role("menuitemradio", name="Not finite").click()
        expect(page.locator("#legend")).to_contain_text("Made here")
        expect(page.locator("#legend")).to_contain_text("Carried on")
        page.click("#colour-by")
        page.get_by_role("menuitemradio", name="Gradient norm").click()
        expect(page.locator("#legend")).to_contain_text("norm of the gradient")
        assert run.problems == []


def test_two_iterations_are_compared(chromium: Browser) -> None:
    with running(chromium, DEMOS / "shape_bug.py") as run:
        page = run.page()
        press(page, "continue")
        page.click("#tab-iterations")
        page.get_by_role("button", name="Iteration 11 is A", exact=True).click()
        page.get_by_role("button", name="Iteration 12 is B", exact=True).click()
        expect(page.locator("#iterations .differs")).to_contain_text("+ cat")
        expect(page.locator("#legend")).to_contain_text("Only in B")
        page.locator("#iterations .differs .b", has_text="cat").click()
        expect(page.locator("#inspector")).to_contain_text("cat")
        assert run.problems == []


ENDLESS = """
import dsviz as ds

layer = ds.Linear(2, 2)
while True:
    ds.relu(layer(ds.ones(1, 2)))
    layer(ds.zeros(1, 2))
"""


def test_levels_and_switches_change_while_the_program_runs(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        page.locator(".ln", has_text="ds.relu").locator(".tx").click()
        page.click("#btn-continue")
        shows(page, "running")
        poll(page, "window.dsviz.graph.count > 20")
        ops = {node["id"]: node["op"] for node in graph(page, "nodes()")}
        assert not [
            e for e in graph(page, "edges()") if ops.get(e["from"]) == ops.get(e["to"]) == "linear"
        ], "two calls of one layer share its weight, which is no way from one to the other"
        page.click("#trace-level-0")
        expect(page.locator("#trace-level-0")).to_have_attribute("aria-checked", "true")
        still = "window.still = window.still?.[0] === window.dsviz.graph.count ? [window.still[0], window.still[1] + 1] : [window.dsviz.graph.count, 0], window.still[1] > 20"
        poll(page, still)
        count = graph(page, "count")
        page.click("#trace-level-1")
        poll(page, f"window.dsviz.graph.count > {count + 20}")
        switch = page.locator('#inspector .sw[data-target="op"]')
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "false")
        name = switch.get_attribute("data-name")
        poll(
            page,
            f"window.dsviz.graph.nodes().filter(n => n.op === {name!r}).every(n => n.status === 'skipped')",
        )
        press(page, "pause")
        shows(page, "paused")
        inspector = page.locator("#inspector")
        expect(inspector).to_contain_text("about to run")
        page.click("#trace-level-0")
        expect(page.locator("#trace-level-0")).to_have_attribute("aria-checked", "true")
        page.click("#btn-continue")
        expect(inspector).to_contain_text("tracing is off")
        expect(inspector).not_to_contain_text("about to run")
        expect(page.locator("#variables")).to_contain_text("The program is running")
        assert run.problems == []


def test_an_onnx_file_is_stepped_node_by_node(chromium: Browser, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install dsviz[onnx]")
    net = ds.Sequential(ds.Linear(4, 3), ds.ReLU())
    x = np.ones((2, 4), np.float32)
    ds.onnx.export(net, tmp_path / "model.onnx", (ds.tensor(x),))
    np.save(tmp_path / "x.npy", x)
    with running(chromium, tmp_path / "model.onnx", "--input", "x.npy") as run:
        page = run.page()
        press(page, "next")
        expect(page.locator(".ln.now")).to_contain_text("Relu")
        page.locator(".ln", has_text="# Gemm").locator(".tx").click()
        expect(page.locator("#inspector")).to_contain_text("2\u00d73")
        page.click("#btn-continue")
        shows(page, "finished")
        page.click("#tab-console")
        expect(page.locator("#console-log")).to_contain_text("float32 [2, 3]")
        assert run.problems == []
