// What colours go by, for each thing that is drawn: of a node its own facts, of what is folded those of all that is in it.

export const AGAIN = 250; // milliseconds after which sums are made anew

/** The facts of one slot. */
const one = (slot, look) => {
  const mark = look.marks?.get(slot.id);
  return { ns: slot.ns || 0, nbytes: slot.nbytes || 0, dtype: slot.dtype, bad: mark?.bad, made: mark?.made,
    norm: slot.phase === 1 ? mark?.norm : undefined, differs: look.differs?.get(slot.id), part: look.parts?.of.get(slot.id) };
};

/** The larger of two norms; one that is not finite is told before any number. */
const worse = (a, b) => (a === undefined || (typeof b !== "number" && b !== undefined) ? b : typeof a === "number" && b > a ? b : a);

/** The most frequent of what was counted, and whether there was another. */
function main(counts) {
  const [first, ...others] = [...counts].sort((a, b) => b[1] - a[1]);
  return first ? [first[0], others.length > 0] : [undefined, false];
}

const counted = (counts, name) => { if (name !== undefined && name !== null && name !== "") counts.set(name, (counts.get(name) || 0) + 1); };

export class Tally {
  constructor(state, scene) {
    this.state = state;
    this.scene = scene;
    this.tops = { time: 1, bytes: 1 };
    this.dtypes = new Map(); // dtype -> nodes
    this.cut = new Set(); // edges between parts, by the keys of their ends
    this.forget();
  }

  forget() {
    this.folds = new Map(); // key of what is folded -> facts
    this.at = -Infinity;
  }

  /** Sum up anew, at most four times a second; that takes a look at every slot. Returns whether it did. */
  refresh(look, now) {
    if (now - this.at < AGAIN) return false;
    this.at = now;
    const { layout } = this.scene;
    const folds = new Map();
    const tops = { time: 1, bytes: 1 };
    const dtypes = new Map();
    const most = (facts) => {
      tops.time = Math.max(tops.time, facts.ns);
      tops.bytes = Math.max(tops.bytes, facts.nbytes);
    };
    for (const slot of this.state.slots.values()) {
      if (!slot.role) counted(dtypes, slot.dtype);
      const item = layout.itemOf(this.state, slot);
      if (!item?.folded) { most(one(slot, look)); continue; }
      if (slot.role === "parameter") continue;
      let sum = folds.get(item.key);
      if (!sum) folds.set(item.key, (sum = { ns: 0, nbytes: 0, bad: 0, made: false, norm: undefined, of: 0, marked: 0, sides: new Set(), dtypes: new Map(), parts: new Map() }));
      const facts = one(slot, look);
      sum.ns += facts.ns;
      sum.nbytes += facts.nbytes;
      sum.bad += facts.bad || 0;
      sum.made ||= Boolean(facts.made);
      sum.norm = worse(sum.norm, facts.norm);
      sum.of++;
      if (facts.differs) { sum.marked++; sum.sides.add(facts.differs); }
      counted(sum.dtypes, facts.dtype);
      counted(sum.parts, facts.part);
    }
    for (const sum of folds.values()) {
      most(sum);
      [sum.dtype, sum.mixed] = main(sum.dtypes);
      [sum.part, sum.shared] = main(sum.parts);
      // All of it on one side is on that side; anything else inside is a change of the module.
      sum.differs = sum.marked === sum.of && sum.sides.size === 1 ? [...sum.sides][0] : sum.marked ? "c" : undefined;
    }
    this.folds = folds;
    this.tops = tops;
    this.dtypes = dtypes;
    this.cut = this.cutOf(look.parts, layout);
    return true;
  }

  /** The edges that a partition cuts, between what is drawn now. */
  cutOf(parts, layout) {
    const found = new Set();
    const place = (id) => {
      const slot = this.state.slots.get(id);
      return slot && layout.itemOf(this.state, slot)?.key;
    };
    for (const [a, b] of parts?.cut || []) found.add(`${place(a)}|${place(b)}`);
    return found;
  }

  /** The facts of what an item stands for; null where nothing is known. */
  of(item, look) {
    if (item.folded) return this.folds.get(item.key) || null;
    const slot = this.state.slots.get(item.slot);
    return slot ? one(slot, look) : null;
  }
}
