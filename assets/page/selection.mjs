// What is chosen in the graph: one item or box, or many of them. Names are item keys, "s12", "g5" or "g5b".

export class Selection {
  constructor() {
    this.keys = new Set();
    this.first = null; // the one that inspector and source follow
  }

  get many() {
    return this.keys.size > 1;
  }

  set(key) {
    this.keys = new Set(key ? [key] : []);
    this.first = key;
  }

  /** Add, or take away what was in it. */
  toggle(key) {
    if (this.keys.delete(key)) {
      if (this.first === key) this.first = [...this.keys].pop() ?? null;
    } else {
      this.keys.add(key);
      this.first = key;
    }
  }

  add(keys) {
    for (const key of keys) {
      this.keys.add(key);
      this.first ??= key;
    }
  }

  /** After a new layout: what is no longer there is no longer chosen. */
  keep(exists) {
    for (const key of [...this.keys]) if (!exists(key)) this.keys.delete(key);
    if (!this.keys.has(this.first)) this.first = [...this.keys].pop() ?? null;
  }
}
