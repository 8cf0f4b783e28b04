"""The graph as a person works with it: choosing, hiding, paths, turns, finding, saving, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import DEMOS, Run, graph, poll, press, running, shows
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PROGRAM = """
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
        for t in range(4):
            x = self.cell(x) * (t + 1)
        if flag:
            x = ds.relu(x)
        else:
            x = ds.exp(x)
        return self.head(x)

net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for turn in range(3):
    loss = net(ds.ones(2, 3), turn % 2 == 1).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.fixture(scope="module")
def finished(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    script = tmp_path_factory.mktemp("graph") / "net.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        page.click("#btn-continue")
        shows(page, "finished")
        page.close()
        yield run
        assert run.problems == []


@pytest.fixture
def page(finished: Run) -> Iterator[Page]:
    """A page of its own for each test: what is chosen, hidden or folded belongs to the page."""
    page = finished.page("finished")
    poll(page, "window.dsviz.graph.nodes().some(node => node.op === 'sgd')")
    page.focus("#canvas")
    page.keyboard.press("9")
    yield page
    page.close()


def node(page: Page, op: str, phase: str = "forward") -> int:
    return next(n["id"] for n in graph(page, "nodes()") if n["op"] == op and n["phase"] == phase)


def place(page: Page, op: str, phase: str = "forward") -> tuple[float, float]:
    at = graph(page, f"screen({node(page, op, phase)})")
    assert at, f"{op} is not drawn"
    return at["x"], at["y"]


def click(page: Page, op: str, *, phase: str = "forward", button: Any = "left", holding: Any = None) -> None:
    x, y = place(page, op, phase)
    if holding:
        page.keyboard.down(holding)
    page.mouse.click(x, y, button=button)
    if holding:
        page.keyboard.up(holding)


def ops(page: Page, ids: list[int]) -> set[str]:
    names = {
        n["id"]: n["op"] + "'" * (n["phase"] == "backward") for n in graph(page, "nodes()") if not n["role"]
    }
    return {names[i] for i in ids if i in names}


def shown(page: Page) -> set[str]:
    """What is drawn, by op."""
    return ops(page, [n["id"] for n in graph(page, "nodes()") if graph(page, f"screen({n['id']})")])


def menu(page: Page, name: str) -> None:
    page.get_by_role("menuitem", name=name).click()


def test_shift_and_ctrl_gather_a_selection_and_escape_drops_it(page: Page) -> None:
    click(page, "tanh")
    click(page, "mul", holding="Shift")
    click(page, "exp", holding="Control")
    expect(page.locator("#chosen-bar")).to_contain_text("3 selected")
    expect(page.locator("#chosen-bar")).to_contain_text("3 ops")
    click(page, "mul", holding="Shift")
    expect(page.locator("#chosen-bar")).to_contain_text("2 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#chosen-bar")).to_have_count(0)
    assert graph(page, "chosen") == []
    page.keyboard.press("Control+a")
    assert len(graph(page, "chosen")) == graph(page, "visible") - len(
        [g for g in graph(page, "groups()") if g["label"] not in ("gates", "head")]
    ), "every node and folded layer that is drawn, and no box"


def test_a_rubber_band_chooses_what_it_touches(page: Page) -> None:
    (x0, y0), (x1, y1) = place(page, "tanh"), place(page, "mul")
    page.keyboard.down("Shift")
    page.mouse.move(x0 - 60, y0 - 6)
    page.mouse.down()
    page.mouse.move(x0, y0, steps=3)
    page.mouse.move(x1 + 60, y1 + 6, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator("#chosen-bar")).to_contain_text("2 selected")
    before = graph(page, f"screen({node(page, 'tanh')})")
    page.mouse.move(x0 + 200, y0)  # with nothing held a drag moves the view
    page.mouse.down()
    page.mouse.move(x0 + 200, y0 + 50, steps=3)
    page.mouse.up()
    after = graph(page, f"screen({node(page, 'tanh')})")
    assert (after["x"], after["y"]) == (before["x"], pytest.approx(before["y"] + 50))


def test_hidden_nodes_are_counted_and_come_back_where_they_were(page: Page) -> None:
    everything = shown(page)
    before = place(page, "exp")
    click(page, "exp")
    page.click("#btn-hide")
    assert everything - shown(page) == {"exp"}
    expect(page.locator("#btn-show-all")).to_have_text("1 hidden")
    expect(page.locator("#shown")).to_contain_text(f"{graph(page, 'visible') - 7 - 1} shown")
    page.mouse.click(*before)
    assert graph(page, "chosen") != [f"s{node(page, 'exp')}"]
    click(page, "tanh", button="right")
    menu(page, "Hide")
    expect(page.locator("#btn-show-all")).to_have_text("2 hidden")
    page.click("#btn-show-all")
    assert shown(page) == everything
    assert place(page, "exp") == before
    expect(page.locator("#btn-show-all")).to_be_hidden()


def test_what_is_isolated_is_alone_until_all_is_shown_again(page: Page) -> None:
    everything = shown(page)
    click(page, "tanh")
    click(page, "mul", holding="Shift")
    page.keyboard.press("i")
    assert shown(page) == {"tanh", "mul"}
    expect(page.locator("#btn-show-all")).to_contain_text("hidden")
    assert graph(page, "hidden") > 5
    drawing = ElementTree.fromstring(graph(page, "svg()"))
    texts = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"tanh", "mul"} <= texts
    assert "exp" not in texts, "a picture shows what the page shows"
    page.keyboard.press("Shift+H")
    assert shown(page) == everything
    assert graph(page, "hidden") == 0


def test_a_whole_module_is_hidden_with_all_that_is_in_it(page: Page) -> None:
    click(page, "tanh")
    page.keyboard.press("Enter")  # folds the module around it
    poll(page, "window.dsviz.graph.groups().length && window.dsviz.graph.chosen.length === 1")
    page.keyboard.press("h")
    assert not {"tanh", "tanh'", "linear"} & (shown(page) - ops(page, [node(page, "linear")]))
    assert graph(page, f"screen({node(page, 'tanh')})") is None
    assert graph(page, f"screen({node(page, 'tanh', 'backward')})") is None


def test_paths_follow_the_data_up_down_and_both_ways(page: Page) -> None:
    click(page, "exp")
    page.keyboard.press("a")
    assert ops(page, graph(page, "path")) == {"linear", "tanh", "mul", "exp"}
    page.locator("#path-bar").get_by_role("button", name="What it leads to").click()
    assert ops(page, graph(page, "path")) == {"exp", "linear", "sum"}
    page.focus("#canvas")
    page.keyboard.press("p")
    expect(page.locator("#path-bar")).to_have_count(0)
    assert graph(page, "path") == []
    page.click("#btn-path")
    both = ops(page, graph(page, "path"))
    assert both == {"linear", "tanh", "mul", "exp", "sum"}, "the arm that was not taken is no way"
    expect(page.locator("#btn-path")).to_have_attribute("aria-pressed", "true")
    click(page, "sum", phase="backward", button="right")
    menu(page, "What it leads to")
    assert ops(page, graph(page, "path")) >= {"sum'", "linear'", "exp'", "tanh'", "sgd"}


def test_arrow_keys_walk_along_edges_and_with_shift_they_gather(page: Page) -> None:
    inspector = page.locator("#inspector .insp-h")
    click(page, "mul")
    page.keyboard.press("ArrowDown")
    expect(inspector).to_contain_text("exp")
    page.keyboard.press("ArrowDown")
    expect(inspector).to_contain_text("net.head")
    page.keyboard.press("ArrowRight")
    expect(inspector).to_contain_text("linear\u2032")
    page.keyboard.press("ArrowUp")
    expect(inspector).to_contain_text("exp\u2032")
    click(page, "exp")
    page.keyboard.press("h")
    click(page, "mul")
    page.keyboard.press("Shift+ArrowDown")  # over what is hidden, to what it leads to
    expect(page.locator("#chosen-bar")).to_contain_text("2 selected")
    expect(inspector).to_contain_text("net.head")


def test_find_rings_what_has_the_words_and_enter_goes_from_one_to_the_next(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("net.head linear")
    expect(page.locator("#find-count")).to_have_text("2")
    page.keyboard.press("Enter")
    expect(page.locator("#find-count")).to_have_text("1 of 2")
    expect(page.locator("#inspector .insp-h")).to_contain_text("net.head")
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#find-count")).to_have_text("2 of 2")
    expect(page.locator("#inspector .insp-h")).to_contain_text("linear\u2032")
    page.fill("#find-text", f"#{node(page, 'exp')}")
    expect(page.locator("#find-count")).to_have_text("1")
    page.fill("#find-text", "no such op")
    expect(page.locator("#find-count")).to_have_text("nothing")
    page.keyboard.press("Escape")
    expect(page.locator("#find")).to_be_hidden()
    expect(page.locator("#canvas")).to_be_focused()


def test_branches_are_labelled_and_the_way_not_taken_is_told(page: Page) -> None:
    groups = {group["label"]: group for group in graph(page, "groups()")}
    assert (groups["if flag"]["taken"], groups["else"]["taken"]) == (False, True)
    drawing = ElementTree.fromstring(graph(page, "svg()"))
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    for text in ("if flag", "not taken", "not taken, as it is", "else", "taken", "\u00d74"):
        assert text in texts


@pytest.mark.parametrize(
    ("key", "name", "legend"),
    [
        ("2", "Time", "faster"),
        ("3", "Bytes", "smaller"),
        ("4", "Dtype", "float32"),
        ("5", "Gradient norm", "Trace to 2"),
        ("6", "Not finite", "Trace to 2"),
        ("7", "Iteration difference", "Iterations"),
        ("1", "Kind", "Linear algebra"),
    ],
)
def test_every_colouring_has_a_key_and_a_legend(page: Page, key: str, name: str, legend: str) -> None:
    page.keyboard.press(key)
    expect(page.locator("#colour-by")).to_contain_text(name)
    expect(page.locator("#legend")).to_contain_text(legend)


def test_the_menu_key_opens_the_menu_of_what_is_chosen(page: Page) -> None:
    click(page, "exp")
    page.keyboard.press("ContextMenu")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert shown(page) == {"exp"}, "the second entry isolates"
    expect(page.locator("#canvas")).to_be_focused()


def test_pictures_are_saved_whole_and_in_view(page: Page) -> None:
    for name, head in (
        ("PNG of what is in view", b"\x89PNG"),
        ("PNG of the whole graph", b"\x89PNG"),
        ("SVG of the whole graph", b"<svg"),
        ("DOT for graphviz", b"digraph"),
    ):
        page.click("#btn-save-picture")
        with page.expect_download() as download:
            page.get_by_role("menuitemradio", name=name).click()
        assert Path(download.value.path()).read_bytes().startswith(head), name


def test_any_turn_of_a_loop_is_picked_at_its_head_by_keys_and_by_number(
    chromium: Browser, tmp_path: Path
) -> None:
    script = tmp_path / "net.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        page.click("#btn-continue")
        shows(page, "finished")
        turn = "window.dsviz.graph.groups().find(g => g.label === 'for t in range(4)').turn"
        poll(page, f"{turn} === 0")  # backward ended there
        page.focus("#canvas")
        page.keyboard.press("9")
        click(page, "tanh")
        page.keyboard.press("]")
        poll(page, f"{turn} === 1")
        page.keyboard.press("]")
        poll(page, f"{turn} === 2")
        page.keyboard.press("[")
        poll(page, f"{turn} === 1")
        badge = graph(page, "turnBadge('for t in range(4)')")
        page.mouse.click(badge["x"] + badge["width"] - 3, badge["y"])
        poll(page, f"{turn} === 2")
        page.mouse.click(badge["x"] + badge["width"] / 2, badge["y"])
        expect(page.locator("#turn-picker")).to_contain_text("of 0 to 3")
        page.fill("#turn-number", "3")
        page.keyboard.press("Enter")
        poll(page, f"{turn} === 3")
        expect(page.locator("#turn-picker")).to_have_count(0)
        page.mouse.click(badge["x"] + badge["width"] / 2, badge["y"])
        page.get_by_role("button", name="Follow the program").click()
        poll(page, f"{turn} === 0")
        assert run.problems == []


def test_the_chain_of_a_why_answer_is_shown_in_the_graph(chromium: Browser) -> None:
    with running(chromium, DEMOS / "not_finite.py", options=("--trace-level", "2")) as run:
        page = run.page()
        page.click("#breakpoints-add")
        page.locator(".breakform select").select_option("nan")
        page.get_by_role("button", name="Add", exact=True).click()
        press(page, "continue")
        press(page, "next")
        bad = next(n["id"] for n in graph(page, "nodes()") if n["op"] == "log" and n["status"] == "done")
        page.focus("#canvas")
        page.keyboard.press("9")
        at = graph(page, f"screen({bad})")
        page.mouse.click(at["x"], at["y"], button="right")
        menu(page, "Why this value")
        expect(page.locator("#path-bar")).to_contain_text("The chain of the answer")
        expect(page.locator("#banner")).not_to_be_empty()
        assert bad in graph(page, "path")
        assert run.problems == []
