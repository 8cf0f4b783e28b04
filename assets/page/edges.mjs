// Which edges there are, and the way each takes. An edge that was once seen stays: the ways a program did not
// take this time are drawn faint.
import { LANE, TWIN } from "./measures.mjs";

const FAR = 62; // a longer edge looks for a corridor with no node in it

export class Edges {
  constructor() {
    this.clear();
  }

  clear() {
    this.known = new Map(); // slot -> [{id of a source, carried, shape, bytes, live, edge}]
    this.forget();
  }

  /** Drop the drawn edges (their ends were laid out anew), keep what is known. */
  forget() {
    this.drawn = [];
  }

  /** Take a slot's inputs; true when one of them is new. */
  take(slot) {
    let sources = this.known.get(slot.id);
    if (!sources) this.known.set(slot.id, (sources = []));
    for (const facts of sources) facts.live = false;
    const before = sources.length;
    if (slot.inputs) for (const input of slot.inputs) this.learn(sources, input, true);
    if (slot.others) for (const input of slot.others) this.learn(sources, input, false);
    for (const facts of sources) facts.edge?.weigh(facts);
    return sources.length > before;
  }

  learn(sources, [id, carried, shape, bytes], live) {
    let facts = sources.find((one) => one.id === id);
    if (facts && !live) return;
    if (!facts) sources.push((facts = { id, carried: false, shape, bytes, live, edge: null }));
    facts.carried = Boolean(carried);
    facts.shape = shape;
    facts.bytes = bytes;
    facts.live = live;
  }

  /** Draw what can be drawn of a slot's edges. New edges are pushed to `out`. */
  connect(state, layout, slot, out) {
    const sources = this.known.get(slot.id);
    if (!sources?.length) return;
    const target = layout.itemOf(state, slot);
    if (!target) return;
    for (const facts of sources) {
      const from = state.slots.get(facts.id);
      // A parameter is part of its layer: where that is folded, the layer would seem to feed whoever else uses it.
      const source = from && from.role !== "parameter" && layout.itemOf(state, from);
      if (!source || source === target) continue;
      const old = between(source, target);
      if (old) {
        facts.edge = old;
        if (facts.live && (facts.bytes || 0) >= (old.bytes || 0)) old.weigh(facts);
        continue;
      }
      const edge = new Edge(source, target, facts, layout);
      facts.edge = edge;
      source.edges.push(edge);
      target.edges.push(edge);
      this.drawn.push(edge);
      out.push(edge);
    }
  }
}

/** The edge from an item to another, if it is drawn; looked for at the end that has fewer. */
function between(a, b) {
  for (const edge of a.edges.length < b.edges.length ? a.edges : b.edges) if (edge.a === a && edge.b === b) return edge;
  return null;
}

/**
 * From item `a` to `b`. Where it may be is known at once; the way it takes only when it is first drawn, because most
 * edges of a large graph never are.
 */
class Edge {
  constructor(a, b, facts, layout) {
    this.a = a;
    this.b = b;
    this.carried = facts.carried;
    this.layout = layout;
    this.lane = b.lane;
    this.kind = a.lane === b.lane ? "flow" : a.lane === 0 && b.lane === 1 && Math.abs(a.y - b.y) < 1 && Math.abs(b.x - a.x - TWIN) < 1 ? "twin" : "hidden";
    this.way = null;
    this.grown = null; // how much there was when its way was found, where that may change
    this.y0 = Math.min(a.y, b.y);
    this.y1 = Math.max(a.y + a.h, b.y + b.h);
    const lane = layout.columns[a.frame.index].x + (b.lane === 1 ? TWIN : 0);
    const aside = this.kind === "flow" && a.frame.index === b.frame.index ? LANE + 12 : 0;
    this.x0 = Math.min(a.x, b.x, lane - aside);
    this.x1 = Math.max(a.x + a.w, b.x + b.w, lane + aside);
    this.weigh(facts);
  }

  weigh({ live, shape, bytes }) {
    this.live = live;
    this.shape = shape;
    this.bytes = bytes;
    this.width = 1.1 + 0.55 * Math.log2(1 + (bytes || 0) / 4096);
  }

  /** {from, curves, to, angle, note}: points of its line, from end to end. */
  get path() {
    if (!this.way || (this.grown !== null && this.grown !== this.layout.grown)) route(this, this.layout);
    return this.way;
  }
}

const middle = (item) => item.x + item.w / 2;

/** Finds the way of an edge. */
function route(edge, layout) {
  const { a, b } = edge;
  if (edge.kind === "twin") return setPath(edge, [a.x + a.w, a.y + a.h / 2], [], [b.x, b.y + b.h / 2]);
  if (edge.kind === "hidden") return sideways(edge); // shown with the selection: saved values, gradients that go to an update
  if (a.frame.index !== b.frame.index) return sideways(edge);
  const up = b.lane === 1;
  const y1 = up ? a.y : a.y + a.h;
  const y2 = up ? b.y + b.h + 4 : b.y - 4;
  const forward = up ? y1 - y2 : y2 - y1;
  if (Math.abs(a.y - b.y) < 1 && !edge.carried && !up) return beside(edge, layout);
  if (edge.carried || forward < 2) return around(edge, layout);
  const x1 = middle(a);
  const x2 = middle(b);
  const sign = up ? -1 : 1;
  if (forward <= FAR) {
    const bend = Math.max(5, forward * 0.45) * sign;
    setPath(edge, [x1, y1], [[x1, y1 + bend, x2, y2 - bend, x2, y2]], [x2, y2]);
    return;
  }
  const top = Math.min(y1, y2) + 13;
  const bottom = Math.max(y1, y2) - 13;
  const column = layout.columns[a.frame.index];
  const { shelf } = column;
  const lane = column.x + (up ? TWIN : 0);
  const tries = [x1, x2, lane + LANE + 6, lane - LANE - 6];
  for (let d = 20; d < LANE; d += 24) tries.push(x1 + d, x1 - d);
  tries.splice(2, 2, ...tries.splice(4), lane + LANE + 6);
  let x = lane + LANE + 6;
  for (const candidate of tries) {
    if (Math.abs(candidate - lane) > LANE + 6) continue;
    if (layout.crossesArm(column, candidate, top, bottom, lane, a, b)) continue;
    const hit = shelf.hit(candidate - 5, top, candidate + 5, bottom, null);
    if (!hit || hit === a || hit === b) {
      x = candidate;
      break;
    }
  }
  const bend = Math.min(26, forward * 0.3) * sign;
  const curves = [];
  if (x === x1) curves.push([x1, y2 - bend * 1.4, x1, y2 - bend * 1.4, x1, y2 - bend * 1.4]);
  else curves.push([x1, y1 + bend * 0.8, x, y1 + bend * 0.2, x, y1 + bend], [x, y2 - bend, x, y2 - bend, x, y2 - bend]);
  const [, , , , xe, ye] = curves[curves.length - 1];
  curves.push([xe, ye + bend * 0.8, x2, y2 - bend * 0.8, x2, y2]);
  setPath(edge, [x1, y1], curves, [x2, y2]);
  edge.way.besideArm = layout.crossesArm(column, x1, top, bottom, lane, a, b);
}

/** To what stands in the same row, as an input beside what uses it: straight, or below whatever stands between. */
function beside(edge, layout) {
  const { a, b } = edge;
  const right = middle(b) > middle(a);
  const y = a.y + a.h / 2;
  const [x1, x2] = right ? [a.x + a.w, b.x - 4] : [a.x, b.x + b.w + 4];
  edge.grown = layout.grown; // something may come to stand between them
  const { shelf } = layout.columns[a.frame.index];
  if (!shelf.hit(Math.min(x1, x2) + 5, y - 3, Math.max(x1, x2) - 5, y + 3)) return setPath(edge, [x1, y], [], [x2, y]);
  const under = Math.max(a.y + a.h, b.y + b.h) + 6;
  const out = middle(a) + (right ? 14 : -14);
  const back = middle(b) - (right ? 14 : -14);
  return setPath(edge, [out, a.y + a.h], [
    [out, under, out, under, out + (right ? 6 : -6), under],
    [back - (right ? 6 : -6), under, back - (right ? 6 : -6), under, back - (right ? 6 : -6), under],
    [back, under, back, under, back, b.y + b.h + 4],
  ], [back, b.y + b.h + 4]);
}

/** Back to an earlier place, as a loop does from turn to turn: out at the side of the lane. */
function around(edge, layout) {
  const { a, b } = edge;
  const up = b.lane === 1;
  const lane = layout.columns[a.frame.index].x + (up ? TWIN : 0);
  const x = lane - LANE - 4 + (a.key.length % 3) * 3;
  const y1 = a.y + a.h / 2;
  const y2 = b.y + b.h / 2;
  const r = Math.min(8, Math.abs(y2 - y1) / 2) * Math.sign(y2 - y1 || 1);
  setPath(edge, [a.x, y1], [
    [a.x, y1, x + Math.abs(r), y1, x + Math.abs(r), y1],
    [x, y1, x, y1, x, y1 + r],
    [x, y2 - r, x, y2 - r, x, y2 - r],
    [x, y2, x, y2, x + Math.abs(r), y2],
    [b.x - 4, y2, b.x - 4, y2, b.x - 4, y2],
  ], [b.x - 4, y2]);
  if (edge.carried) edge.way.note = [x + 8, y1 - 6];
}

function sideways(edge) {
  const { a, b } = edge;
  const right = middle(b) > middle(a);
  const x1 = right ? a.x + a.w : a.x;
  const x2 = right ? b.x - 4 : b.x + b.w + 4;
  const y1 = a.y + a.h / 2;
  const y2 = b.y + b.h / 2;
  const bend = Math.max(24, Math.abs(x2 - x1) * 0.4) * (right ? 1 : -1);
  setPath(edge, [x1, y1], [[x1 + bend, y1, x2 - bend, y2, x2, y2]], [x2, y2]);
}

function setPath(edge, from, curves, to) {
  const last = curves[curves.length - 1];
  const [x, y] = last ? [last[2], last[3]] : from;
  edge.way = { from, curves, to, angle: Math.atan2(to[1] - y, to[0] - x), note: null, besideArm: false };
}
