"""A sheet as one HTML file that needs nothing else: drag to move, wheel to zoom, point to read, type to find."""

from __future__ import annotations

from dsviz.picture.marks import Sheet
from dsviz.picture.svg import clean, svg

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
html,body{{margin:0;height:100%;overflow:hidden;background:#f8f9fb;font:13px system-ui,sans-serif}}
svg{{width:100%;height:100%;cursor:grab;touch-action:none}}
svg:active{{cursor:grabbing}}
#find{{position:fixed;right:12px;top:10px;padding:5px 9px;border:1px solid #cbd1da;border-radius:6px;font:inherit}}
text.found{{fill:#b34a00!important;text-decoration:underline}}
</style></head><body>
<input id="find" type="search" placeholder="Find an op or a module" aria-label="Find an op or a module">
"""

TAIL = """<script>
const svg = document.querySelector("svg");
const box = svg.viewBox.baseVal;
svg.removeAttribute("width"); svg.removeAttribute("height");
svg.setAttribute("preserveAspectRatio", "xMidYMin meet");
const scale = () => 1 / svg.getScreenCTM().a;
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const m = svg.getScreenCTM().inverse();
  const x = event.clientX * m.a + m.e, y = event.clientY * m.d + m.f;
  const k = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004);
  box.x = x - (x - box.x) * k; box.y = y - (y - box.y) * k; box.width *= k; box.height *= k;
}, { passive: false });
svg.addEventListener("pointermove", (event) => {
  if (!(event.buttons & 1)) return;
  const k = scale();
  box.x -= event.movementX * k; box.y -= event.movementY * k;
});
document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().trim();
  for (const text of svg.querySelectorAll("text")) {
    text.classList.toggle("found", words !== "" && text.textContent.toLowerCase().includes(words));
  }
});
</script></body></html>
"""


def page(sheet: Sheet) -> str:
    """The HTML document of a sheet."""
    return HEAD.format(title=clean(sheet.title)) + svg(sheet) + TAIL
