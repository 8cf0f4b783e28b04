// Which edges there are, and the way each takes. An edge that was once seen stays: the ways a program did not
// take this time are drawn faint.
import { LANE, TWIN } from "./layout.mjs";

const FAR = 62; // a longer edge looks for a corridor with no node in it

export class Edges {
  constructor() {
    this.clear();
  }

  clear() {
    this.known = new Map(); // slot -> Map(source slot -> {carried, shape, bytes, live})
    this.forget();
  }

  /** Drop the drawn edges (their ends were laid out anew), keep what is known. */
  forget() {
    this.drawn = new Map(); // "s1>s2" -> edge
    this.ofItem = new Map(); // item key -> [edge]
  }

  /** Take a slot's inputs; true when one of them is new. */
  take(slot) {
    let sources = this.known.get(slot.id);
    if (!sources) this.known.set(slot.id, (sources = new Map()));
    for (const facts of sources.values()) facts.live = false;
    let fresh = false;
    for (const [id, carried, shape, bytes] of slot.inputs || []) {
      if (!sources.has(id)) fresh = true;
      sources.set(id, { carried: Boolean(carried), shape, bytes, live: true, edge: sources.get(id)?.edge });
    }
    for (const [id, carried, shape, bytes] of slot.others || []) {
      if (sources.has(id)) continue;
      fresh = true;
      sources.set(id, { carried: Boolean(carried), shape, bytes, live: false });
    }
    for (const facts of sources.values()) if (facts.edge) Object.assign(facts.edge, this.weight(facts));
    return fresh;
  }

  weight(facts) {
    return { live: facts.live, shape: facts.shape, bytes: facts.bytes, width: 1.1 + 0.55 * Math.log2(1 + (facts.bytes || 0) / 4096) };
  }

  /** Draw what can be drawn of a slot's edges. New edges are pushed to `out`. */
  connect(state, layout, slot, out) {
    const target = layout.itemOf(state, slot);
    if (!target) return;
    for (const [id, facts] of this.known.get(slot.id) || []) {
      const from = state.slots.get(id);
      // A parameter is part of its layer: where that is folded, the layer would seem to feed whoever else uses it.
      const source = from && from.role !== "parameter" && layout.itemOf(state, from);
      if (!source || source === target) continue;
      const key = `${source.key}>${target.key}`;
      const old = this.drawn.get(key);
      if (old) {
        facts.edge = old;
        if (facts.live && (facts.bytes || 0) >= (old.bytes || 0)) Object.assign(old, this.weight(facts));
        continue;
      }
      const edge = { key, a: source, b: target, carried: facts.carried, ...this.weight(facts) };
      route(edge, layout);
      facts.edge = edge;
      this.drawn.set(key, edge);
      for (const end of [source, target]) {
        const list = this.ofItem.get(end.key);
        if (list) list.push(edge);
        else this.ofItem.set(end.key, [edge]);
      }
      out.push(edge);
    }
  }
}

const middle = (item) => item.x + item.w / 2;

/** Sets `kind` ("flow", "twin", "hidden"), `lane`, the points of `path`, and its extent. */
export function route(edge, layout) {
  const { a, b } = edge;
  edge.lane = b.lane;
  edge.kind = "flow";
  if (a.lane !== b.lane) {
    if (a.lane === 0 && b.lane === 1 && Math.abs(a.y - b.y) < 1 && Math.abs(b.x - a.x - TWIN) < 1) {
      edge.kind = "twin";
      setPath(edge, [a.x + a.w, a.y + a.h / 2], [], [b.x, b.y + b.h / 2]);
      return;
    }
    edge.kind = "hidden"; // shown with the selection: saved values, gradients that go to an update
    sideways(edge);
    return;
  }
  if (a.frame.index !== b.frame.index) return sideways(edge);
  const up = b.lane === 1;
  const y1 = up ? a.y : a.y + a.h;
  const y2 = up ? b.y + b.h + 4 : b.y - 4;
  const forward = up ? y1 - y2 : y2 - y1;
  if (Math.abs(a.y - b.y) < 1 && a.x + a.w < b.x && !up) { // an input beside what uses it
    const y = a.y + a.h / 2;
    return setPath(edge, [a.x + a.w, y], [], [b.x - 4, y]);
  }
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
  edge.note = edge.carried ? [x + 8, y1 - 6] : null;
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
  edge.from = from;
  edge.curves = curves;
  edge.to = to;
  const last = curves[curves.length - 1];
  const before = last ? [last[2], last[3]] : from;
  edge.angle = Math.atan2(to[1] - before[1], to[0] - before[0]);
  const ys = [from[1], to[1], ...curves.map((c) => c[5])];
  edge.y0 = Math.min(...ys);
  edge.y1 = Math.max(...ys);
  const xs = [from[0], to[0], ...curves.flatMap((c) => [c[0], c[2], c[4]])];
  edge.x0 = Math.min(...xs);
  edge.x1 = Math.max(...xs);
}
