// What the person put out of sight. Hidden things keep their places, so showing them again moves nothing.

/** What an item or a box stands for: "s12" a place for a node, "g5" a group. */
export const nameOf = (thing) => (thing.folded || thing.group?.id !== undefined ? `g${thing.group.id ?? thing.group}` : `s${thing.slot}`);

export class Hiding {
  constructor(state, layout) {
    this.state = state;
    this.layout = layout;
    this.clear();
  }

  clear() {
    this.hidden = new Set(); // names
    this.only = null; // names that alone are shown, or null
    this.changed();
  }

  changed() {
    this.known = new Map(); // name -> whether it is shown
    this.around = new Set(); // groups around what alone is shown
    for (const name of this.only || []) {
      const id = Number(name.slice(1));
      const group = name[0] === "g" ? id : this.state.slots.get(id)?.group;
      for (const g of this.state.around(group)) this.around.add(`g${g.id}`);
    }
    this.counted = null;
  }

  get on() {
    return this.hidden.size > 0 || this.only !== null;
  }

  hide(names) {
    for (const name of names) this.hidden.add(name);
    this.changed();
  }

  isolate(names) {
    this.only = new Set(names);
    for (const name of names) this.hidden.delete(name);
    this.changed();
  }

  /** Whether an item or a box is to be drawn. */
  shows(thing) {
    if (!this.on) return true;
    const name = nameOf(thing);
    let found = this.known.get(name);
    if (found === undefined) this.known.set(name, (found = this.decide(name)));
    return found;
  }

  decide(name) {
    const id = Number(name.slice(1));
    const group = name[0] === "g" ? id : this.state.slots.get(id)?.group;
    const names = [name];
    for (const g of this.state.around(group)) names.push(`g${g.id}`);
    if (names.some((one) => this.hidden.has(one))) return false;
    return !this.only || this.around.has(name) || names.some((one) => this.only.has(one));
  }

  /** How many nodes and folded groups are out of sight. */
  get count() {
    if (!this.on) return 0;
    const { version, grown } = this.layout;
    if (this.counted?.version !== version || this.counted.grown !== grown) {
      let count = 0;
      for (const item of this.layout.items.values()) if (!this.shows(item)) count++;
      this.counted = { version, grown, count };
    }
    return this.counted.count;
  }
}
