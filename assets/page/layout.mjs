// Where everything stands. Pure: no DOM, and the same slots in the same order give the same places.
//
// Forward runs down in one lane; the lane beside it is its mirror, so a backward slot is level with its twin
// and its place is kept free from the start. A group is a box across both lanes. What has a place keeps it:
// a new slot goes below what it uses in the innermost box that can still grow, into free room of its box
// otherwise, and into a column at the side when there is none. Only folding lays out anew.

import { BEFORE_BOX, Frames } from "./frames.mjs";
import { APART, HEAD, LANE, NODE_H, PAD, ROW, TWIN } from "./measures.mjs";

const ROWS_A_LINE = 2.5; // room kept for a line of an arm that was not taken yet ...
const MOST_KEPT = 12; // ... up to so many rows
const NARROWEST = 80; // four gates of a cell still stand in one row

/** What a slot takes, in whatever turn: a page that comes later, or looks at the past, lays out as one that saw the first turn. */
const given = ({ inputs, others }) => (others?.length ? [...(inputs || []), ...others] : inputs || []);

export class Layout extends Frames {
  /** `measure(text)` gives the width of a label in graph units. */
  constructor(measure = (text) => text.length * 6.4) {
    super();
    this.measure = measure;
    this.folded = new Set(); // groups folded by the person or by `foldRule`
    this.opened = new Set(); // groups the person opened, whatever the rule says
    this.foldRule = () => false;
    this.order = []; // slots in the order they came
    this.usedBy = []; // slot -> the first slot that uses it
    this.inArms = null;
  }

  clear() {
    this.order = [];
    this.usedBy = [];
    this.folded.clear();
    this.opened.clear();
    this.clearPlaces();
  }

  clearPlaces() {
    super.clearPlaces();
    this.squeezed = new Set(); // groups shown folded because there was no room for their box
    this.foldOf = new Map(); // group -> the outermost folded group around it, or null
    this.waiting = new Map(); // frame -> arms not taken yet, to be placed in the order of their lines
    this.seen = []; // slot -> whether it was placed
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

  /** Note arms: until something in them has run, room is kept for them where they stand in the program. */
  addGroup(state, group) {
    this.foldOf.clear();
    if (group.kind !== "branch" || group.quiet || this.boxes.has(group.id)) return; // one that only prints has room when an op runs in it
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
      for (const id of this.inArms?.get(group.id) || []) if (!this.seen[id]) this.place(state, state.slots.get(id));
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
    this.inArms = this.armsOf(state); // an arm that gets its box takes what is known of it already
    for (const id of this.order) {
      const slot = state.slots.get(id);
      if (slot && !this.seen[id]) this.place(state, slot);
    }
    this.inArms = null;
  }

  /** Arm -> the slots in it, however deep, in the order they came. */
  armsOf(state) {
    const found = new Map();
    for (const id of this.order) {
      for (let g = state.groups.get(state.slots.get(id)?.group); g; g = state.groups.get(g.parent)) {
        if (g.kind !== "branch") continue;
        const list = found.get(g.id);
        if (list) list.push(id);
        else found.set(g.id, [id]);
      }
    }
    return found;
  }

  place(state, slot) {
    this.seen[slot.id] = true;
    for (const input of given(slot)) this.usedBy[input[0]] ??= slot.id;
    if (slot.role === "parameter") return;
    if (slot.role && this.placeLeaf(state, slot)) return;
    const fold = this.foldedAround(state, slot.group);
    if (fold) this.placeFolded(state, slot, fold);
    else if (slot.phase === 1) this.placeBackward(state, slot);
    else if (slot.phase === 2) this.placeUpdate(state, slot);
    else this.placeForward(state, slot, `s${slot.id}`, this.widthOf(slot.label, slot.note || (slot.role && slot.shape?.join("x")) || ""), { slot: slot.id });
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
      const stands = { id: slot.id, inputs: slot.inputs, others: slot.others, group: group.parent, line: group.line, file: group.file };
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

  /** y below all inputs and the mean of their centres. With `frame`: only those that stand in it. */
  lowestInput(state, slot, frame = null) {
    let y = -Infinity;
    let hint;
    const centers = [];
    for (const input of given(slot)) {
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
}
