// What the canvas shows now: items, boxes and edges by height, kept up to date as slots arrive.
import { Edges } from "./edges.mjs";
import { Hiding } from "./hiding.mjs";
import { Layout } from "./layout.mjs";

const BAND = 512;
const LONG = 6; // an edge through more bands than this is looked at in every frame

class Bands {
  constructor() {
    this.rows = new Map();
    this.long = [];
  }

  add(thing, y0, y1) {
    const from = Math.floor(y0 / BAND);
    const to = Math.floor(y1 / BAND);
    if (to - from > LONG) {
      this.long.push(thing);
      return;
    }
    for (let b = from; b <= to; b++) {
      const row = this.rows.get(b);
      if (row) row.push(thing);
      else this.rows.set(b, [thing]);
    }
  }

  /** Every thing between the heights, each once. */
  *between(y0, y1) {
    yield* this.long;
    const from = Math.floor(y0 / BAND);
    const to = Math.floor(y1 / BAND);
    const several = to > from;
    const stamp = several ? ++stamps : 0;
    for (let b = from; b <= to; b++) {
      for (const thing of this.rows.get(b) || []) {
        if (several) {
          if (thing.stamp === stamp) continue;
          thing.stamp = stamp;
        }
        yield thing;
      }
    }
  }
}

let stamps = 0;

export class Scene {
  constructor(state, measure) {
    this.state = state;
    this.layout = new Layout(measure);
    this.edges = new Edges();
    this.hiding = new Hiding(state, this.layout);
    this.unmet = new Map(); // source slot that has no place yet -> slots that use it
    this.reset();
  }

  reset() {
    this.itemBands = new Bands();
    this.edgeBands = new Bands();
  }

  clear() {
    this.layout.clear();
    this.edges.clear();
    this.hiding.clear();
    this.unmet.clear();
    this.reset();
  }

  /** Take groups and slots of one batch. Returns whether anything new has a place. */
  take(groups, slots) {
    const before = this.layout.grown;
    const out = [];
    for (const group of groups) this.layout.addGroup(this.state, group);
    for (const slot of slots) {
      const fresh = this.edges.take(slot);
      const added = !this.layout.seen[slot.id];
      if (added) this.layout.addSlot(this.state, slot);
      if (fresh || added) {
        this.edges.connect(this.state, this.layout, slot, out);
        // A source of the same batch may be known and yet stand behind this slot in the queue.
        for (const list of [slot.inputs, slot.others]) {
          if (list) for (const input of list) if (!this.layout.seen[input[0]]) this.wait(input[0], slot.id);
        }
        const waiting = this.unmet.get(slot.id);
        if (waiting) {
          for (const user of waiting) this.edges.connect(this.state, this.layout, this.state.slots.get(user), out);
          this.unmet.delete(slot.id);
        }
      }
    }
    this.band(out);
    return this.layout.grown !== before;
  }

  wait(source, user) {
    const users = this.unmet.get(source);
    if (users) users.push(user);
    else this.unmet.set(source, [user]);
  }

  /** Note by height what has a place since the last time. */
  band(edges) {
    for (const item of this.layout.fresh.splice(0)) this.itemBands.add(item, item.y, item.y + item.h);
    for (const edge of edges) this.edgeBands.add(edge, edge.y0, edge.y1);
  }

  /** Lay out anew after folding. */
  again() {
    this.layout.again(this.state);
    this.edges.forget();
    this.reset();
    const out = [];
    for (const id of this.layout.order) {
      const slot = this.state.slots.get(id);
      if (!slot) continue;
      for (const facts of this.edges.known.get(id) || []) facts.edge = null;
      this.edges.connect(this.state, this.layout, slot, out);
    }
    this.band(out);
  }

  fold(group, yes) {
    this.layout.folded.delete(group);
    this.layout.opened.delete(group);
    (yes ? this.layout.folded : this.layout.opened).add(group);
    this.again();
  }

  get visible() {
    return this.layout.items.size + this.layout.boxes.size;
  }

  itemOfNode(node) {
    const slot = this.state.slotOfNode(node);
    return slot ? this.layout.itemOf(this.state, slot) : null;
  }

  /** The item or box header at a point of the graph; `turn` where the header offers another turn there. */
  at(x, y) {
    const { hiding } = this;
    for (const item of this.itemBands.between(y, y)) {
      if (hiding.shows(item) && x >= item.x - 2 && x <= item.x + item.w + 2 && y >= item.y - 2 && y <= item.y + item.h + 2) return { item };
    }
    let found = null;
    for (const box of this.layout.boxes.values()) {
      if (x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + 22 && (!found || box.depth > found.depth) && hiding.shows(box)) found = box;
    }
    return found ? { box: found, turn: turnAt(found, x) } : null;
  }

  /** Slots shown by an item: one, or all inside a folded group that run in its lane. */
  slotsOf(item) {
    if (!item.folded) return [this.state.slots.get(item.slot)].filter(Boolean);
    return this.slotsIn(item.group).filter((slot) => (slot.phase === 1) === (item.lane === 1));
  }

  /** Slots inside a group, however deep. */
  slotsIn(id) {
    const inside = new Map();
    const within = (group) => {
      let found = inside.get(group);
      if (found === undefined) {
        const parent = this.state.groups.get(group)?.parent;
        inside.set(group, (found = group === id || (parent !== undefined && parent !== null && within(parent))));
      }
      return found;
    };
    return [...this.state.slots.values()].filter((slot) => slot.role !== "parameter" && within(slot.group));
  }

  /** The rectangle around all that is not hidden, or null. */
  shownBounds() {
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    for (const item of this.layout.items.values()) {
      if (!this.hiding.shows(item)) continue;
      x0 = Math.min(x0, item.x);
      y0 = Math.min(y0, item.y);
      x1 = Math.max(x1, item.x + item.w);
      y1 = Math.max(y1, item.y + item.h);
    }
    return x0 < x1 ? { x: x0, y: y0, w: x1 - x0, h: y1 - y0 } : null;
  }
}

/** Which part of a loop's turn badge is at x: the painter notes where it drew it. */
function turnAt(box, x) {
  const badge = box.turnBadge;
  if (!badge || x < badge.x || x > badge.x + badge.w) return null;
  const side = Math.min(18, badge.w / 3);
  return x < badge.x + side ? "earlier" : x > badge.x + badge.w - side ? "later" : "pick";
}
