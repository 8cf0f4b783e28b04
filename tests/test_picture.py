"""Graphs and memory as files: everything has a place of its own, whatever the program; nothing a program says becomes markup."""

from __future__ import annotations

import itertools
import random
import re
import struct
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import dsviz as ds
from dsviz.commands import graph as command
from dsviz.commands.usage import UsageError
from dsviz.inprocess import store_of
from dsviz.picture import PictureError, drawing, effect
from dsviz.picture.cells import Cell, graph_of
from dsviz.picture.layered import Layered
from engine.trace import Graph

ROOT = Path(__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"


class Block(ds.Module):
    def __init__(self, width: int) -> None:
        self.fc1, self.fc2 = ds.Linear(width, width), ds.Linear(width, width)

    def forward(self, x: ds.Tensor) -> ds.Tensor:
        if float(x.sum()) > 0:
            x = ds.tanh(x)
        return x + self.fc2(ds.relu(self.fc1(x)))


def traced(steps: int = 2) -> Graph:
    ds.manual_seed(0)
    net = ds.Sequential(ds.Linear(6, 8), Block(8), Block(8), ds.Linear(8, 3))
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
    with ds.trace() as graph:
        for _ in range(steps):
            loss = ds.cross_entropy(net(ds.randn(4, 6)), ds.tensor([0, 1, 2, 0]))
            loss.backward()
            optimizer.step()
    return graph


def words(path: Path) -> list[str]:
    return [text.text or "" for text in ElementTree.parse(path).iter(f"{SVG}text")]


def test_svg_shows_modules_ops_shapes_branches_and_the_backward_pass(tmp_path: Path) -> None:
    ds.debug.save_graph(tmp_path / "g.svg", traced())
    said = words(tmp_path / "g.svg")
    assert {"relu", "relu'", "tanh", "cross_entropy'", "4×8", "SGD", "2 updates"} - set(said) <= {"2 updates"}
    assert any(text.startswith("for _ in range(steps)") for text in said)
    assert "if float(x.sum()) > 0" in said
    assert "fc1  Linear" in said  # a layer that is one op is one cell
    assert said[0].startswith("__main__.py" if not sys.argv[0] else Path(sys.argv[0]).name)


def test_a_part_can_be_drawn_and_the_backward_phase_alone(tmp_path: Path) -> None:
    graph = traced()
    ds.debug.save_graph(tmp_path / "g.svg", graph, op="relu")
    assert set(words(tmp_path / "g.svg")) & {"relu", "linear", "tanh"} == {"relu"}
    ds.debug.save_graph(tmp_path / "g.svg", graph, phase="backward")
    assert "relu'" in words(tmp_path / "g.svg")
    ds.debug.save_graph(tmp_path / "g.svg", graph, depth=0)
    assert any("ops inside" in text for text in words(tmp_path / "g.svg"))


def test_a_large_graph_is_folded_until_it_can_be_read_and_says_so(tmp_path: Path) -> None:
    net = ds.Sequential(*[ds.Sequential(*[ds.Tanh() for _ in range(30)]) for _ in range(20)])
    with ds.trace() as graph:
        net(ds.ones(2))
    ds.debug.save_graph(tmp_path / "g.svg", graph)
    assert any("to stay readable; depth=" in text for text in words(tmp_path / "g.svg"))
    ds.debug.save_graph(tmp_path / "g.svg", graph, depth=9)
    assert words(tmp_path / "g.svg").count("0  Tanh") == 20


def grown(seed: int) -> tuple[Cell, list[tuple[Cell, Cell, bool]]]:
    """A random tree of boxes with random edges, some of which go back."""
    rng = random.Random(seed)
    root, leaves, boxes = Cell("root", ""), [], []
    boxes.append(root)
    for number in range(rng.randint(3, 40)):
        parent = rng.choice(boxes)
        kind = rng.choice(["node", "node", "node", "leaf", "module", "loop"])
        cell = Cell(kind, f"c{number}", parent=parent, w=rng.uniform(40, 160), h=36.0)
        parent.cells.append(cell)
        (boxes if cell.box else leaves).append(cell)
    for box in boxes[1:]:
        if not box.cells:
            box.cells.append(Cell("node", "only", parent=box, w=60.0, h=23.0))
            leaves.append(box.cells[0])
    edges = []
    for target in leaves:
        if target.kind != "leaf":
            for source in rng.sample(leaves, min(len(leaves), rng.randint(0, 3))):
                if source is not target:
                    edges.append((source, target, rng.random() < 0.1))
    return root, edges


@pytest.mark.parametrize("seed", range(30))
def test_no_cells_overlap_and_no_way_crosses_a_cell(seed: int) -> None:
    root, edges = grown(seed)
    layout = Layered(root, edges)
    for box in root.within():
        for cell in box.cells:
            assert box.x - 0.01 <= cell.x
            assert cell.x + cell.w <= box.x + box.w + 0.01
            assert box.y - 0.01 <= cell.y
            assert cell.y + cell.h <= box.y + box.h + 0.01
        for i, a in enumerate(box.cells):
            for b in box.cells[i + 1 :]:
                assert a.x + a.w <= b.x or b.x + b.w <= a.x or a.y + a.h <= b.y or b.y + b.h <= a.y
    plain = [cell for cell in root.within() if not cell.box]
    for a, b, _ in edges:
        if any(a is x and b is y for x, y in layout.back):
            continue
        points = layout.way(a, b)
        assert points[0] == pytest.approx((a.x + a.w / 2, a.y + a.h))
        assert points[-1] == pytest.approx((b.x + b.w / 2, b.y))
        assert all(y2 >= y1 - 0.01 for (_, y1), (_, y2) in itertools.pairwise(points))
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            for t in (0.1, 0.5, 0.9):
                x, y = x1 + (x2 - x1) * t, y1 + (y2 - y1) * t
                hit = [c for c in plain if c.x < x < c.x + c.w and c.y + 0.01 < y < c.y + c.h - 0.01]
                assert not hit, (a.label, b.label, hit[0].label)


def test_what_a_program_says_is_text_and_never_markup(tmp_path: Path) -> None:
    net = ds.Sequential()
    net.add_module("<script>alert(1)</script>&\x00\ud800", ds.Linear(2, 2))
    with ds.trace() as graph:
        net(ds.ones(1, 2))
    for ending in ("svg", "html"):
        ds.debug.save_graph(tmp_path / f"g.{ending}", graph)
        text = (tmp_path / f"g.{ending}").read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text
    ElementTree.parse(tmp_path / "g.svg")


def test_png_is_twice_the_size_and_html_and_dot_need_nothing(tmp_path: Path) -> None:
    graph = traced()
    sheet = drawing.drawn(graph_of(store_of(graph)))
    ds.debug.save_graph(tmp_path / "g.png", graph)
    data = (tmp_path / "g.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == pytest.approx((sheet.w * 2, sheet.h * 2), abs=2)
    ds.debug.save_graph(tmp_path / "g.html", graph)
    html = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|url\(|@import", html)  # nothing is fetched
    ds.debug.save_graph(tmp_path / "g.dot", graph)
    assert (tmp_path / "g.dot").read_text(encoding="utf-8").startswith("digraph")


def test_png_without_pillow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(PictureError, match=r'pip install "dsviz\[pictures\]".*\.svg'):
        ds.debug.save_graph(tmp_path / "g.png", traced(1))
    assert not (tmp_path / "g.png").exists()


@pytest.mark.parametrize(
    ("path", "options", "error", "says"),
    [
        ("g.pdf", {}, ValueError, r"'.*g\.pdf' has to end in \.svg, \.png, \.html or \.dot"),
        ("-q.svg", {}, ValueError, "looks like an option and not like a file"),
        ("none/g.svg", {}, ValueError, "there is no folder .*none"),
        ("", {}, ValueError, "has to end in"),
        ("g.svg", {"op": "rellu"}, ValueError, "there is no op 'rellu'.*did you mean 'relu'"),
        ("g.svg", {"phase": "back"}, ValueError, "phase has to be one of"),
        ("g.svg", {"graph": 3}, TypeError, "has to be what `with ds.trace"),
        ("g.dot", {"op": "relu"}, ValueError, "op= has no meaning"),
    ],
)
def test_bad_input_is_told(path: str, options: dict[str, object], error: type[Exception], says: str, tmp_path: Path) -> None:  # fmt: skip
    with pytest.raises(error, match=says):
        ds.debug.save_graph(tmp_path / path if path else "", **{"graph": traced(1), **options})
    assert not list(tmp_path.glob("g.*"))


def test_nothing_traced_yet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["engine.trace"], "_latest", [])
    with pytest.raises(ValueError, match="no graph to draw"):
        ds.debug.save_graph(tmp_path / "g.svg")


def test_colours_are_those_of_the_page() -> None:
    tokens = (ROOT / "assets" / "tokens.css").read_text(encoding="utf-8").partition("dark")[0]
    for name, colour in drawing.KINDS.items():
        assert f"--k-{name}: {colour};" in tokens
    for name, colour in effect.COLOURS.items():
        assert f"--m-{name}: {colour};" in tokens
    assert f"--ink: {drawing.INK};" in tokens


def test_memory_figure_tells_how_often_the_allocator_was_asked(tmp_path: Path) -> None:
    ds.manual_seed(0)
    net = ds.Sequential(ds.Linear(256, 512), ds.ReLU(), ds.Linear(512, 10))
    x, y = ds.randn(128, 256), ds.randint(0, 10, (128,))

    def step() -> None:
        net.zero_grad()
        ds.cross_entropy(net(x), y).backward()

    step()
    found = ds.debug.save_memory(tmp_path / "m.svg", step, rounds=4)
    assert found["without"]["reused"] == 0
    assert found["with"]["reused"] > 0
    assert found["with"]["asked"] < found["without"]["asked"]
    assert found["with"]["peak"] == pytest.approx(found["without"]["peak"], rel=0.02)
    said = " ".join(words(tmp_path / "m.svg"))
    assert "memory_optimization: true" in said
    assert f"asked {found['without']['asked']:,} times" in said


@pytest.mark.parametrize(
    ("step", "rounds", "path", "error", "says"),
    [
        (3, 1, "m.svg", TypeError, "step has to be a function of no arguments, got int"),
        (list, 0, "m.svg", ValueError, "rounds has to be a whole number from 1 on, got 0"),
        (list, 1, "m.dot", ValueError, r"\.svg, \.png or \.html"),
    ],
)
def test_bad_input_of_the_memory_figure_is_told(
    step: object, rounds: int, path: str, error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        ds.debug.save_memory(tmp_path / path, step, rounds)  # type: ignore[arg-type]


SCRIPT = """
import sys
import dsviz as ds
net = ds.Sequential(ds.Linear(300, 300), ds.ReLU())
for step in range(2):
    net.zero_grad()
    net(ds.ones(300, 300)).sum().backward()
sys.exit(int(sys.argv[1]) if sys.argv[1:] else 0)
"""


def test_command_draws_a_script_a_recording_and_the_memory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    out = tmp_path / "g.svg"
    assert command.main(["-o", str(out), str(script), "3"]) == 3  # the script's own status
    assert "relu'" in words(out)
    assert "for step in range(2)" in words(out)
    with pytest.raises(UsageError, match="--force"):
        command.main(["-o", str(out), str(script)])
    with ds.record(tmp_path / "run.dsviz"):
        ds.relu(ds.ones(3))
    assert command.main(["-o", str(out), "--force", str(tmp_path / "run.dsviz")]) == 0
    assert "relu" in words(out)
    assert command.main(["--memory", "-o", str(tmp_path / "m.svg"), str(script)]) == 0
    asked = re.findall(r"asked (\d+) times, used again (\d+) times", " ".join(words(tmp_path / "m.svg")))
    assert int(asked[0][1]) > 0
    assert int(asked[1][1]) == 0
    assert int(asked[0][0]) < int(asked[1][0])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([], "nothing to draw"),
        (["train.py"], "no file for the picture"),
        (["-o", "x.pdf", "train.py"], "has to end in"),
        (["-o", "x.svg", "missing.py"], "there is no file"),
        (["-o", "x.svg", "--memory", "--op", "relu", "train.py"], "--op has no meaning"),
        (["-o", "x.dot", "--memory", "train.py"], r"\.svg, \.png or \.html"),
    ],
)
def test_command_tells_mistakes_before_it_runs_anything(asked: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("open('ran', 'w')", encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        command.main(asked)
    assert not (tmp_path / "ran").exists()
