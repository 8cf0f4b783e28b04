// Columns and the boxes in them: what may still grow, where there is room, and taking a place.
import { APART, HEAD, LANE, MARGIN, NODE_H, PAD, ROW, TWIN } from "./measures.mjs";
import { Shelf } from "./shelf.mjs";

export const BEFORE_BOX = 16;
const INDENT = 7; // each box inside another
const COLUMN = 2 * LANE + TWIN + 2 * MARGIN + 40;
const ARM = 70; // half of what the nodes of an arm take, in its middle

const SIDEWAYS = [0]; // from the wanted place, nearest first
for (let d = 8; d <= 2 * LANE; d += 8) SIDEWAYS.push(d, -d);

/** Whether a frame is a box or stands in it. */
function within(frame, box) {
  for (let f = frame; f; f = f.host) if (f === box) return true;
  return false;
}

/** A frame is a column, which grows without end, or a box in one. */
export class Frames {
  constructor() {
    this.clearPlaces();
  }

  clearPlaces() {
    this.items = new Map(); // "s12" or "g5" or "g5b" -> item
    this.ofSlot = []; // slot -> its own item
    this.ofFold = new Map(); // folded group -> [its item, its backward one]
    this.fresh = []; // items since someone last asked
    this.boxes = new Map(); // group -> box (a frame that is drawn)
    this.columns = [];
    this.version = (this.version || 0) + 1;
    this.grown = 0;
    this.column(0);
  }

  column(index) {
    if (!this.columns[index]) {
      this.columns[index] = {
        id: `column${index}`, host: null, index, x: index * COLUMN, y: 0, top: 0, bottom: 0, depth: -1,
        children: [], boxes: [], arms: [], shelf: new Shelf(),
      };
    }
    return this.columns[index];
  }

  frameOf(state, id, hint) {
    const group = state.groups.get(id);
    if (!group) return this.columns[0];
    const known = this.boxes.get(id);
    if (known) return known;
    const host = this.frameOf(state, group.parent, hint);
    this.placeWaiting(state, host, group);
    const needed = HEAD + ROW + PAD;
    const top = host.bottom + (host.children.length ? BEFORE_BOX : host.host ? 0 : 4);
    const y = host.host && !host.children.length ? host.y + HEAD : top;
    if (this.canGrow(host, y + needed)) return this.openBox(group, host, y, needed);
    return this.openAside(group, host, hint, needed);
  }

  openBox(group, host, y, height) {
    const depth = host.depth + 1;
    const indent = Math.min(depth, 5) * INDENT + Math.max(0, depth - 5) * 2;
    const column = this.columns[host.index];
    const box = {
      id: group.id, group, host, index: host.index, depth,
      x: column.x - LANE - MARGIN + indent, w: 2 * LANE + TWIN + 2 * (MARGIN - indent),
      y, h: height, bottom: y + HEAD - 4, children: [], boxes: [],
      pen: null,
    };
    this.boxes.set(group.id, box);
    host.children.push(box);
    host.boxes.push(box);
    this.stretch(box, y + height - PAD);
    this.grown++;
    return box;
  }

  openAside(group, host, hint, height) {
    const y = Math.max(host.y, hint ?? host.y);
    let best = null;
    for (let i = host.index + 1; i <= this.columns.length; i++) {
      const column = this.column(i);
      const at = Math.max(y, column.children.length ? column.bottom + BEFORE_BOX : y);
      if (!best || at < best.at - 400) best = { column, at };
      if (at <= y + 400) break;
    }
    const box = this.openBox(group, best.column, best.at, height);
    box.aside = true;
    return box;
  }

  /** Whether `frame` may hold something down to `bottom` without pushing anything else. */
  canGrow(frame, bottom) {
    if (!frame.host) return true;
    if (bottom + PAD <= frame.y + frame.h + 0.5) return true;
    if (frame.host.bottom > frame.y + frame.h + 0.5) return false;
    return this.canGrow(frame.host, bottom + PAD);
  }

  stretch(frame, bottom) {
    for (let f = frame, b = bottom; f; b = f.y + f.h, f = f.host) {
      if (b > f.bottom) f.bottom = b;
      if (!f.host) break;
      if (b + PAD > f.y + f.h) f.h = b + PAD - f.y;
    }
  }

  startOf(frame) {
    return frame.host ? frame.y + HEAD + 2 : 4;
  }

  asideOf(frame, from) {
    for (let i = frame.index + 1; i < this.columns.length; i++) if (this.columns[i].bottom <= from + 600) return this.columns[i];
    return this.column(Math.max(this.columns.length, frame.index + 1));
  }

  /** Whether a way from `a` to `b` at x would lead through the middle of an arm that neither belongs to. */
  crossesArm(column, x, y0, y1, lane, a, b) {
    return column.arms.some((arm) => arm.y < y1 && arm.y + arm.h > y0 && Math.abs(x - lane) < ARM && !within(a.frame, arm) && !within(b.frame, arm));
  }

  boxAt(frame, y) {
    return frame.boxes.find((box) => box.y < y + NODE_H && box.y + box.h > y);
  }

  /** Nearest free place to `cx` in the first row from `y` on that has one; its mirror is free too. */
  search(column, cx, y, rows, width, owner, allowed) {
    const low = column.x - LANE;
    const high = column.x + LANE - width;
    const wanted = Math.max(low, Math.min(high, cx - width / 2));
    for (let row = 0; row <= rows; row++) {
      const top = y + row * ROW;
      if (!allowed(top)) continue;
      for (const d of SIDEWAYS) {
        const x = Math.round(wanted + d);
        if (x < low || x > high) continue;
        if (this.isFree(column, x, top, width, owner) && this.isFree(column, x + TWIN, top, width, owner)) return { x, y: top };
      }
    }
    return null;
  }

  isFree(column, x, y, width, owner) {
    return !column.shelf.hit(x - APART, y - 4, x + width + APART, y + NODE_H + 4, owner);
  }

  freeInLane(column, middle, cx, y, width, owner) {
    for (let d = 0; d <= 2 * LANE; d += 8) {
      for (const x of d ? [cx - width / 2 + d, cx - width / 2 - d] : [cx - width / 2]) {
        if (x < middle - LANE || x > middle + LANE - width) continue;
        if (this.isFree(column, x, y, width, owner)) return Math.round(x);
      }
    }
    return null;
  }

  put(key, x, y, w, h, lane, frame, facts, keptFor = null) {
    const item = { key, x, y, w, h, lane: facts.lane ?? lane, frame, owner: key, slot: facts.slot ?? null, group: facts.group, folded: Boolean(facts.folded), aside: Boolean(facts.aside), mirrored: false, stamp: 0, edges: [] };
    this.items.set(key, item);
    this.fresh.push(item);
    if (!item.folded) this.ofSlot[item.slot] = item;
    const column = this.columns[frame.index];
    column.shelf.add(item);
    if (item.lane === 0) column.shelf.add({ x: x + TWIN, y, w, h, owner: key, kept: true });
    if (keptFor === null || lane !== 1) frame.children.push(item);
    this.stretch(frame, y + h);
    this.grown++;
    return item;
  }

  /** Everything that has a place: {x, y, w, h}. */
  bounds() {
    let x0 = -LANE - MARGIN, x1 = LANE + TWIN + MARGIN, y1 = 60;
    for (const column of this.columns) {
      y1 = Math.max(y1, column.bottom);
      if (column.children.length) x1 = Math.max(x1, column.x + LANE + TWIN + MARGIN);
    }
    return { x: x0, y: -26, w: x1 - x0, h: y1 + 40 };
  }
}
