// Answers in the server's place, from a run that is in the page: its moments, and what was asked of them.

import { look, unpack } from "./slice.mjs";

const MOVES = { continue: 1, reverse_continue: -1, step_back: -1 };
const LARGEST = 50;

export class Offline {
  constructor(data, take, linked) {
    this.data = data;
    this.take = take;
    this.offline = true;
    this.waiting = new Map(); // nothing ever waits
    this.at = data.moments.length - 1;
    queueMicrotask(() => {
      linked(true, "");
      this.show();
    });
  }

  get moment() {
    return this.data.moments[this.at];
  }

  /** Draw the moment: everything anew, as after a reload. */
  show() {
    const texts = this.data.moments.map((moment) => moment.text);
    this.take(this.moment.messages.map((message) => (message.t === "state"
      ? { ...message, recording: this.data.name, moments: texts, moment: this.at, last: texts.length } : message)));
  }

  async ask(verb, more = {}) {
    if (verb in MOVES) return this.go(this.at + MOVES[verb]);
    if (verb === "present") return this.go(this.data.moments.length - 1);
    if (verb === "go_to") return this.go(more.node - 1);
    const answer = this.answers[verb]?.(more);
    if (answer === undefined) throw new Error(`This is a run in one file: nothing in it can be run or changed. Open ${this.data.name} with dsviz for that.`);
    return answer;
  }

  go(index) {
    if (!this.data.moments[index]) throw new Error("There is no other stop in that direction.");
    this.at = index;
    this.show();
    return null;
  }

  get answers() {
    const { data } = this;
    return {
      source: ({ file }) => data.sources[file],
      lines: ({ file }) => data.lines[file],
      node: ({ node }) => (node === this.moment.node && this.moment.pending) || data.nodes[node] || { node, problem: `Node ${node} is not described in this file: it holds the latest node of each place.` },
      look: ({ node, index, kind }) => this.look(node, index, kind),
      parameters: () => data.parameters,
      memory: ({ axis }) => data.memory[axis],
      alive: ({ axis, x }) => this.alive(axis, x),
      iterations: () => data.iterations,
      compare: ({ a, b }) => this.compare(a, b),
      events: ({ from, count, only = "all" }) => ({ ...data.events, rows: data.events.rows.filter((row) => only === "all" || (only === "nodes" ? row.node : only === "structure" ? !row.node : row.bad)).slice(from, from + count) }),
      marks: () => data.marks,
      engine: ({ view }) => data.engine[view],
      dot: () => ({ text: data.dot }),
    };
  }

  /** A part of a value: of a large one there is a picture only, of the others the numbers. */
  look(node, index, kind) {
    const whole = this.data.looks[node];
    if (!whole) throw new Error("The value of this node is not in this file.");
    const packed = this.data.arrays[node];
    if (packed && (index || kind)) return { ...look(unpack(packed), index || "", kind), how: whole.how };
    if (index) throw new Error(`Of a value as large as this one the file holds one picture; open ${this.data.name} with dsviz to slice it.`);
    return whole;
  }

  compare(a, b) {
    const { slots, items } = this.data.structures;
    const missing = [a, b].find((index) => !slots[index]);
    if (missing !== undefined) return { a, b, problem: `Iteration ${missing} is not in this file.` };
    const [first, second] = [new Set(slots[a]), new Set(slots[b])];
    const only = (one, other) => [...one].filter((slot) => !other.has(slot)).map((slot) => items[slot]);
    return { a, b, only_a: only(first, second), only_b: only(second, first), both: [...first].filter((slot) => second.has(slot)).length, changed: [] };
  }

  /** What was alive at an instant: the changes of the live bytes up to it. */
  alive(axis, x) {
    const { log } = this.data;
    if (!log) throw new Error(`There are too many changes of memory for this file to tell; open ${this.data.name} with dsviz.`);
    const places = axis === "time" ? log.time : log.step;
    const live = new Map();
    for (let i = 0; i < places.length && places[i] <= x; i++) {
      if (log.delta[i] >= 0) live.set(log.buffer[i], [log.delta[i], log.category[i], log.node[i]]);
      else live.delete(log.buffer[i]);
    }
    const categories = Object.fromEntries(this.data.categories.map((name) => [name, 0]));
    let total = 0;
    const buffers = [...live].map(([buffer, [bytes, category, node]]) => {
      const name = this.data.categories[category];
      categories[name] += bytes;
      total += bytes;
      return { buffer, bytes, category: name, ...log.owners[node] };
    });
    buffers.sort((a, b) => b.bytes - a.bytes || a.buffer - b.buffer);
    return { x, total, categories, buffers: live.size, largest: buffers.slice(0, LARGEST), early: false };
  }
}
