// Where everything stands. Pure: no DOM, and the same slots in the same order give the same places.
//
// Forward runs down in one lane; the lane beside it is its mirror, so a backward slot is level with its twin
// and its place is kept free from the start. A group is a box across both lanes. What has a place keeps it:
// a new slot goes below what it uses in the innermost box that can still grow, into free room of its box
// otherwise, and into a column at the side when there is none. Only folding lays out anew.

export const NODE_H = 24;
export const ROW = 38; // from one node's top to the next one's
export const LANE = 192; // half the width of a lane
export const TWIN = 400; // from a forward node to its backward twin
export const HEAD = 26; // a box's header
const PAD = 10;
const BEFORE_BOX = 16;
const MARGIN = 30; // from the lanes to the outermost box
const INDENT = 7; // each box inside another
const COLUMN = 2 * LANE + TWIN + 2 * MARGIN + 40;
const BUCKET = 32;
const APART = 6; // between neighbours in a row
const ROWS_A_LINE = 2.5; // room kept for a line of an arm that was not taken yet ...
const MOST_KEPT = 12; // ... up to so many rows
const NARROWEST = 80; // four gates of a cell still stand in one row

const SIDEWAYS = [0]; // from the wanted place, nearest first
for (let d = 8; d <= 2 * LANE; d += 8) SIDEWAYS.push(d, -d);
const ARM = 70; // half of what the nodes of an arm take, in its middle

/** Whether a frame is a box or stands in it. */
function within(frame, box) {
  for (let f = frame; f; f = f.host) if (f === box) return true;
  return false;
}

/** Rectangles by height, to ask quickly what stands in the way. */
class Shelf {
  constructor() {
    this.rows = new Map();
  }

  add(rect) {
    for (let b = Math.floor(rect.y / BUCKET); b <= Math.floor((rect.y + rect.h) / BUCKET); b++) {
      const row = this.rows.get(b);
      if (row) row.push(rect);
      else this.rows.set(b, [rect]);
    }
  }

  /** The first rectangle that touches the given one, apart from those kept for `owner`. */
  hit(x0, y0, x1, y1, owner = null) {
    for (let b = Math.floor(y0 / BUCKET); b <= Math.floor(y1 / BUCKET); b++) {
      for (const r of this.rows.get(b) || []) {
        if (r.x < x1 && r.x + r.w > x0 && r.y < y1 && r.y + r.h > y0 && r.owner !== owner) return r;
      }
    }
    return null;
  }
}

export class Layout {
  /** `measure(text)` gives the width of a label in graph units. */
  constructor(measure = (text) => text.length * 6.4) {
    this.measure = measure;
    this.folded = new Set(); // groups folded by the person or by `foldRule`
    this.opened = new Set(); // groups the person opened, whatever the rule says
    this.foldRule = () => false;
    this.order = []; // slots in the order they came
    this.usedBy = []; // slot -> the first slot that uses it
    this.clearPlaces();
  }

  clear() {
    this.order = [];
    this.usedBy = [];
    this.folded.clear();
    this.opened.clear();
    this.clearPlaces();
  }

  clearPlaces() {
    this.items = new Map(); // "s12" or "g5" or "g5b" -> item
    this.ofSlot = []; // slot -> its own item
    this.ofFold = new Map(); // folded group -> [its item, its backward one]
    this.fresh = []; // items since someone last asked
    this.boxes = new Map(); // group -> box (a frame that is drawn)
    this.columns = [];
    this.squeezed = new Set(); // groups shown folded because there was no room for their box
    this.foldOf = new Map(); // group -> the outermost folded group around it, or null
    this.waiting = new Map(); // frame -> arms not taken yet, to be placed in the order of their lines
    this.seen = []; // slot -> whether it was placed
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

  // ---- groups -----------------------------------------------------------------------------------

  isFolded(group) {
    if (this.folded.has(group.id) || this.squeezed.has(group.id)) return true;
    return !this.opened.has(group.id) && this.foldRule(group);
  }

  /** The outermost folded group around `id`, or null. */
  foldedAround(state, id) {
    // Asked for every slot and every end of an edge: what was found is kept until groups come or folds change.
    let found = this.foldOf.get(id);
    if (found === undefined) {
      found = null;
      const group = state.groups.get(id);
      if (group) found = this.foldedAround(state, group.parent) || (this.isFolded(group) ? group : null);
      this.foldOf.set(id, found);
    }
    return found;
  }

  /** What stands for a slot on the page: its own item, or the folded group's. */
  itemOf(state, slot) {
    const own = this.ofSlot[slot.id];
    if (own) return own;
    const fold = this.foldedAround(state, slot.group);
    const pair = fold && this.ofFold.get(fold.id);
    return pair ? (slot.phase === 1 && pair[1]) || pair[0] : null;
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

  /** Note arms: until something in them has run, room is kept for them where they stand in the program. */
  addGroup(state, group) {
    this.foldOf.clear();
    if (group.kind !== "branch" || this.boxes.has(group.id)) return;
    if (this.foldedAround(state, group.id)) return;
    const host = state.groups.has(group.parent) ? group.parent : 0;
    const list = this.waiting.get(host) || [];
    if (!list.includes(group.id)) list.push(group.id);
    this.waiting.set(host, list);
  }

  /** Before something of `line` is placed in a frame: the arms above it in which nothing has run yet. */
  placeWaiting(state, frame, { file, line }) {
    const list = this.waiting.get(frame.host ? frame.id : 0);
    if (!list?.length) return;
    const due = list.map((id) => state.groups.get(id))
      .filter((g) => g && g.file === file && g.line < line && !this.boxes.has(g.id))
      .sort((a, b) => a.line - b.line);
    for (const group of due) {
      list.splice(list.indexOf(group.id), 1);
      const lines = Math.max(1, group.endline - group.line + (group.arm === "else" ? 1 : 0));
      const height = HEAD + Math.min(MOST_KEPT, Math.ceil(lines * ROWS_A_LINE)) * ROW + PAD;
      const y = frame.children.length ? frame.bottom + BEFORE_BOX : frame.y + HEAD;
      if (!this.canGrow(frame, y + height)) continue;
      const box = this.openBox(group, frame, y, height);
      box.bottom = y + HEAD - 4; // what comes fills it from the top
      this.columns[box.index].arms.push(box);
      for (const id of this.order) { // what is known of it already, when everything is laid out anew
        const slot = state.slots.get(id);
        if (slot && !this.seen[id] && [...state.around(slot.group)].includes(group)) this.place(state, slot);
      }
    }
  }

  // ---- slots ------------------------------------------------------------------------------------

  /** A slot that is new to the page. */
  addSlot(state, slot) {
    this.order.push(slot.id);
    this.place(state, slot);
  }

  /** Lay out everything anew, for example after folding. */
  again(state) {
    this.clearPlaces();
    for (const group of state.groups.values()) this.addGroup(state, group);
    for (const id of this.order) {
      const slot = state.slots.get(id);
      if (slot && !this.seen[id]) this.place(state, slot);
    }
  }

  place(state, slot) {
    this.seen[slot.id] = true;
    if (slot.inputs) for (const input of slot.inputs) this.usedBy[input[0]] ??= slot.id;
    if (slot.role === "parameter") return;
    if (slot.role && this.placeLeaf(state, slot)) return;
    const fold = this.foldedAround(state, slot.group);
    if (fold) this.placeFolded(state, slot, fold);
    else if (slot.phase === 1) this.placeBackward(state, slot);
    else if (slot.phase === 2) this.placeUpdate(state, slot);
    else this.placeForward(state, slot, `s${slot.id}`, this.widthOf(slot.label, slot.note || ""), { slot: slot.id });
  }

  widthOf(label, more = "") {
    const sub = more ? this.measure(more) * 0.86 + 14 : 0;
    return Math.round(Math.max(NARROWEST, Math.min(184, 25 + this.measure(String(label)) + 9 + sub)));
  }

  placeFolded(state, slot, group) {
    let pair = this.ofFold.get(group.id);
    if (!pair) {
      const key = `g${group.id}`;
      const note = group.kind === "loop" ? `\u00d7${group.turns || 1}` : group.note || "";
      const width = Math.max(this.widthOf(group.label, note) + 14, 120);
      // A layer is one op: folded, it still is that op, with its time, its bytes and whether it ran.
      const facts = { group: group.id, folded: true, slot: group.layer && slot.phase === 0 ? slot.id : null };
      const stands = { id: slot.id, inputs: slot.inputs, group: group.parent, line: group.line, file: group.file };
      this.ofFold.set(group.id, (pair = [this.placeForward(state, stands, key, width, facts), null]));
    }
    if (slot.phase === 1 && !pair[1]) {
      const front = pair[0];
      pair[1] = this.put(`${front.key}b`, front.x + TWIN, front.y, front.w, front.h, 1, front.frame, { group: group.id, folded: true, slot: group.layer ? slot.id : null }, front.key);
    }
  }

  /** An input stands beside what uses it: below it would keep the boxes around from growing. */
  placeLeaf(state, slot) {
    const user = state.slots.get(this.usedBy[slot.id]);
    const beside = user && this.itemOf(state, user);
    if (!beside || beside.lane !== 0) return false;
    const { frame } = beside;
    const column = this.columns[frame.index];
    const width = this.widthOf(slot.label, slot.shape ? slot.shape.join("x") : "");
    const middle = beside.x - APART - 10 - width / 2;
    for (const y of [beside.y, beside.y + ROW, beside.y - ROW]) {
      if (y < this.startOf(frame) || !this.canGrow(frame, y + NODE_H) || this.boxAt(frame, y)) continue;
      const spot = this.search(column, middle, y, 0, width, `s${slot.id}`, () => true);
      if (spot) {
        this.put(`s${slot.id}`, spot.x, spot.y, width, NODE_H, 0, frame, { slot: slot.id });
        return true;
      }
    }
    return false;
  }

  placeForward(state, slot, key, width, facts) {
    const frame = this.boxes.get(slot.group) || this.frameOf(state, slot.group, this.lowestInput(state, slot).hint);
    this.placeWaiting(state, frame, slot);
    const column = this.columns[frame.index];
    const { y: under, x: center } = this.lowestInput(state, slot, frame);
    const first = this.startOf(frame);
    const from = Math.max(first, under);
    const lastBox = frame.boxes[frame.boxes.length - 1];
    const floor = lastBox ? lastBox.y + lastBox.h + PAD : first;
    const cx = center ?? column.x;
    if (this.canGrow(frame, Math.max(from, floor) + NODE_H)) {
      const spot = this.search(column, cx, Math.max(from, floor), 60, width, key, () => true, frame);
      if (spot && this.canGrow(frame, spot.y + NODE_H)) return this.put(key, spot.x, spot.y, width, NODE_H, 0, frame, facts);
    }
    // No room below: anywhere free in the box, under what is used if possible.
    const bottom = frame.host ? frame.y + frame.h - PAD : Infinity;
    for (const start of [from, first]) {
      const rows = Math.max(0, Math.min(200, Math.floor((bottom - start) / ROW)));
      const spot = this.search(column, cx, start, rows, width, key, (y) => y + NODE_H <= bottom + PAD / 2 && !this.boxAt(frame, y), frame);
      if (spot) return this.put(key, spot.x, spot.y, width, NODE_H, 0, frame, facts);
    }
    const aside = this.asideOf(frame, from);
    const spot = this.search(aside, aside.x, Math.max(from, aside.bottom + 14), 500, width, key, () => true, aside);
    return this.put(key, spot.x, spot.y, width, NODE_H, 0, aside, { ...facts, aside: true });
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

  /** y below all inputs and the mean of their centres. With `frame`: only those that stand in it. */
  lowestInput(state, slot, frame = null) {
    let y = -Infinity;
    let hint;
    const centers = [];
    for (const input of slot.inputs || []) {
      const source = input[1] ? null : state.slots.get(input[0]);
      const item = source && this.itemOf(state, source);
      if (!item || item.lane !== 0) continue;
      hint = Math.max(hint ?? 0, item.y + ROW);
      if (!frame) continue;
      if (item.frame.index === frame.index) centers.push(item.x + item.w / 2);
      if (item.frame === frame) y = Math.max(y, item.y + ROW);
      else {
        for (let f = item.frame; f.host; f = f.host) {
          if (f.host === frame) y = Math.max(y, f.y + f.h + PAD);
        }
      }
    }
    const x = centers.length ? centers.reduce((a, b) => a + b, 0) / centers.length : null;
    return { y, x, hint };
  }

  placeBackward(state, slot) {
    const key = `s${slot.id}`;
    const width = this.widthOf(slot.label);
    const twin = slot.twin && state.slots.get(slot.twin);
    const front = twin && this.itemOf(state, twin);
    if (front && !front.mirrored) {
      front.mirrored = true;
      return this.put(key, front.x + TWIN, front.y, Math.max(front.w, width), front.h, 1, front.frame, { slot: slot.id }, front.key);
    }
    // It sums gradients, or its twin has a backward node already: as near to what it uses as there is room.
    let near = front;
    for (const [id] of slot.inputs || []) {
      const source = state.slots.get(id);
      near ||= source && this.itemOf(state, source);
    }
    const frame = near?.frame || this.frameOf(state, slot.group);
    const column = this.columns[frame.index];
    const center = near ? near.x + near.w / 2 - (near.lane === 1 ? TWIN : 0) : column.x;
    const wanted = near ? near.y : this.startOf(frame);
    const top = this.startOf(frame);
    const bottom = frame.host ? frame.y + frame.h - PAD : Infinity;
    for (let row = 0; row < 60; row++) {
      for (const y of row ? [wanted - row * ROW, wanted + row * ROW] : [wanted]) {
        if (y < top || y + NODE_H > bottom + PAD / 2 || this.boxAt(frame, y)) continue;
        const x = this.freeInLane(column, column.x + TWIN, center + TWIN, y, width, key);
        if (x !== null) return this.put(key, x, y, width, NODE_H, 1, frame, { slot: slot.id });
      }
    }
    return this.placeForward(state, slot, key, width, { slot: slot.id, lane: 1 });
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

  /** Updates of parameters fill rows across both lanes. */
  placeUpdate(state, slot) {
    const frame = this.frameOf(state, slot.group);
    const width = this.widthOf(slot.label);
    const column = this.columns[frame.index];
    const left = column.x - LANE;
    if (!frame.pen) frame.pen = { x: left, y: frame.host ? this.startOf(frame) : frame.bottom + 14 };
    const pen = frame.pen;
    if (pen.x + width > column.x + TWIN + LANE) Object.assign(pen, { x: left, y: pen.y + ROW - 6 });
    if (this.canGrow(frame, pen.y + NODE_H)) {
      this.put(`s${slot.id}`, pen.x, pen.y, width, NODE_H, 2, frame, { slot: slot.id });
      pen.x += width + APART + 2;
      return;
    }
    const aside = this.asideOf(frame, pen.y);
    const spot = this.search(aside, aside.x, Math.max(frame.y, aside.bottom + 14), 500, width, `s${slot.id}`, () => true);
    this.put(`s${slot.id}`, spot.x, spot.y, width, NODE_H, 2, aside, { slot: slot.id });
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
