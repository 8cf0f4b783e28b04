// The graph as a file: PNG of what is in view, SVG of all of it as it is folded now, DOT for graphviz.
import { $, h, openMenu } from "./dom.mjs";
import { SvgContext } from "./svg.mjs";

export function download(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function saveMenu(pane) {
  const { painter, state } = pane;
  const name = (state.hello?.script || "graph").replace(/\.py$/, "").replace(/[^\w.-]+/g, "_") || "graph";
  openMenu($("btn-save-picture"), [
    ["PNG of what is in view", "", false, async () => download(`${name}.png`, await png(painter))],
    ["PNG of the whole graph", "", false, async () => download(`${name}.png`, await wholePng(painter))],
    ["SVG of the whole graph", "", false, () => download(`${name}.svg`, new Blob([svg(painter)], { type: "image/svg+xml" }))],
    ["DOT for graphviz", "", false, () => pane.on.dot().then(({ text }) => download(`${name}.dot`, new Blob([text], { type: "text/vnd.graphviz" })))],
  ]);
}

/** What is in view, at the screen's own resolution. */
export function png(painter) {
  const { canvas } = painter;
  const out = h("canvas");
  out.width = canvas.width;
  out.height = canvas.height;
  const ctx = out.getContext("2d");
  ctx.fillStyle = painter.c.sunk;
  ctx.fillRect(0, 0, out.width, out.height);
  ctx.drawImage(canvas, 0, 0);
  return new Promise((done) => out.toBlob(done));
}

/** What is to be in a picture of all: what is not hidden, with room around it. */
function boundsOf(painter) {
  const { scene } = painter;
  const shown = scene.hiding.on && scene.shownBounds();
  return shown ? { x: shown.x - 40, y: shown.y - 40, w: shown.w + 80, h: shown.h + 80 } : scene.layout.bounds();
}

/** Draw a rectangle of the graph into another context, without selection, hover and find. */
function drawInto(painter, ctx, bounds) {
  const { ctx: screen, view, width, height, look } = painter;
  try {
    painter.ctx = ctx;
    painter.view = { k: 1, x: 0, y: 0 };
    painter.look = { ...look, chosen: new Set(), hover: null, found: null, band: null };
    painter.drawIn(bounds.x, bounds.y, bounds.x + bounds.w, bounds.y + bounds.h);
  } finally {
    Object.assign(painter, { ctx: screen, view, width, height, look });
  }
}

const WIDEST = 8192; // pixels of a side of a PNG: more is refused by some browsers

/** All of the graph as pixels: two for one unit, fewer where it is so large that they would be too many. */
export function wholePng(painter) {
  const bounds = boundsOf(painter);
  const scale = Math.min(2, WIDEST / bounds.w, WIDEST / bounds.h);
  const out = h("canvas");
  out.width = Math.ceil(bounds.w * scale);
  out.height = Math.ceil(bounds.h * scale);
  const ctx = out.getContext("2d");
  ctx.fillStyle = painter.c.sunk;
  ctx.fillRect(0, 0, out.width, out.height);
  ctx.setTransform(scale, 0, 0, scale, -bounds.x * scale, -bounds.y * scale);
  drawInto(painter, ctx, bounds);
  return new Promise((done) => out.toBlob(done));
}

/** All of the graph, drawn by the same painter. */
export function svg(painter) {
  const bounds = boundsOf(painter);
  const ctx = new SvgContext(painter.ctx);
  drawInto(painter, ctx, bounds);
  return ctx.document(bounds, painter.c.sunk);
}
