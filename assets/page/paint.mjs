// Draws the scene on one canvas: only what is in view, with less detail the further away it is.
import { drawBox, drawHeader } from "./boxpaint.mjs";
import { SHAPE_FROM, TEXT_FROM } from "./detail.mjs";
import { prime, token } from "./dom.mjs";
import { drawEdges, drawShapes } from "./edgepaint.mjs";
import { KINDS } from "./glyphs.mjs";
import { LANE, TWIN } from "./measures.mjs";
import { drawFar, drawItem } from "./nodepaint.mjs";

const NAMES = ["panel", "sunk", "hover", "line", "line2", "ink", "ink2", "ink3", "accent", "accent-soft", "now", "now-soft",
  "now-ink", "red", "red-soft", "red-line", "green", "green-soft", "fwd", "fwd-edge", "bwd", "bwd-edge", "bwd-soft",
  "opt-edge", "only-a", "only-b", "changed", "node", "node-line", "group", "group-line", "heat"];

const DOTS = 20; // from one dot of the ground to the next

/** One square of the ground, with a dot in its corner. */
function tileOf(side, ground, dot, ratio) {
  const tile = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const ctx = tile.getContext("2d", { alpha: false });
  ctx.fillStyle = ground;
  ctx.fillRect(0, 0, side, side);
  ctx.fillStyle = dot;
  ctx.fillRect(0, 0, 1.4 * ratio, 1.4 * ratio);
  return tile;
}

export class Painter {
  constructor(canvas, scene) {
    this.canvas = canvas;
    this.scene = scene;
    this.ctx = canvas.getContext("2d", { alpha: false });
    this.view = { k: 1, x: 0, y: 0 };
    this.look = { current: null, failed: null, chosen: new Set(), hover: null, path: null, found: null, band: null, colour: "kind" };
    this.cuts = new Map();
    this.drawn = 0;
    this.size = { w: 0, h: 0 };
    this.theme();
  }

  theme() {
    this.c = Object.fromEntries(NAMES.map((name) => [name.replace(/-(\w)/g, (_, x) => x.toUpperCase()), token(`--${name}`)]));
    this.kinds = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, token(`--k-${kind}`)]));
    this.ui = token("--ui");
    this.mono = token("--mono");
    this.fonts = {
      label: `500 12.5px ${this.ui}`, sub: `10.5px ${this.ui}`, mono: `10px ${this.mono}`, title: `600 12px ${this.ui}`,
      code: `500 10.5px ${this.mono}`, badge: `600 9.5px ${this.ui}`, lane: `600 10.5px ${this.ui}`, clash: `700 10.5px ${this.mono}`,
    };
    this.cuts.clear();
  }

  measurer() {
    const known = new Map();
    return (text) => {
      let width = known.get(text);
      if (width === undefined) {
        this.ctx.font = this.fonts.label;
        known.set(text, (width = this.ctx.measureText(prime(text)).width));
      }
      return width;
    };
  }

  resize() {
    const ratio = Math.min(devicePixelRatio || 1, 3);
    const { w, h } = this.size;
    if (this.canvas.width !== Math.round(w * ratio) || this.canvas.height !== Math.round(h * ratio)) {
      this.canvas.width = Math.round(w * ratio);
      this.canvas.height = Math.round(h * ratio);
    }
    this.ratio = ratio;
    this.width = w;
    this.height = h;
  }

  paint() {
    this.resize();
    const { ctx, view } = this;
    const { k } = view;
    this.ground();
    ctx.setTransform(this.ratio * k, 0, 0, this.ratio * k, this.ratio * view.x, this.ratio * view.y);
    const y0 = -view.y / k - 40;
    const y1 = (this.height - view.y) / k + 40;
    const x0 = -view.x / k - 20;
    const x1 = (this.width - view.x) / k + 20;
    this.drawIn(x0, y0, x1, y1);
  }

  /** Everything that touches a rectangle of the graph, at the zoom of the view. */
  drawIn(x0, y0, x1, y1) {
    const { view: { k }, c, scene } = this;
    const boxes = [];
    for (const b of scene.layout.boxes.values()) if (b.y < y1 && b.y + b.h + 12 > y0 && b.x < x1 && b.x + b.w > x0 && scene.hiding.shows(b)) boxes.push(b);
    boxes.sort((a, b) => a.depth - b.depth);
    for (const box of boxes) drawBox(this, box);
    drawEdges(this, y0, y1, x0, x1);
    if (k >= TEXT_FROM * 0.8) for (const box of boxes) drawHeader(this, box, x0, x1);
    const items = [];
    for (const item of scene.itemBands.between(y0, y1)) {
      if (item.y < y1 && item.y + item.h > y0 && item.x < x1 && item.x + item.w > x0 && this.shows(item)) items.push(item);
    }
    this.drawn = items.length;
    if (k < TEXT_FROM) drawFar(this, items);
    else {
      if (k >= SHAPE_FROM) drawShapes(this, items);
      for (const item of items) drawItem(this, item);
    }
    if (k >= TEXT_FROM) this.lanes(c);
    if (this.look.band) this.band(this.look.band);
  }

  /** Where execution is stays in sight, whatever is hidden. */
  shows(item) {
    return this.scene.hiding.shows(item) || item.key === this.look.current || item.key === this.look.failed;
  }

  /** The rubber band that is being drawn. */
  band({ x, y, w, h }) {
    const { ctx, c } = this;
    ctx.globalAlpha = 0.12;
    ctx.fillStyle = c.accent;
    ctx.fillRect(x, y, w, h);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = c.accent;
    ctx.lineWidth = 1 / this.view.k;
    ctx.strokeRect(x, y, w, h);
  }

  /** The ground with its dots, which go with the view: one tile repeated, since a thousand dots would take longer than the graph. */
  ground() {
    const { ctx, ratio, view, canvas } = this;
    const side = Math.round(DOTS * ratio);
    const place = (x) => ((Math.round(x * ratio) % side) + side) % side;
    if (this.tile?.width !== side || this.tile.colour !== this.c.line) this.tile = Object.assign(tileOf(side, this.c.sunk, this.c.line, ratio), { colour: this.c.line });
    ctx.setTransform(1, 0, 0, 1, place(view.x) - side, place(view.y) - side);
    ctx.fillStyle = ctx.createPattern(this.tile, "repeat");
    ctx.fillRect(0, 0, canvas.width + side, canvas.height + side);
  }

  lanes(c) {
    if (!this.scene.layout.items.size) return;
    const { ctx } = this;
    ctx.font = this.fonts.lane;
    const y = -14;
    ctx.textAlign = "left";
    for (const [text, x, colour, note] of [["FORWARD", -LANE, c.fwd, this.look.notes?.[0]], ["BACKWARD", TWIN - LANE, c.bwd, this.look.notes?.[1]]]) {
      ctx.fillStyle = colour;
      ctx.font = this.fonts.lane;
      ctx.fillText(text, x, y);
      if (note) {
        const w = ctx.measureText(text).width;
        ctx.font = this.fonts.mono;
        ctx.fillStyle = c.ink3;
        ctx.fillText(note, x + w + 10, y);
      }
    }
  }

  rounded(x, y, w, h, r) {
    this.ctx.beginPath();
    this.ctx.roundRect(x, y, w, h, r);
  }

  halo(text, x, y, font, colour, ground) {
    const { ctx } = this;
    ctx.font = font;
    ctx.textAlign = "left";
    ctx.lineJoin = "round";
    ctx.lineWidth = 3;
    ctx.strokeStyle = ground;
    ctx.strokeText(text, x, y);
    ctx.fillStyle = colour;
    ctx.fillText(text, x, y);
    return ctx.measureText(text).width;
  }

  badge(text, x, y, colour, ground) {
    const { ctx } = this;
    ctx.font = this.fonts.badge;
    const w = ctx.measureText(text).width + 12;
    this.rounded(x, y - 11, w, 14, 7);
    if (ground) {
      ctx.fillStyle = ground;
      ctx.fill();
    } else {
      ctx.strokeStyle = this.c.line2;
      ctx.lineWidth = 1;
      ctx.setLineDash([3, 2]);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    ctx.fillStyle = colour;
    ctx.fillText(text, x + 6, y - 0.8);
    return w;
  }

  /** Text that fits, with an ellipsis where it had to be cut. */
  cut(text, room, font) {
    const key = `${Math.round(room)}|${font}|${text}`;
    const known = this.cuts.get(key);
    if (known !== undefined) return known;
    if (this.cuts.size > 20000) this.cuts.clear();
    const { ctx } = this;
    ctx.font = font;
    let shown = text.length > 200 ? `${text.slice(0, 200)}\u2026` : text;
    if (ctx.measureText(shown).width > room) {
      let low = 0;
      let high = shown.length;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (ctx.measureText(`${shown.slice(0, middle)}\u2026`).width <= room) low = middle;
        else high = middle - 1;
      }
      shown = low ? `${shown.slice(0, low)}\u2026` : "";
    }
    this.cuts.set(key, shown);
    return shown;
  }
}

