// Draws nodes: near with their label, note and sign, from far away as one rectangle each.
import { prime, shapeText } from "./dom.mjs";
import { CHIP_FROM } from "./detail.mjs";
import { dtypeSign, heatOf, partKind } from "./colouring.mjs";
import { ICONS, KINDS, kindOf } from "./glyphs.mjs";

const SIGNS = Object.fromEntries(Object.entries(KINDS).map(([kind, [, paths]]) => [
  kind, paths.map((d) => (Array.isArray(d) ? { path: drawn(d[0]), fill: true } : { path: drawn(d) })),
]));
const WARN = drawn(ICONS.warn[0]);

/** A path that still knows its text, for SVG. */
function drawn(d) {
  return Object.assign(new Path2D(d), { d });
}

export function slotOf(p, item) {
  return item.slot ? p.scene.state.slots.get(item.slot) : null;
}

export function isFaint(p, item) {
  const slot = slotOf(p, item);
  if (!slot) return false;
  return slot.status === "unreached" || slot.status === "nottaken" || slot.status === "skipped";
}

/** From far away: one filled rectangle a node, drawn colour by colour. */
export function drawFar(p, items) {
  const { ctx, c, look } = p;
  const batches = new Map();
  for (const item of items) {
    let colour = [c.fwdEdge, c.bwdEdge, c.optEdge][item.lane];
    if (look.colour !== "kind") colour = farColour(p, item) || c.line2;
    if (isFaint(p, item)) colour = c.line2;
    if (look.path?.has(item.key) || look.found?.has(item.key) || look.chosen.has(item.key)) colour = c.accent;
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

/** What a colouring says of a node, where that is all there is room for. */
function farColour(p, item) {
  const { c, look } = p;
  const facts = look.tally.of(item, look);
  if (!facts) return null;
  if (look.colour === "finite") return facts.bad ? c.red : null;
  if (look.colour === "difference") return { a: c.onlyA, b: c.onlyB, c: c.changed }[facts.differs] || null;
  if (look.colour === "part") return facts.part === undefined ? null : p.kinds[partKind(facts.part)];
  return heatOf(facts, look, p);
}

export function drawItem(p, item) {
  const { ctx, c, look, scene } = p;
  const slot = slotOf(p, item);
  const group = item.folded ? scene.state.groups.get(item.group) : null;
  const faint = isFaint(p, item);
  const now = item.key === look.current;
  const bad = item.key === look.failed || slot?.status === "failed";
  const { x, y, w, h } = item;
  if (look.found?.has(item.key)) {
    p.rounded(x - 3, y - 3, w + 6, h + 6, 9);
    ctx.fillStyle = c.accentSoft;
    ctx.fill();
  }
  if (look.chosen.has(item.key) || look.found?.has(item.key)) {
    p.rounded(x - 3, y - 3, w + 6, h + 6, 9);
    ctx.strokeStyle = c.accent;
    ctx.lineWidth = look.chosen.has(item.key) ? 2 : 1;
    ctx.stroke();
  }
  let fill = faint ? null : c.node;
  let stroke = item.key === look.hover ? c.ink3 : c.nodeLine;
  let width = 1;
  const facts = look.colour === "kind" ? null : look.tally.of(item, look);
  if (facts && !faint) fill = heatOf(facts, look, p) || fill;
  const mark = look.colour === "finite" && facts?.bad ? facts : null;
  if (mark) { stroke = c.red; width = mark.made ? 2 : 1; fill = mark.made ? c.redSoft : c.node; }
  const differs = look.colour === "difference" ? facts?.differs : null;
  if (differs) { stroke = { a: c.onlyA, b: c.onlyB, c: c.changed }[differs]; width = 2; }
  const part = look.colour === "part" ? facts?.part : undefined;
  if (part !== undefined) stroke = p.kinds[partKind(part)];
  if (look.path?.has(item.key)) { stroke = c.accent; width = 1.5; }
  if (item.key === look.twin) { stroke = c.now; width = 1.5; }
  if (now && !mark) { fill = c.nowSoft; stroke = c.now; width = 2; } // what is wrong stays red: the arrow tells where execution is
  if (bad) { fill = c.redSoft; stroke = c.red; width = 2; }
  ctx.lineWidth = width;
  ctx.strokeStyle = stroke;
  if (group?.kind === "loop") {
    for (const i of [2, 1]) {
      p.rounded(x + 4 * i, y + 3 * i, w - 8 * i, h, 6);
      ctx.fillStyle = fill || c.node;
      ctx.fill();
      ctx.stroke();
    }
  }
  p.rounded(x, y, w, h, 6);
  if (fill) { ctx.fillStyle = fill; ctx.fill(); }
  if (mark && !mark.made) hatch(p, x, y, w, h);
  if (faint || differs === "a") ctx.setLineDash([3, 3]);
  p.rounded(x, y, w, h, 6);
  ctx.stroke();
  ctx.setLineDash([]);
  const mid = y + h / 2;
  if (mark?.made) p.badge("made here", x + w + 6, mid + 4, c.red, c.redSoft);
  if (differs) p.badge({ a: "\u2212 A", b: "+ B", c: "\u2260" }[differs], x + w - 14, y + 4, stroke, c.node);
  if (part !== undefined) p.badge(`${part}${facts.shared ? " \u2026" : ""}`, x + w - 10, y + 4, p.kinds[partKind(part)], c.node);
  const kind = slot ? kindOf(slot) : "other";
  if (p.view.k >= CHIP_FROM) chip(p, kind, x + 3, mid - 9, faint);
  const sign = look.colour === "dtype" && facts?.dtype ? `${dtypeSign(facts.dtype)}${facts.mixed ? "+" : ""}` : "";
  const note = sign || (group ? (group.kind === "loop" ? `\u00d7${group.turns ?? 0}` : String(group.note || "")) : noteOf(slot));
  const room = w - 25 - 6 - (group ? 14 : 0);
  const label = !group ? slot.label : item.lane === 1 ? `${group.label}'` : group.label;
  ctx.font = p.fonts.label;
  ctx.textAlign = "left";
  ctx.fillStyle = faint ? c.ink3 : c.ink;
  ctx.fillText(p.cut(prime(label), room, p.fonts.label), x + 25, mid + 4.2);
  if (group) {
    ctx.strokeStyle = c.ink3;
    ctx.lineWidth = 1.3;
    ctx.beginPath();
    ctx.moveTo(x + w - 12, mid - 3.2); ctx.lineTo(x + w - 8.8, mid); ctx.lineTo(x + w - 12, mid + 3.2);
    ctx.stroke();
  }
  if (note) {
    const end = x + w - (group ? 17 : 7);
    const font = group ? p.fonts.sub : p.fonts.mono;
    const left = x + 31 + Math.min(room, ctx.measureText(prime(label)).width);
    ctx.textAlign = "right";
    ctx.fillStyle = c.ink3;
    const text = p.cut(note, Math.max(0, end - left), font);
    ctx.font = font;
    if (text.length > 1 && (!sign || text === sign)) ctx.fillText(text, end, mid + 3.6);
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
function hatch(p, x, y, w, h) {
  const { ctx, c } = p;
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

function chip(p, kind, x, y, faint) {
  const { ctx } = p;
  const colour = p.kinds[kind];
  ctx.globalAlpha = faint ? 0.09 : 0.15;
  ctx.fillStyle = colour;
  p.rounded(x, y, 18, 18, 4);
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

/** What stands small at a node's right end: what an input holds, the one attribute that says most. */
function noteOf(slot) {
  if (!slot) return "";
  return slot.role ? shapeText(slot.shape) : slot.note || "";
}
