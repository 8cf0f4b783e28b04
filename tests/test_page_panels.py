"""Breakpoints, variables, call stack and console of the page, used as a person would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Run, press, running, shows
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TRAINING = """
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.body = ds.Linear(3, 4)
        self.head = ds.Linear(4, 2)

    def forward(self, x):
        inner = ds.tanh(self.body(x))
        return self.head(inner)

def step(net, optimizer, turn):
    batch = ds.ones(2, 3) * turn
    loss = net(batch).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for turn in range(6):
    step(net, optimizer, turn)
"""


@pytest.fixture
def run(chromium: Browser, tmp_path: Path) -> Iterator[Run]:
    script = tmp_path / "training.py"
    script.write_text(TRAINING, encoding="utf-8")
    with running(chromium, script) as run:
        yield run


def add(page: Page, kind: str, where: str = "", **more: str) -> None:
    page.click("#breakpoints-add")
    page.get_by_label("Kind of breakpoint").select_option(kind)
    if where:
        page.get_by_label("Where", exact=True).fill(where)
    for label, text in more.items():
        page.get_by_label(label.replace("_", " ")).fill(text)
    page.locator(".breakform").get_by_role("button", name="Add").click()


def test_every_kind_of_breakpoint_is_set_with_its_condition_hits_and_log(run: Run) -> None:
    page = run.page()
    listed = page.locator("#breakpoints")
    for kind, where, told in (
        ("line", "training.py:15", "training.py:15"),
        ("op", "tanh", "Op tanh"),
        ("module", "net.head", "Module net.head"),
        ("node", "12", "Node 12"),
        ("nan", "", "NaN or Inf produced"),
        ("gradient", "net.head.weight", "Gradient of net.head.weight"),
        ("data", "net.head.bias", "net.head.bias changed"),
        ("memory", "1.5M", "More than 1.5 MB live"),
        ("type mismatch", "", "Dtype or device mismatch"),
        ("gradient zero", "", "Gradient of a parameter is zero"),
        ("gradient missing", "net.body.bias", "Gradient of net.body.bias is missing"),
        ("branch", "training.py:15", "Branch that goes another way at training.py:15"),
    ):
        add(page, kind, where)
        expect(listed.get_by_role("listitem").last).to_contain_text(told)
    add(page, "norm", "net.head.weight", Norm_above="10", Condition="iteration > 1")
    expect(listed.get_by_role("listitem").last).to_contain_text("norm > 10 and (iteration > 1)")
    add(page, "shape predicate", Condition="shape[-1] == 4")
    expect(listed.get_by_role("listitem").last).to_contain_text("if shape[-1] == 4")
    expect(listed.get_by_role("listitem")).to_have_count(16)
    add(page, "if")
    expect(listed.get_by_role("alert").last).to_contain_text("needs a condition")
    page.get_by_label("Condition").fill("shape ==")
    page.keyboard.press("Enter")
    expect(listed.get_by_role("alert").last).to_contain_text("is no Python expression")
    page.get_by_label("Condition").fill("op == 'sum'")
    page.get_by_label("Hit count").fill("often")
    page.keyboard.press("Enter")
    expect(listed.get_by_role("alert")).to_contain_text("hit count is a number")
    expect(page.get_by_label("Hit count")).to_be_focused()
    expect(page.get_by_label("Hit count")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Hit count").fill(">= 2")
    page.keyboard.press("Enter")
    expect(listed.get_by_role("listitem").last).to_contain_text("if op == 'sum' hit >= 2")
    page.click("#breakpoints-more")
    with page.expect_download() as download:
        page.get_by_role("menuitemradio", name="Save to a file").click()
    text = Path(download.value.path())
    page.click("#breakpoints-more")
    page.get_by_role("menuitemradio", name="Remove all").click()
    expect(listed.get_by_role("listitem")).to_have_count(2)
    page.click("#breakpoints-more")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("menuitemradio", name="Load from a file").click()
    chooser.value.set_files(text)
    expect(listed.get_by_role("listitem")).to_have_count(17)
    expect(page.locator("#banner")).to_contain_text("17 breakpoints set.")
    assert run.problems == []


def test_what_is_wrong_with_a_breakpoint_is_told_at_its_field(run: Run) -> None:
    page = run.page()
    listed = page.locator("#breakpoints")
    where, condition = page.get_by_label("Where", exact=True), page.get_by_label("Condition")
    add(page, "line", "training.py:99")
    for kind, text, told in (
        ("line", "training.py:99", "training.py has 23 lines, so there is no line 99"),
        ("line", "other.py:3", "with a file of this program"),
        ("node", "first", "A node is a number"),
        ("memory", "much", "Live bytes are a number such as 200M"),
        ("op", "", "Op: op, with"),
        ("data", "net.", "The name 'net.' is no Python expression"),
    ):
        page.get_by_label("Kind of breakpoint").select_option(kind)
        where.fill(text)
        page.keyboard.press("Enter")
        expect(listed.get_by_role("alert")).to_contain_text(told)
        expect(where).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Kind of breakpoint").select_option("norm")
    where.fill("")
    page.get_by_label("Norm above").fill("high")
    page.keyboard.press("Enter")
    expect(listed.get_by_role("alert")).to_contain_text('The norm is a number such as 10, not "high"')
    page.get_by_label("Kind of breakpoint").select_option("shape predicate")
    condition.press("Enter")
    expect(listed.get_by_role("alert")).to_contain_text("needs a condition")
    expect(condition).to_be_focused()
    page.get_by_label("Kind of breakpoint").select_option("branch")
    where.fill("training.py:15")
    page.keyboard.press("Enter")
    expect(listed.get_by_role("listitem").last).to_contain_text("at training.py:15")
    page.get_by_label("Edit Branch that goes another way").click(force=True)
    where.fill("")  # any branch now
    page.keyboard.press("Enter")
    expect(listed.get_by_role("listitem").last).not_to_contain_text("training.py")
    page.get_by_label("Remove Exception").click(force=True)
    expect(listed.get_by_role("listitem")).to_have_count(2)
    add(page, "exception")
    expect(listed.get_by_role("listitem").last).to_contain_text("Exception")
    assert run.problems == []


def test_a_breakpoint_is_edited_switched_off_and_logs_without_stopping(run: Run) -> None:
    page = run.page()
    listed = page.locator("#breakpoints")
    gutter = page.locator(".ln", has_text="inner = ds.tanh").locator(".bp")
    gutter.click(button="right")
    expect(page.get_by_label("Where", exact=True)).to_have_value("training.py:10")
    page.get_by_label("Log text").fill("inner {inner")
    page.keyboard.press("Enter")
    expect(listed.get_by_role("alert").last).to_contain_text("cannot be filled in")
    page.get_by_label("Log text").fill("turn {iteration}")
    page.keyboard.press("Enter")
    add(page, "op", "sum", Condition="turn == 2")
    expect(page.locator("#breakpoints").get_by_role("listitem").last).to_contain_text("turn == 2")
    press(page, "continue")
    expect(page.locator("#current-node")).to_contain_text("sum")
    expect(page.locator("#iteration")).to_have_text("2")
    page.click("#tab-console")
    expect(page.locator("#console-log")).to_contain_text("turn 2")
    page.get_by_label("Edit Op sum").click(force=True)
    page.get_by_label("Condition").fill("turn == 4")
    page.keyboard.press("Enter")
    expect(listed).to_contain_text("if turn == 4")
    press(page, "continue")
    expect(page.locator("#iteration")).to_have_text("4")
    page.locator(".ln", has_text="optimizer = ds.optim.SGD").locator(".bp").click()
    expect(listed.locator("[data-breakpoint]").last).to_contain_text("no op here yet")
    box = listed.get_by_role("checkbox", name="Op sum if turn == 4")
    box.focus()
    page.keyboard.press("Space")
    expect(box).to_have_attribute("aria-checked", "false")
    expect(box).to_be_focused()
    press(page, "continue")
    shows(page, "finished")
    page.reload()
    expect(listed).to_contain_text("training.py:10")
    assert run.problems == []


def test_the_frame_that_is_chosen_is_looked_into(run: Run) -> None:
    page = run.page()
    press(page, "next")
    press(page, "next")
    variables = page.locator("#variables")
    expect(variables).to_contain_text("Net")
    expect(variables.locator(".row", has_text="x")).to_contain_text("2\u00d73")
    page.click("#tab-console")
    page.fill("#console-input", "turn")
    page.keyboard.press("Enter")
    expect(page.locator("#console-log .err")).to_have_count(0)  # a global of the program
    stack = page.locator("#stack")
    stack.get_by_role("button", name="step").click()
    expect(variables).to_contain_text("batch")
    expect(variables).to_contain_text("optimizer")
    expect(page.locator("#console-input")).to_have_attribute(
        "placeholder", "evaluates in step, line 15; Tab completes, \u2191 recalls"
    )
    page.fill("#console-input", "")
    page.locator("#console-input").press_sequentially("batch.sha")
    expect(page.get_by_role("option", name="shape attribute")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#console-input")).to_have_value("batch.shape")
    page.keyboard.press("Enter")
    expect(page.locator("#console-log")).to_contain_text("2, 3")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#console-input")).to_have_value("turn")
    press(page, "next")
    expect(stack.locator("[aria-current]")).to_contain_text("forward")
    expect(variables).to_contain_text("inner")
    row = page.locator(".ln", has_text="inner = ds.tanh").locator(".tx")
    for op in ("linear", "tanh", "linear"):  # the nodes of a line, one after the other
        row.click()
        expect(page.locator("#inspector .insp-h .t")).to_contain_text(op)
    assert run.problems == []


def test_a_variable_under_the_pointer_tells_its_value_and_the_shapes_it_had(run: Run) -> None:
    page = run.page()
    add(page, "op", "sum", Condition="turn == 3")
    expect(page.locator("#breakpoints").get_by_role("listitem").last).to_contain_text("turn == 3")
    press(page, "continue")
    tip = page.locator("#hover-tip")
    row = page.locator(".ln", has_text="loss = net(batch).sum()").locator(".tx")
    row.hover(position={"x": 6 + 5 * 6.6, "y": 8})  # on `loss`, which has no value in this turn yet
    expect(tip).to_contain_text("shapes it had")
    expect(tip).to_contain_text("iterations 0 to 2")
    row = page.locator(".ln", has_text="return self.head(inner)").locator(".tx")
    row.hover(position={"x": 6 + 26 * 6.6, "y": 8})
    expect(tip).to_contain_text("inner")
    expect(tip).to_contain_text("2\u00d74 float32")
    row.click()
    page.mouse.move(700, 300)
    expect(tip).to_be_hidden()
    page.locator("#source-lines").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("i")
    expect(tip).to_contain_text("set in line 10")
    assert run.problems == []


def test_tracing_tells_its_cost_and_what_is_in_force_and_is_changed_there(run: Run) -> None:
    page = run.page()
    press(page, "next")
    page.evaluate("window.dsviz.live.ask('switch', {target: 'op', name: 'tanh', on: false})")
    page.click("#btn-tracing")
    tracing = page.get_by_role("dialog", name="Tracing")
    expect(tracing).to_contain_text("Watching takes")
    tracing.get_by_role("radio", name="2 Tensors").click()
    expect(page.locator("#trace-level-2")).to_have_attribute("aria-checked", "true")
    tracing.get_by_label("Trace one in").fill("many")
    page.keyboard.press("Enter")
    expect(tracing.get_by_role("alert")).to_contain_text('not "many"')
    tracing.get_by_label("Trace one in").fill("3")
    page.keyboard.press("Enter")
    expect(tracing.get_by_label("Trace one in")).to_have_value("3")
    tracing.get_by_role("button", name="Trace tanh again").click()
    expect(tracing).to_contain_text("Nothing: choose a node")
    page.keyboard.press("Escape")
    expect(tracing).to_have_count(0)
    expect(page.locator("#btn-tracing")).to_be_focused()
    page.keyboard.press("Enter")
    tracing.get_by_role("button", name="The configuration in force").click()
    expect(page.locator("#engine")).to_contain_text("memory_optimization")
    expect(page.locator("#tab-engine")).to_have_attribute("aria-selected", "true")
    assert run.problems == []


def test_iterations_tell_what_changed_by_name(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "changing.py"
    script.write_text(
        "import dsviz as ds\n"
        "net = ds.Linear(2, 2)\n"
        "for turn in range(4):\n"
        "    x = net(ds.ones(1, 2))\n"
        "    if turn == 2:\n"
        "        x = ds.tanh(x)\n"
        "    x.sum().backward()\n"
        "    ds.optim.SGD(net.parameters(), lr=0.1).step()\n"
        "net(ds.ones(1, 2))\n",
        encoding="utf-8",
    )
    with running(chromium, script) as run:
        page = run.page()
        page.click("#btn-continue")
        shows(page, "finished")
        page.click("#tab-iterations")
        rows = page.locator("#iterations tbody tr")
        expect(rows.filter(has_text="+ tanh")).to_have_count(1)
        expect(rows.filter(has_text="\u2212 tanh")).to_have_count(1)
        rows.filter(has_text="+ tanh").get_by_role("button", name="tanh", exact=True).click()
        expect(page.locator("#inspector")).to_contain_text("tanh")
        assert run.problems == []
