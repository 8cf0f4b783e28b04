"""Names that would break out of their place go through every panel of the page, and stay text in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import poll, press, running
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NAMES = {
    "script": "<script>owned=1</script>",
    "image": '<img src=x onerror="owned=1">',
    "rtl": "\u202egnp-exe\u2066abc",
    "lines": "one\ntwo\r\nthree\ttab",
    "emoji": "\U0001f9e8\u200d\U0001f525 caf\u00e9",
    "long": "x" * 10_000,
    "quotes": "a'b\"c`d${owned=1}",
    "nul": "a\x00b\x07c\ud800",
}

PROGRAM = """
import dsviz as ds

NAMES = NAMES_HERE

class Net(ds.Module):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, told):
        for name in NAMES.values():
            x = getattr(self, "inner").layers[name](x)
        return ds.tanh(x)

class Holder(ds.Module):
    def __init__(self):
        self.layers = {}
        for name in NAMES.values():
            layer = ds.Linear(2, 2)
            self.add_module(name, layer)
            self.layers[name] = layer

net = Net(Holder())
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
told = list(NAMES.values())
for name in told:
    print(name.encode("utf-8", "replace").decode(), flush=True)
for turn in range(3):
    loss = net(ds.ones(1, 2), told).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if turn == 2:
        raise ValueError("".join(NAMES.values()))
"""


def test_hostile_names_stay_text_in_every_panel(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "<b onclick=x>&amp;'\u202e\U0001f525.py"
    script.write_text(PROGRAM.replace("NAMES_HERE", ascii(NAMES)), encoding="ascii")
    with running(chromium, script, options=("--trace-level", "2")) as run:
        page = run.page()
        for name in ("script", "long", "rtl", "quotes"):
            text = NAMES[name]
            page.evaluate(
                "text => window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'op', name: text, log: text.replaceAll(/[{}]/g, '')})",
                text,
            )
            page.evaluate(
                "text => window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'module', name: text, condition: JSON.stringify(text.slice(0, 9000)) + ' == 1'})",
                text,
            )
        expect(page.locator("#breakpoints .brk")).to_have_count(10)
        page.click("#watches-add")
        page.get_by_label("Expression to watch").fill("told")
        page.keyboard.press("Enter")
        for _ in range(9):
            press(page, "next")
        expect(page.locator("#variables")).to_contain_text(NAMES["script"])
        page.click("#btn-continue")
        expect(page.locator("#stop-reason")).to_have_text("Exception")
        expect(page.locator("#canvas .card")).to_contain_text("<img src=x")
        for tab in ("memory", "iterations", "parameters", "engine", "events", "console"):
            page.click(f"#tab-{tab}")
            poll(page, "!window.dsviz.live.waiting.size")
        page.click("#tab-engine")
        for view in ("Precision", "Drift", "Reuse", "Partitions", "Configuration"):
            page.locator("#bottom-tools").get_by_role("radio", name=view).click()
            poll(page, "!window.dsviz.live.waiting.size")
            if view in ("Precision", "Drift"):
                expect(page.locator("#engine")).to_contain_text(NAMES["script"])
        for key in "12345678":
            page.focus("#canvas")
            page.keyboard.press(key)
        page.click("#tab-console")
        expect(page.locator("#console-log")).to_contain_text(NAMES["script"])
        page.fill("#console-input", "told")
        page.keyboard.press("Enter")
        page.click("#tab-parameters")
        expect(page.locator("#parameters tbody tr")).to_have_count(16)
        page.locator("#parameters .link").first.click()
        expect(page.locator("#inspector")).to_contain_text("net.inner.<script>")
        page.keyboard.press("Control+k")
        page.keyboard.type("script")
        expect(page.locator("#palette-list")).to_contain_text("<script>")
        page.keyboard.press("Escape")
        page.click("#btn-tracing")
        page.keyboard.press("Escape")
        page.locator(".ln", has_text="return ds.tanh(x)").locator(".tx").hover(position={"x": 130, "y": 8})
        assert page.evaluate("window.owned") is None
        assert page.locator("img, b[onclick]").count() == 0
        for panel in ("source", "graph", "side", "bottom", "toolbar"):
            box = page.locator(f"#{panel}").bounding_box()
            assert box, panel
            assert box["x"] >= 0, panel
            assert box["x"] + box["width"] <= 1440.5, panel
            assert box["y"] + box["height"] <= 900.5, panel
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440
        assert run.problems == []
