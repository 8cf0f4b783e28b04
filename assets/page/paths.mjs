// The ways of data: what leads to some nodes, and what they lead to.

/** Items on a way: `up` towards its start, `down` towards its end; an edge lies on it where both ends lie on one of the two. */
export class Path {
  constructor(up, down) {
    this.up = up;
    this.down = down;
  }

  has(key) {
    return this.up.has(key) || this.down.has(key);
  }

  joins(a, b) {
    return (this.up.has(a) && this.up.has(b)) || (this.down.has(a) && this.down.has(b));
  }

  get size() {
    return new Set([...this.up, ...this.down]).size;
  }
}

/** Data stays in its phase, but for a gradient that an update takes. */
function flows(from, to) {
  return from && from.role !== "parameter" && (from.phase === to.phase || (from.phase === 1 && to.phase === 2));
}

const ABSENT = new Set(["nottaken", "unreached", "skipped"]); // in the turn shown

/**
 * Which slots feed which, over all turns that were seen: a loop's turns together are one way.
 * What did not run in the turn shown is no part of it, unless `absent`.
 */
function sourcesOf(state, edges, absent) {
  const runs = (slot) => slot && (absent || !ABSENT.has(slot.status));
  return (id) => {
    const slot = state.slots.get(id);
    if (!runs(slot)) return [];
    return (edges.known.get(id) || []).map((facts) => facts.id).filter((source) => runs(state.slots.get(source)) && flows(state.slots.get(source), slot));
  };
}

/** The same the other way round. */
function usersOf(state, sources) {
  const found = new Map();
  for (const id of state.slots.keys()) {
    for (const source of sources(id)) {
      const list = found.get(source);
      if (list) list.push(id);
      else found.set(source, [id]);
    }
  }
  return (id) => found.get(id) || [];
}

/** From slots along `next` as far as it goes. */
function reach(start, next) {
  const found = new Set(start);
  const todo = [...start];
  while (todo.length) {
    for (const id of next(todo.pop())) {
      if (!found.has(id)) {
        found.add(id);
        todo.push(id);
      }
    }
  }
  return found;
}

/** The path of some slots. `way`: "up" what leads to them, "down" what they lead to, "both". */
export function pathOf(state, { layout, edges }, slots, way) {
  const start = slots.map((slot) => slot.id);
  const items = (ids) => {
    const keys = new Set();
    for (const id of ids) {
      const slot = state.slots.get(id);
      const item = slot && layout.itemOf(state, slot);
      if (item) keys.add(item.key);
    }
    return keys;
  };
  const sources = sourcesOf(state, edges, slots.some((slot) => ABSENT.has(slot.status)));
  return new Path(items(way === "down" ? start : reach(start, sources)), items(way === "up" ? start : reach(start, usersOf(state, sources))));
}

/** The path of a chain of nodes, as an answer to "why" gives it: the nodes alone, in the order given. */
export function chainOf(state, layout, nodes) {
  const keys = new Set();
  for (const node of nodes) {
    const slot = state.slotOfNode(node);
    const item = slot && layout.itemOf(state, slot);
    if (item) keys.add(item.key);
  }
  return new Path(keys, new Set());
}
