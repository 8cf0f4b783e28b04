// Draws the scene on one canvas: only what is in view, with less detail the further away it is.
import { bytes, duration, prime, shapeText, token } from "./dom.mjs";
import { ICONS, KINDS, kindOf } from "./glyphs.mjs";
import { LANE, TWIN } from "./layout.mjs";
import { heatOf } from "./colouring.mjs";

const TEXT_FROM = 0.34; // zoom from which labels are drawn
const CHIP_FROM = 0.45;
const SHAPE_FROM = 0.6;

const NAMES = ["panel", "sunk", "hover", "line", "line2", "ink", "ink2", "ink3", "accent", "accent-soft", "now", "now-soft",
  "now-ink", "red", "red-soft", "red-line", "green", "green-soft", "fwd", "fwd-edge", "bwd", "bwd-edge", "bwd-soft",
  "opt-edge", "only-a", "only-b", "node", "node-line", "group", "group-line", "heat"];

const SIGNS = Object.fromEntries(Object.entries(KINDS).map(([kind, [, paths]]) => [
  kind, paths.map((d) => (Array.isArray(d) ? { path: drawn(d[0]), fill: true } : { path: drawn(d) })),
]));
const WARN = drawn(ICONS.warn[0]);

/** A path that still knows its text, for SVG. */
function drawn(d) {
  return Object.assign(new Path2D(d), { d });
}

export class Painter {
  constructor(canvas, scene) {
    this.canvas = canvas;
    this.scene = scene;
    this.ctx = canvas.getContext("2d");
    this.view = { k: 1, x: 0, y: 0 };
    this.look = { current: null, failed: null, selected: null, hover: null, path: null, colour: "kind" };
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
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ctx.clearRect(0, 0, this.width, this.height);
    this.dots();
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
    const boxes = [...scene.layout.boxes.values()].filter((b) => b.y < y1 && b.y + b.h + 12 > y0 && b.x < x1 && b.x + b.w > x0);
    boxes.sort((a, b) => a.depth - b.depth);
    for (const box of boxes) this.box(box);
    this.edges(y0, y1, x0, x1);
    if (k >= TEXT_FROM * 0.8) for (const box of boxes) this.header(box, x0, x1);
    const items = [];
    for (const item of scene.itemBands.between(y0, y1)) {
      if (item.y < y1 && item.y + item.h > y0 && item.x < x1 && item.x + item.w > x0) items.push(item);
    }
    this.drawn = items.length;
    if (k < TEXT_FROM) this.far(items);
    else {
      if (k >= SHAPE_FROM) this.shapes(items);
      for (const item of items) this.item(item);
    }
    if (k >= TEXT_FROM) this.lanes(c);
  }

  dots() {
    const step = 20;
    const { ctx, view } = this;
    ctx.fillStyle = this.c.line;
    const ox = ((view.x % step) + step) % step;
    const oy = ((view.y % step) + step) % step;
    ctx.beginPath();
    for (let x = ox; x < this.width; x += step) for (let y = oy; y < this.height; y += step) ctx.rect(x - 0.7, y - 0.7, 1.4, 1.4);
    ctx.fill();
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

  // ---- boxes ------------------------------------------------------------------------------------

  box(box) {
    const { ctx, c } = this;
    const group = this.scene.state.groups.get(box.id) || box.group;
    const branch = group.kind === "branch";
    ctx.lineWidth = 1;
    if (group.kind === "loop") {
      ctx.strokeStyle = c.fwdEdge;
      for (const i of [2, 1]) {
        this.rounded(box.x + 5 * i, box.y + 4 * i, box.w - 10 * i, box.h, 10);
        ctx.globalAlpha = 0.35;
        ctx.fillStyle = c.group;
        ctx.fill();
        ctx.globalAlpha = 1;
        ctx.stroke();
      }
    }
    this.rounded(box.x, box.y, box.w, box.h, 10);
    ctx.fillStyle = c.group;
    ctx.globalAlpha = branch ? 0.3 : 0.55;
    ctx.fill();
    ctx.globalAlpha = 1;
    ctx.strokeStyle = group.kind === "loop" ? c.fwdEdge : branch ? c.line2 : c.groupLine;
    if (branch) ctx.setLineDash([4, 3]);
    if (this.look.selected === `g${box.id}`) {
      ctx.strokeStyle = c.accent;
      ctx.lineWidth = 2;
    }
    ctx.stroke();
    ctx.setLineDash([]);
    if (branch && group.arm !== "else") this.bypass(box, group);
  }

  /** The way around an arm: dashed, faint when the arm was taken. */
  bypass(box, group) {
    const { ctx, c } = this;
    const column = this.scene.layout.columns[box.index];
    const x = column.x + LANE - 26;
    ctx.strokeStyle = group.taken === false ? c.fwdEdge : c.ink3;
    ctx.globalAlpha = group.taken === false ? 1 : 0.5;
    ctx.lineWidth = 1.2;
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(column.x + 6, box.y + 22);
    ctx.bezierCurveTo(column.x + 60, box.y + 30, x, box.y + 22, x, box.y + Math.min(40, box.h / 2));
    ctx.lineTo(x, box.y + box.h - Math.min(30, box.h / 3));
    ctx.bezierCurveTo(x, box.y + box.h, column.x + 60, box.y + box.h - 6, column.x + 6, box.y + box.h - 2);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    if (this.view.k >= SHAPE_FROM) this.halo(group.taken === false ? "not taken, as it is" : "else, as it is", x + 5, box.y + box.h / 2 + 8, this.fonts.sub, c.ink3, c.group);
  }

  header(box, x0, x1) {
    const { ctx, c } = this;
    const group = this.scene.state.groups.get(box.id) || box.group;
    const y = box.y + 15;
    let x = Math.max(box.x + 10, Math.min(x0 + 24, box.x + box.w - 240));
    ctx.strokeStyle = c.ink3;
    ctx.lineWidth = 1.3;
    ctx.beginPath();
    if (group.kind === "branch") {
      ctx.moveTo(x + 3.5, y - 8); ctx.lineTo(x + 7.5, y - 4); ctx.lineTo(x + 3.5, y); ctx.lineTo(x - 0.5, y - 4); ctx.closePath();
      x += 13;
    } else {
      ctx.moveTo(x - 2, y - 5.5); ctx.lineTo(x + 1.2, y - 2.3); ctx.lineTo(x + 4.4, y - 5.5);
      x += 9;
    }
    ctx.stroke();
    const code = group.kind === "loop" || group.kind === "branch";
    const right = this.scene.state.place(group.file, group.line);
    const title = this.cut(String(group.label), 260, code ? this.fonts.code : this.fonts.title);
    x += this.halo(title, x, y, code ? this.fonts.code : this.fonts.title, c.ink2, c.group) + 7;
    if (group.note) x += this.halo(this.cut(String(group.note), 160, this.fonts.sub), x, y, this.fonts.sub, c.ink3, c.group) + 7;
    if (group.kind === "loop") {
      x += this.badge(`\u00d7${group.turns ?? 0}`, x, y, c.accent, c.accentSoft) + 6;
      if (group.turn !== null && group.turn !== undefined) x += this.badge(`\u2039 turn ${group.turn} \u203a`, x, y, c.ink2, c.hover) + 6;
    }
    if (group.kind === "branch") {
      if (group.taken === true) this.badge("taken", x, y, c.green, c.greenSoft);
      else if (group.taken === false) this.badge("not taken", x, y, c.ink3, null);
    }
    if (right && box.w > 300) {
      ctx.font = this.fonts.sub;
      const w = ctx.measureText(right).width;
      this.halo(right, Math.min(box.x + box.w - 10, Math.max(x1 - 24, x + w)) - w, y, this.fonts.sub, c.ink3, c.group);
    }
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

  // ---- edges ------------------------------------------------------------------------------------

  edges(y0, y1, x0, x1) {
    const { ctx, c, look, view } = this;
    const plain = view.k < TEXT_FROM;
    const batches = new Map();
    const special = [];
    for (const edge of this.scene.edgeBands.between(y0, y1)) {
      if (edge.y0 > y1 || edge.y1 < y0) continue;
      const near = edge.a.key === look.selected || edge.b.key === look.selected || edge.a.key === look.hover || edge.b.key === look.hover;
      if (edge.kind !== "flow") {
        if (plain && !near) continue;
        // Across the lanes: shown for what the person points at or chose, not at every stop.
        if (edge.kind === "hidden" && !(near && (look.byHand || edge.a.key === look.hover || edge.b.key === look.hover))) continue;
        special.push([edge, near]);
        continue;
      }
      const onPath = look.path?.has(edge.a.key) && look.path.has(edge.b.key);
      if (near || onPath || !edge.live || edge.carried || edge.b.key === look.failed) {
        special.push([edge, near, onPath]);
        continue;
      }
      const todo = this.isFaint(edge.b) || this.isFaint(edge.a);
      const key = `${edge.lane}|${plain ? 1 : Math.round(edge.width * 2) / 2}|${todo ? 1 : 0}`;
      const batch = batches.get(key);
      if (batch) batch.push(edge);
      else batches.set(key, [edge]);
    }
    ctx.lineCap = "round";
    for (const [key, list] of batches) {
      const [lane, width, todo] = key.split("|").map(Number);
      const colour = [c.fwdEdge, c.bwdEdge, c.optEdge][lane];
      ctx.strokeStyle = colour;
      ctx.lineWidth = plain ? 1 / view.k * 0.6 : width;
      if (todo) { ctx.setLineDash([2, 4]); ctx.globalAlpha = 0.55; }
      ctx.beginPath();
      for (const edge of list) this.trace(edge, plain);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.globalAlpha = 1;
      if (!plain) {
        ctx.fillStyle = colour;
        for (const edge of list) this.arrow(edge);
      }
    }
    for (const [edge, near, onPath] of special) {
      const failed = edge.b.key === look.failed && edge.live;
      let colour = [c.fwdEdge, c.bwdEdge, c.optEdge][edge.lane];
      let dash = null;
      let width = edge.width;
      if (edge.kind === "twin") {
        const on = edge.b.key === look.current || edge.a.key === look.current;
        colour = on ? c.now : c.line2;
        dash = on ? [2, 4] : [1, 4];
        width = on ? 1.6 : 1;
      } else if (edge.kind === "hidden") { dash = [3, 3]; width = 1.2; colour = c.ink3; }
      else if (!edge.live) { dash = [4, 4]; width = 1.2; colour = c.ink3; }
      if (onPath) colour = c.accent;
      if (failed && edge.kind === "flow") colour = c.red;
      if (near && edge.kind === "flow" && !failed) colour = onPath ? c.accent : c.ink2;
      if (edge.carried) width = 1.4;
      ctx.strokeStyle = ctx.fillStyle = colour;
      ctx.lineWidth = width;
      ctx.globalAlpha = !edge.live && !near ? 0.5 : 1;
      if (dash) ctx.setLineDash(dash);
      ctx.beginPath();
      this.trace(edge, false);
      ctx.stroke();
      ctx.setLineDash([]);
      if (!(edge.kind === "twin" && edge.b.key !== look.current)) this.arrow(edge);
      ctx.globalAlpha = 1;
      if (edge.note && view.k >= SHAPE_FROM) this.halo("to next turn", edge.note[0], edge.note[1], this.fonts.mono, c.ink3, c.group);
    }
  }

  trace(edge, plain) {
    const { ctx } = this;
    ctx.moveTo(edge.from[0], edge.from[1]);
    if (plain || !edge.curves.length) {
      ctx.lineTo(edge.to[0], edge.to[1]);
      return;
    }
    for (const q of edge.curves) {
      if (q[0] === q[4] && q[1] === q[5]) ctx.lineTo(q[4], q[5]);
      else ctx.bezierCurveTo(q[0], q[1], q[2], q[3], q[4], q[5]);
    }
  }

  arrow(edge) {
    const { ctx } = this;
    const [x, y] = edge.to;
    const size = 3.4 + Math.min(edge.width, 5) * 0.5;
    const cos = Math.cos(edge.angle), sin = Math.sin(edge.angle);
    ctx.beginPath();
    ctx.moveTo(x + cos * 4, y + sin * 4);
    ctx.lineTo(x - cos * 2.5 - sin * size, y - sin * 2.5 + cos * size);
    ctx.lineTo(x - cos * 2.5 + sin * size, y - sin * 2.5 - cos * size);
    ctx.fill();
  }

  /** Shapes stand where they leave their node: once for each node, however many use it. */
  shapes(items) {
    const { c, look, scene } = this;
    for (const item of items) {
      if (this.slotOf(item)?.role) continue; // told in the node
      const out = scene.edges.ofItem.get(item.key);
      const edge = out?.find((e) => e.a === item && e.kind === "flow" && e.shape && !e.carried && e.live);
      if (!edge) continue;
      const text = shapeText(edge.shape);
      if (!text) continue;
      const clash = edge.b.key === look.failed;
      const x = item.x + item.w / 2 + edge.width / 2 + 5;
      const y = edge.lane === 1 ? item.y - 4 : item.y + item.h + 10.5;
      this.halo(text, x, y, clash ? this.fonts.clash : this.fonts.mono, clash ? c.red : c.ink3, item.frame.host ? c.group : c.sunk);
    }
  }

  // ---- nodes ------------------------------------------------------------------------------------

  slotOf(item) {
    return item.slot ? this.scene.state.slots.get(item.slot) : null;
  }

  isFaint(item) {
    const slot = this.slotOf(item);
    if (!slot) return false;
    return slot.status === "unreached" || slot.status === "nottaken" || slot.status === "skipped";
  }

  /** From far away: one filled rectangle a node, drawn colour by colour. */
  far(items) {
    const { ctx, c, look } = this;
    const batches = new Map();
    for (const item of items) {
      let colour = [c.fwdEdge, c.bwdEdge, c.optEdge][item.lane];
      if (this.isFaint(item)) colour = c.line2;
      if (item.key === look.selected) colour = c.accent;
      if (item.key === look.current) colour = c.now;
      if (item.key === look.failed) colour = c.red;
      const batch = batches.get(colour);
      if (batch) batch.push(item);
      else batches.set(colour, [item]);
    }
    for (const [colour, list] of batches) {
      ctx.fillStyle = colour;
      ctx.beginPath();
      for (const item of list) ctx.rect(item.x, item.y, item.w, item.h);
      ctx.fill();
    }
  }

  item(item) {
    const { ctx, c, look, scene } = this;
    const slot = this.slotOf(item);
    const group = item.folded ? scene.state.groups.get(item.group) : null;
    const faint = this.isFaint(item);
    const now = item.key === look.current;
    const bad = item.key === look.failed || slot?.status === "failed";
    const { x, y, w, h } = item;
    if (item.key === look.selected) {
      this.rounded(x - 3, y - 3, w + 6, h + 6, 9);
      ctx.strokeStyle = c.accent;
      ctx.lineWidth = 2;
      ctx.stroke();
    }
    let fill = faint ? null : c.node;
    let stroke = item.key === look.hover ? c.ink3 : c.nodeLine;
    let width = 1;
    if (look.colour !== "kind" && slot && !faint) fill = heatOf(slot, look, this) || fill;
    const mark = look.colour === "finite" && slot ? look.marks?.get(slot.id) : null;
    if (mark?.bad) { stroke = c.red; width = mark.made ? 2 : 1; fill = mark.made ? c.redSoft : c.node; }
    const differs = look.colour === "difference" && slot ? look.differs?.get(slot.id) : null;
    if (differs) { stroke = differs === "b" ? c.onlyB : c.onlyA; width = 2; }
    if (look.path?.has(item.key)) { stroke = c.accent; width = 1.5; }
    if (item.key === look.twin) { stroke = c.now; width = 1.5; }
    if (now) { fill = c.nowSoft; stroke = c.now; width = 2; }
    if (bad) { fill = c.redSoft; stroke = c.red; width = 2; }
    ctx.lineWidth = width;
    ctx.strokeStyle = stroke;
    if (group?.kind === "loop") {
      for (const i of [2, 1]) {
        this.rounded(x + 4 * i, y + 3 * i, w - 8 * i, h, 6);
        ctx.fillStyle = fill || c.node;
        ctx.fill();
        ctx.stroke();
      }
    }
    this.rounded(x, y, w, h, 6);
    if (fill) { ctx.fillStyle = fill; ctx.fill(); }
    if (mark?.bad && !mark.made) this.hatch(x, y, w, h);
    if (faint || differs === "a") ctx.setLineDash([3, 3]);
    this.rounded(x, y, w, h, 6);
    ctx.stroke();
    ctx.setLineDash([]);
    const mid = y + h / 2;
    if (mark?.made) this.badge("made here", x + w + 6, mid + 4, c.red, c.redSoft);
    if (differs) this.badge(differs === "b" ? "+ B" : "\u2212 A", x + w - 14, y + 4, differs === "b" ? c.onlyB : c.onlyA, c.node);
    const kind = slot ? kindOf(slot) : "other";
    if (this.view.k >= CHIP_FROM) this.chip(kind, x + 3, mid - 9, faint);
    const note = group ? (group.kind === "loop" ? `\u00d7${group.turns ?? 0}` : String(group.note || "")) : noteOf(slot);
    const room = w - 25 - 6 - (group ? 14 : 0);
    const label = !group ? slot.label : item.lane === 1 ? `${group.label}'` : group.label;
    ctx.font = this.fonts.label;
    ctx.textAlign = "left";
    ctx.fillStyle = faint ? c.ink3 : c.ink;
    ctx.fillText(this.cut(prime(label), room, this.fonts.label), x + 25, mid + 4.2);
    if (group) {
      ctx.strokeStyle = c.ink3;
      ctx.lineWidth = 1.3;
      ctx.beginPath();
      ctx.moveTo(x + w - 12, mid - 3.2); ctx.lineTo(x + w - 8.8, mid); ctx.lineTo(x + w - 12, mid + 3.2);
      ctx.stroke();
    }
    if (note) {
      const end = x + w - (group ? 17 : 7);
      const font = group ? this.fonts.sub : this.fonts.mono;
      const left = x + 31 + Math.min(room, ctx.measureText(prime(label)).width);
      ctx.textAlign = "right";
      ctx.fillStyle = c.ink3;
      const text = this.cut(note, Math.max(0, end - left), font);
      ctx.font = font;
      if (text.length > 1) ctx.fillText(text, end, mid + 3.6);
      ctx.textAlign = "left";
    }
    if (bad) {
      ctx.save();
      ctx.translate(x + w + 5, mid - 7);
      ctx.scale(0.875, 0.875);
      ctx.strokeStyle = c.red;
      ctx.lineWidth = 1.6;
      ctx.stroke(WARN);
      ctx.restore();
    }
    if (now) {
      ctx.fillStyle = bad ? c.red : c.now;
      ctx.beginPath();
      ctx.moveTo(x - 13, mid - 5); ctx.lineTo(x - 5, mid); ctx.lineTo(x - 13, mid + 5);
      ctx.fill();
    }
  }

  /** Carried on: not finite, but not from here. */
  hatch(x, y, w, h) {
    const { ctx, c } = this;
    ctx.beginPath();
    for (let d = 6; d < w + h; d += 7) {
      const x0 = x + Math.max(1, d - h + 2), y0 = y + Math.min(h - 1, d);
      const x1 = x + Math.min(w - 1, d), y1 = y + Math.max(1, d - w);
      if (x1 > x0) { ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); }
    }
    ctx.globalAlpha = 0.3;
    ctx.lineWidth = 1;
    ctx.strokeStyle = c.red;
    ctx.stroke();
    ctx.globalAlpha = 1;
  }

  chip(kind, x, y, faint) {
    const { ctx } = this;
    const colour = this.kinds[kind];
    ctx.globalAlpha = faint ? 0.09 : 0.15;
    ctx.fillStyle = colour;
    this.rounded(x, y, 18, 18, 4);
    ctx.fill();
    ctx.globalAlpha = faint ? 0.6 : 1;
    ctx.save();
    ctx.translate(x + 4.5, y + 4.5);
    ctx.scale(0.75, 0.75);
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.lineWidth = 1.7;
    ctx.lineJoin = "round";
    for (const sign of SIGNS[kind]) sign.fill ? ctx.fill(sign.path) : ctx.stroke(sign.path);
    ctx.restore();
    ctx.globalAlpha = 1;
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

/** What stands small at a node's right end: what an input holds, the one attribute that says most. */
function noteOf(slot) {
  if (!slot) return "";
  return slot.role ? shapeText(slot.shape) : slot.note || "";
}

/** One line about an item, for the tip and for screen readers. */
export function describe(state, scene, item) {
  if (item.folded) {
    const group = state.groups.get(item.group);
    return [`${prime(group.label)}${item.lane === 1 ? "\u2032" : ""}`, [group.note, state.place(group.file, group.line), "folded; double click opens it"].filter(Boolean).join(", ")];
  }
  const slot = state.slots.get(item.slot);
  const ran = slot.status === "done" ? [duration(slot.ns), bytes(slot.nbytes)] : [{ pending: "about to run", unreached: "not run yet", nottaken: "not taken" }[slot.status] || slot.status];
  return [prime(slot.label), [shapeText(slot.shape), slot.dtype, ...ran, slot.module, state.place(slot.file, slot.line)].filter(Boolean).join(", ")];
}
