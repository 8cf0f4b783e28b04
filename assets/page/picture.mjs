// The graph as a file: PNG of what is in view, SVG of all of it as it is folded now, DOT for graphviz.
import { h } from "./dom.mjs";
import { SvgContext } from "./svg.mjs";

export function download(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
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

/** All of the graph, drawn by the same painter. */
export function svg(painter) {
  const bounds = painter.scene.layout.bounds();
  const kept = { ctx: painter.ctx, view: painter.view, width: painter.width, height: painter.height };
  const ctx = new SvgContext(kept.ctx);
  try {
    painter.ctx = ctx;
    painter.view = { k: 1, x: 0, y: 0 };
    painter.drawIn(bounds.x, bounds.y, bounds.x + bounds.w, bounds.y + bounds.h);
  } finally {
    Object.assign(painter, kept);
  }
  return ctx.document(bounds, painter.c.sunk);
}
