"""The page's Engine panel: configuration, types, reuse, partitions, drift, and the graph coloured by them."""

from __future__ import annotations

import pytest
from browser import Run, graph, moving, poll, running_fixture, shows
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PROGRAM = """\
import dsviz as ds
ds.manual_seed(0)
class Net(ds.Module):
    def __init__(self):
        self.body = ds.Sequential(ds.Linear(8, 8), ds.Tanh(), ds.Linear(8, 8))
        self.head = ds.Linear(8, 3)
    def forward(self, x):
        return self.head(self.body(x))
net = Net()
fixed = ds.Linear(4, 8)
fixed.requires_grad_(False)
fixed.trace_(False, reuse=True)
x = ds.ones(2, 4)
with ds.trace(level=2) as trace:
    ds.relu(x) + ds.exp(x)
parts = ds.partition(trace, 2, seconds_a_byte=0, seconds_a_segment=0)
optimizer = ds.optim.Adam(net.parameters())
for step in range(6):
    loss = net(fixed(x)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


run = running_fixture(PROGRAM, "train.py", "--trace-level", "2")


def view(page: Page, name: str) -> None:
    page.locator("#bottom-tools").get_by_role("radio", name=name, exact=True).click()


def iterations(page: Page, count: int) -> None:
    for _ in range(count):
        with moving(page):
            page.evaluate("window.dsviz.live.ask('next_iteration')")


def end(page: Page) -> None:
    page.click("#btn-continue")
    shows(page, "finished")
    poll(page, "!window.dsviz.graph.waiting")


def first(page: Page, op: str) -> int:
    return int(next(node["id"] for node in graph(page, "nodes()") if node["op"] == op))


def test_each_view_tells_what_the_engine_does_and_what_to_do_where_there_is_nothing(run: Run) -> None:
    page = run.page()
    page.click("#tab-engine")
    engine = page.locator("#engine")
    for name, empty in (
        ("Precision", "ds.graph_config(amp=True)"),
        ("Reuse", "not called since tracing began"),
        ("Partitions", "The program holds no partition."),
        ("JIT", "Nothing is compiled"),
        ("Drift", "There are not two yet"),
    ):
        view(page, name)
        expect(engine).to_contain_text(empty)
    iterations(page, 2)
    view(page, "Configuration")
    row = engine.locator("tr", has_text="keep_fp32")
    field = engine.get_by_label("keep_fp32")
    field.fill("2")
    page.keyboard.press("Enter")
    expect(row.get_by_role("alert")).to_contain_text("keep_fp32 takes a number from 0 to 1, got 2")
    expect(field).to_be_focused()
    field.fill("0.3")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("changed")
    expect(field).to_have_value("0.3")
    engine.get_by_role("switch", name="amp", exact=True).click()
    expect(engine.get_by_role("switch", name="amp", exact=True)).to_have_attribute("aria-checked", "true")
    iterations(page, 3)
    view(page, "Precision")
    expect(engine).to_contain_text("Mixed precision is on here")
    expect(engine.locator("tr", has_text="net.body.0")).to_contain_text("float")
    expect(engine).to_contain_text("float16")
    expect(engine.get_by_role("alert")).to_contain_text("Overflow began at cast′")  # at a loss scale of 65536
    engine.get_by_role("button", name="cast′").click()
    expect(page.locator("#inspector .insp-h .t")).to_contain_text("cast′")
    engine.get_by_role("button", name="Colour the graph by dtype").click()
    expect(page.locator("#legend")).to_contain_text("float16")
    view(page, "Reuse")
    expect(engine.locator("tbody tr")).to_contain_text("while its input is the same array")
    view(page, "Drift")
    expect(engine).to_contain_text("mean loss")
    engine.get_by_role("button", name="linear in net.head").first.click()
    expect(page.locator("#inspector")).to_contain_text("net.head")
    view(page, "Partitions")
    expect(engine).to_contain_text("not run yet")
    expect(engine.locator("tbody tr")).to_have_count(2)
    page.click("#btn-continue")
    shows(page, "finished")
    expect(engine).to_contain_text("As it was at the last stop")
    expect(engine.locator("tbody tr")).to_have_count(2)
    assert run.problems == []


def test_the_graph_is_coloured_by_part_with_the_cut_and_folded_modules_by_what_is_in_them(run: Run) -> None:
    page = run.page()
    page.focus("#canvas")
    page.keyboard.press("8")
    expect(page.locator("#legend")).to_contain_text("ds.partition(trace, 2) makes one")
    iterations(page, 2)
    page.click("#tab-engine")
    view(page, "Partitions")
    page.get_by_role("button", name="Colour the graph by part").click()
    expect(page.locator("#legend")).to_contain_text("part 1")
    expect(page.locator("#legend")).to_contain_text("cut 1")
    poll(page, "window.dsviz.graph.cut === 1")
    of = {op: graph(page, f"facts({first(page, op)})")["part"] for op in ("relu", "exp", "add")}
    assert set(of.values()) == {0, 1}
    end(page)
    assert graph(page, "cut") == 1, "what was told of a partition stays"
    assert graph(page, f"facts({first(page, 'tanh')})").get("part") is None
    assert 'stroke-dasharray="5' in graph(page, "svg()"), "the cut is drawn in pictures too"
    graph(page, "fold('1')")
    page.focus("#canvas")
    page.keyboard.press("2")
    tanh = first(page, "tanh")
    whole = graph(page, f"facts({tanh})")
    inside = [
        n for n in graph(page, "nodes()") if n["module"].startswith("net.body") and n["phase"] == "forward"
    ]
    assert whole["of"] == len([n for n in inside if not n["role"]]) == 3
    assert whole["ns"] > 0
    page.keyboard.press("3")
    assert graph(page, f"facts({tanh})")["nbytes"] == 3 * 2 * 8 * 4
    page.keyboard.press("4")
    assert graph(page, f"facts({tanh})")["dtype"] == "float32"
    assert run.problems == []


def test_iterations_that_differ_in_dtype_only_say_so_and_are_marked(run: Run) -> None:
    page = run.page()
    iterations(page, 3)
    page.evaluate("window.dsviz.live.ask('configure', {key: 'amp', value: 'true'})")
    iterations(page, 2)
    page.click("#tab-iterations")
    page.get_by_role("button", name="Iteration 1 is A", exact=True).click()
    page.get_by_role("button", name="Iteration 3 is B", exact=True).click()
    expect(page.locator("#iterations .differs")).to_contain_text("float32 \u2192 float16")
    expect(page.locator("#legend")).to_contain_text("\u2260 Changed")
    end(page)
    heads = [n["id"] for n in graph(page, "nodes()") if n["module"] == "net.head" and n["op"] == "linear"]
    assert {graph(page, f"facts({node})")["differs"] for node in heads} == {"c"}
    assert run.problems == []
