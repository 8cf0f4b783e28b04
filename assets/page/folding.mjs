// Which modules and loops are shown as one node: by a rule for all of them, and one by one by hand.

export const FOLDS = [
  ["layers", "Layers"], ["none", "Nothing"], ["inner", "Innermost modules"], ["loops", "Loops"], ["1", "To depth 1"], ["2", "To depth 2"], ["3", "To depth 3"],
];
const MANY = 600; // from so many slots on, new modules deeper than this arrive folded
const DEEP = 3;

export class Folding {
  constructor(state) {
    this.state = state;
    this.rule = "layers";
  }

  /** Whether the rule folds a group. */
  folds(group) {
    if (group.kind !== "module" && group.kind !== "loop") return false;
    const { rule } = this;
    if (rule === "layers" && (group.kind !== "module" || group.layer)) return Boolean(group.layer);
    if (rule === "inner") return group.kind === "module" && !this.hasInnerGroups(group);
    const depth = this.depth(group);
    if (rule === "none") return group.kind === "module" && depth > DEEP && this.arrivedFolded(group);
    if (rule === "layers") return depth > DEEP && this.arrivedFolded(group);
    if (rule === "loops") return group.kind === "loop" && depth > 0;
    return group.kind === "module" ? depth > Number(rule) : false;
  }

  /** How many modules there are around a group, itself included. Asked for every group, so no list is made. */
  depth(group) {
    const { groups } = this.state;
    let depth = 0;
    for (let g = group; g; g = groups.get(g.parent)) if (g.kind === "module") depth++;
    return depth;
  }

  /** Decided once, when a group first arrives, so that nothing folds under the person's eyes. */
  arrivedFolded(group) {
    if (group.arrivedFolded === undefined) group.arrivedFolded = this.state.slots.size > MANY;
    return group.arrivedFolded;
  }

  hasInnerGroups(group) {
    const { groups } = this.state;
    if (this.parents?.of !== groups.size) {
      this.parents = { of: groups.size, ids: new Set() };
      for (const other of groups.values()) this.parents.ids.add(other.parent);
    }
    return this.parents.ids.has(group.id);
  }
}
