"""The same graph in the page and, as ONNX, in Netron, in the same browser: first view, frame rate, longest task, heap.

`pip install netron onnx`, then `python tests/benchmarks/beside_netron.py [NODES ...]` (1,000 and 10,000 without). Netron reports
to its maker's servers; here every request to another host is refused.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import graph_size
from measure import browser, dsviz_run, machine, spread
from playwright.sync_api import Browser, CDPSession, Page, expect

PATIENCE = 240  # seconds until a first view
TASKS = """window.tasks = [];
new PerformanceObserver(list => list.getEntries().forEach(task => tasks.push(task.duration))).observe({entryTypes: ['longtask']});"""
# Milliseconds from the navigation until the graph is drawn: the first frame after `there` is true.
DRAWN = """(async () => {
  const frame = () => new Promise(requestAnimationFrame), until = performance.now() + %d;
  while (!(%s)) { if (performance.now() > until) return null; await frame(); }
  await frame();
  return performance.now();
})()"""
FRAMES = """(async () => {
  const frames = [];
  let last = 0;
  for (let i = 0; i < 121; i++) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    if (last) frames.push(now - last);
    last = now;
    %s;
  }
  return frames;
})()"""
WHEEL = """%s.dispatchEvent(new WheelEvent('wheel', {bubbles: true, cancelable: true, clientX: 700, clientY: 400,
  deltaY: i < 60 ? 18 : -18, ctrlKey: true}))"""
OURS = {
    "first": "window.dsviz && window.dsviz.graph.visible > 20",
    "all": "window.dsviz && window.dsviz.graph.expected && window.dsviz.graph.known >= window.dsviz.graph.expected && !window.dsviz.graph.waiting",
    "settled": "document.querySelector('#memory-figure .js-plotly-plot')",
    "pan": "document.getElementById('canvas').dispatchEvent(new WheelEvent('wheel', {bubbles: true, cancelable: true, clientX: 700, clientY: 400, deltaY: 90}))",
    "zoom": WHEEL % "document.getElementById('canvas')",
}
THEIRS = {  # its graph appears whole, once it is laid out
    "first": "document.querySelector('#nodes')?.childElementCount > 20 && document.body.className.includes('default')",
    "all": "document.querySelector('#nodes')?.childElementCount > 20 && document.body.className.includes('default')",
    "settled": "true",
    "pan": "document.getElementById('target').scrollBy(0, 90)",
    "zoom": WHEEL % "document.getElementById('target')",
}


def model(nodes: int) -> Any:
    """The blocks of `graph_size` as an ONNX model."""
    from onnx import TensorProto, helper

    made, before = [], "x"
    weights = [helper.make_tensor(name, TensorProto.FLOAT, dims, [0.5] * (16 if dims == (4, 4) else 4))
               for name, dims in (("w", (4, 4)), ("b", (4,)))]  # fmt: skip
    for block in range(max(1, nodes // 10)):
        x = before
        for step, op in enumerate(
            ("Gemm", "Relu", "Gemm", "Tanh", "Mul", "Sub", "Sigmoid", "Sub", "Mul", "Mul")
        ):
            y = f"y{block}_{step}"
            second = {"Gemm": ["w", "b"], "Mul": [before if step == 8 else x], "Sub": [x]}.get(op, [])
            made.append(helper.make_node(op, [before, *second], [y], name=f"b{block}.{step}"))
            before = y
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 4)) for name in ("x", before)]
    return helper.make_model(helper.make_graph(made, "net", ends[:1], ends[1:], weights))


def asked(cdp: CDPSession, expression: str) -> Any:
    """What an expression gives. (Netron takes `eval` away, which Playwright's own way needs.)"""
    answer = cdp.send(
        "Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True}
    )
    if "exceptionDetails" in answer:
        raise SystemExit(f"the page raised {answer['exceptionDetails']}")
    return answer["result"].get("value")


def looked_at(name: str, page: Page, address: str, ways: dict[str, str]) -> None:
    """Open, wait for the graph, move it, and tell."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    page.goto(address)
    first = asked(cdp, DRAWN % (PATIENCE * 1000, ways["first"]))
    if first is None:
        print(f"  {name:7} no view of the graph within {PATIENCE} s")
        return
    whole = asked(cdp, DRAWN % (PATIENCE * 1000, ways["all"]))
    asked(cdp, DRAWN % (PATIENCE * 1000, ways["settled"]))  # the timeline beside the graph has come, too
    loading = max(asked(cdp, "tasks.splice(0)"), default=0.0)
    moves = {how: asked(cdp, FRAMES % ways[how]) for how in ("pan", "zoom")}
    cdp.send("HeapProfiler.collectGarbage")
    facts = {fact["name"]: fact["value"] for fact in cdp.send("Performance.getMetrics")["metrics"]}
    rates = ", ".join(
        f"{how} {1000 * len(f) / sum(f):.0f}/s (a frame {spread(f, 'ms', 1)})" for how, f in moves.items()
    )
    print(
        f"  {name:7} first view {first:,.0f} ms, whole {whole:,.0f} ms after the address was opened; {rates}; "
        f"longest task {loading:,.0f} ms; heap {facts['JSHeapUsedSize'] / 1e6:.0f} MB",
        flush=True,
    )  # fmt: skip


def ours(chromium: Browser, folder: Path, nodes: int) -> None:
    """The page of a run that has ended."""
    script = folder / f"net{nodes}.py"
    script.write_text(graph_size.program(nodes), encoding="utf-8")
    with dsviz_run(script) as address:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(address)
        page.click("#btn-continue", timeout=120_000)
        expect(page.locator("#run-state")).to_have_text("finished", timeout=300_000)
        page.close()
        page = context.new_page()
        page.add_init_script(TASKS)
        looked_at("dsviz", page, address.partition("?")[0], OURS)
        context.close()


def theirs(chromium: Browser, folder: Path, nodes: int) -> None:
    """Netron, which serves the model from this machine."""
    import netron
    import onnx

    path = folder / f"net{nodes}.onnx"
    onnx.save(model(nodes), path)
    host, port = netron.start(str(path), address=("127.0.0.1", 0), browse=False)
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "consent", "value": "1", "url": f"http://{host}:{port}"}])
    context.route(lambda url: f"//{host}:{port}/" not in url, lambda route: route.abort())
    page = context.new_page()
    page.add_init_script(TASKS)
    looked_at("Netron", page, f"http://{host}:{port}/", THEIRS)
    context.close()
    netron.stop((host, port))


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for nodes in map(int, sys.argv[1:] or ("1000", "10000")):
            print(f"{nodes:,} nodes")
            ours(chromium, Path(folder), nodes)
            theirs(chromium, Path(folder), nodes)


if __name__ == "__main__":
    main()
