"""A run as one HTML file: opened from the disk by a browser that has no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import DEMOS, press, running, shows
from playwright.sync_api import Browser, Page, expect

from dsviz.cli import main
from dsviz.debuggee.view import BadIndex
from dsviz.onefile.script import NotBundledError, bundle, wrapped
from dsviz.playback import Playback
from dsviz.query.node import plain


def exported(script: Path, folder: Path, *options: str) -> Path:
    recording, page = folder / "run.dsviz", folder / "run.html"
    command = [sys.executable, "-m", "dsviz", "record", "-o", str(recording), *options, str(script)]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert main(["export", str(recording), "--html", str(page)]) == 0
    return page


def opened(browser: Browser, page: Path, problems: list[str]) -> Page:
    """The file in a browser without a network; whatever it asks for or complains of is a problem."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, offline=True)
    tab = context.new_page()
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: problems.append(request.url) if request.url != page.as_uri() else None)
    tab.goto(page.as_uri())
    return tab


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_failed_run_is_looked_at_by_someone_who_has_nothing_installed(
    chromium: Browser, tmp_path: Path
) -> None:
    problems: list[str] = []
    page = opened(chromium, exported(DEMOS / "shape_bug.py", tmp_path, "--trace-level", "2"), problems)
    shows(page, "failed")
    expect(page.locator("#notice")).to_contain_text("This is a run in one file.")
    card = page.locator("#canvas .card")
    expect(card.locator(".operand b.red")).to_have_text(["64", "128"])
    card.get_by_role("button", name="Go to the line").click()
    expect(page.locator(".ln.path")).to_contain_text("return self.head(first)")
    assert page.evaluate("window.dsviz.graph.count") == 212
    assert page.evaluate("window.dsviz.graph.nodes().length") == 17
    page.locator(".ln", has_text="self.mix(x)").locator(".tx").click()
    inspector = page.locator("#inspector")
    expect(inspector).to_contain_text("std")
    expect(inspector).to_contain_text("net.mix")
    page.click("#tab-iterations")
    page.get_by_role("button", name="Iteration 11 is A", exact=True).click()
    page.get_by_role("button", name="Iteration 12 is B", exact=True).click()
    expect(page.locator("#iterations .differs")).to_contain_text("+ cat")
    page.click("#tab-events")
    expect(page.locator("#events tbody tr").first).to_be_visible()
    page.click("#tab-memory")
    expect(page.locator("#memory-figure .peak")).to_contain_text("Peak 300 KB: relu in net, line 36")
    page.locator("#memory-figure svg").click(position={"x": 400, "y": 110})
    expect(page.locator("#memory-legend .alive-h")).to_contain_text("Parameters")
    page.click("#tab-console")
    expect(page.locator("#console-log")).to_contain_text("words: loss")
    page.click("#btn-reverse_continue")
    shows(page, "paused")
    expect(page.locator(".ln.now")).to_contain_text("x = self.embed(ids)")
    expect(page.locator("#btn-next")).to_be_disabled()
    page.keyboard.press("F8")
    shows(page, "failed")
    page.click("#btn-theme")
    assert problems == []


HOSTILE = """
import dsviz as ds
net = ds.Sequential(ds.Linear(2, 2))
holder = ds.Module()
holder.add_module('</script><script>owned=1</script>', net)
holder.forward = lambda x: net(x)
print('</script><script>window.owned=1</script>')
holder(ds.ones(1, 2)).sum().backward()
raise ValueError('<img src=x onerror="window.owned=1">')
"""


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_nothing_of_the_programs_gets_out_of_its_place(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "<b>&'it.py"
    script.write_text(HOSTILE, encoding="utf-8")
    problems: list[str] = []
    file = exported(script, tmp_path)
    text = file.read_text(encoding="utf-8")
    assert "window.owned" not in text
    assert re.search(r"default-src 'none'; script-src 'sha256-[^']*'; style-src 'sha256-[^']*';", text)
    assert not re.search(r"\b(?:src|href)=", text), "nothing is fetched"
    page = opened(chromium, file, problems)
    page.click("#tab-console")
    expect(page.locator("#console-log")).to_contain_text("</script><script>")
    expect(page.locator("#canvas .card")).to_contain_text('<img src=x onerror="window.owned=1">')
    assert page.evaluate("window.owned") is None
    assert problems == []


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_page_itself_saves_the_run_as_a_file_with_its_stops(chromium: Browser, tmp_path: Path) -> None:
    with running(chromium, DEMOS / "shape_bug.py") as run:
        page = run.page()
        press(page, "next")
        press(page, "continue")
        page.keyboard.press("Control+k")
        page.keyboard.type("one HTML file")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "shape_bug.html"
        file = tmp_path / "saved.html"
        download.value.save_as(file)
        assert run.problems == []
    problems: list[str] = []
    page = opened(chromium, file, problems)
    expect(page.locator("#scrub-mark")).to_contain_text("Stop 3 of 3")
    expect(page.locator("#canvas .card")).to_contain_text(
        "head expects rows of 128, but first has rows of 64."
    )
    page.click("#btn-reverse_continue")
    expect(page.locator("#scrub-mark")).to_contain_text("Stop 2 of 3")
    assert page.evaluate("window.dsviz.graph.count") == 1
    assert problems == []


VALUES = """
import dsviz as ds
ds.manual_seed(0)
images = ds.randn(2, 3, 12, 9) * 1
ds.softmax(ds.randn(2, 4, 5, 70), -1)
ds.arange(24).reshape(4, 6) + 0
(ds.randn(3, 4, 100) > 0)
ds.log(ds.tensor([[0.0, 1.0], [2.0, -1.0]]))
ds.randn(300, 300) * 1
images.sum()
"""
SLICES = (
    "",
    "0",
    "1, 2",
    "-1",
    "0, :, 2:5",
    ":, ::2",
    "::-1",
    "0, 1:3, :, ::-2",
    "5:1:-2",
    "3:1",
    "0, 0, 0",
    "1, 0, 1, -3",
)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_value_in_the_file_is_sliced_as_the_program_slices_it(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "values.py"
    script.write_text(VALUES, encoding="utf-8")
    problems: list[str] = []
    page = opened(chromium, exported(script, tmp_path, "--trace-level", "2"), problems)
    shows(page, "finished")
    asked: list[tuple[int, str, str]] = []
    wanted: list[Any] = []
    with Playback(str(tmp_path / "run.dsviz")) as whole:
        for node in page.evaluate("window.dsviz.graph.nodes()"):
            if node["role"] or node["shape"] == [300, 300] or not node["shape"]:
                continue
            for index in SLICES:
                for kind in ("", "image", "attention"):
                    asked.append((node["id"], index, kind))
                    try:
                        wanted.append(plain(whole.look(node["id"], index, kind)))
                    except BadIndex as error:
                        wanted.append(str(error))
    answers = page.evaluate(
        """asked => Promise.all(asked.map(([node, index, kind]) => window.dsviz.live.ask('look', {node, index, kind}).catch(error => error.message)))""",
        asked,
    )
    assert sum(isinstance(answer, dict) for answer in answers) > 60
    for question, answer, look in zip(asked, answers, wanted, strict=True):
        if isinstance(look, dict):
            counts, others = answer.pop("histogram"), look.pop("histogram")
            assert sum(counts) == sum(others), question
            assert sum(abs(a - b) for a, b in zip(counts, others, strict=True)) <= 4, (
                question
            )  # of an edge's two sides
            image, other = (each.pop("image", None) for each in (answer, look))
            assert (image is None) == (other is None), question
            assert image is None or (image["width"], image["height"]) == (other["width"], other["height"])
        assert answer == look, question
    large = next(
        n["id"]
        for n in page.evaluate("window.dsviz.graph.nodes()")
        if n["shape"] == [300, 300] and not n["role"]
    )
    told = page.evaluate(
        f"window.dsviz.live.ask('look', {{node: {large}, index: '0'}}).catch(error => error.message)"
    )
    assert "as large as this one the file holds one picture" in told
    page.get_by_role("application").focus()
    page.locator(".ln", has_text="ds.arange(24)").locator(".tx").click()
    page.get_by_label("Slice of out").fill("1, 2:4")
    page.keyboard.press("Enter")
    expect(page.locator("#inspector .tile")).to_contain_text("8 to 9")
    assert problems == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--html", "x.txt"], "x.txt has to end in .html or .htm"),
        (["--to", "x.txt"], "x.txt has to end in .json or .dot or .html"),
        ([], "give either --to FILE or --html FILE"),
        (["--to", "x.html", "--html", "y.html"], "give either --to FILE or --html FILE"),
        (["--html", "x.html"], "there is no file"),
    ],
)
def test_words_that_make_no_sense_are_told(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "none.dsviz"), *words]) == 2
    assert told in capsys.readouterr().err


def test_modules_become_one_script_in_the_order_they_need_one_another(tmp_path: Path) -> None:
    (tmp_path / "a.mjs").write_text(
        'import {\n  $, two as zwei,\n} from "./b.mjs";\n$(zwei);\n', encoding="utf-8"
    )
    (tmp_path / "b.mjs").write_text(
        "export const $ = print;\nexport class C {}\nexport async function f() {}\nconst two = 2;\nexport { two };\n",
        encoding="utf-8",
    )
    script = bundle(str(tmp_path), "a.mjs")
    assert script.index("b_mjs = ") < script.index("a_mjs = ")
    assert "return { $, C, f, two };" in script
    assert "two: zwei" in script
    assert "import" not in script
    (tmp_path / "b.mjs").write_text('import { x } from "./a.mjs";\n', encoding="utf-8")
    with pytest.raises(NotBundledError, match=r"a\.mjs -> b\.mjs -> a\.mjs"):
        bundle(str(tmp_path), "a.mjs")
    with pytest.raises(NotBundledError, match=r"c\.mjs: 'export default 3;'"):
        wrapped("export default 3;", "c.mjs")
