// One row for each iteration; any two are compared, and what differs is coloured in the graph.
import { bytes, count, duration, h, prime, shapeText, three } from "./dom.mjs";
import { Asked } from "./lists.mjs";

export class Iterations extends Asked {
  /** `on.compared(differs)`: slot -> "a", "b" or "c" (changed); `on.node(slot)`, `on.problem(text)` */
  constructor(state, live, on) {
    super("iterations", live, "iterations");
    this.state = state;
    this.on = on;
    this.a = this.b = null;
    this.found = null;
  }

  draw(data) {
    this.data = data;
    if (!data.rows.length) {
      this.box.replaceChildren(h("div", { class: "hint" }, "One row for each iteration, as soon as the first has begun: nodes, time, loss, and how its structure differs from the one before."));
      return;
    }
    const heads = ["Compare", "Iteration", "Nodes", "Time", "Peak", "Loss", "", "Structure against the one before"];
    const losses = data.rows.map((row) => row.loss).filter((loss) => typeof loss === "number");
    const top = Math.max(...losses, 0);
    const rows = data.rows.slice().reverse().map((row) => h("tr", { class: row.running && (this.state.paused || this.state.run?.state === "running") ? "cur" : "" },
      h("td", {}, this.pick("a", row.index), this.pick("b", row.index)),
      h("td", { class: "num b" }, row.index), h("td", { class: "num" }, count(row.nodes)), h("td", { class: "num" }, duration(row.ns)), h("td", { class: "num" }, row.peak ? bytes(row.peak) : ""),
      h("td", { class: "num" }, row.loss === null || row.loss === undefined ? "" : three(row.loss)),
      h("td", {}, typeof row.loss === "number" && top > 0 ? this.bar(row.loss / top) : ""),
      h("td", { class: "last" }, this.structure(row))));
    this.inner ||= h("div", { class: "inner" });
    this.inner.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i && i < 6 ? "num" : "" }, head)))), h("tbody", {}, rows)));
    if (!this.found) this.compared = null;
    else if (this.compared?.found !== this.found) this.compared = { found: this.found, element: this.differences() };
    this.box.replaceChildren(...(this.compared ? [this.compared.element] : []), this.inner);
  }

  structure(row) {
    if (row.running) return this.state.run?.state === "running" || this.state.paused ? "running" : h("span", { class: "dim" }, "the last one");
    if (row.same === null) return "first";
    if (row.same) return h("span", { class: "dim" }, "same");
    const alike = new Map(); // "+ cast" three times is told once
    for (const [sign, label, slot] of row.changes || []) {
      const one = alike.get(sign + label);
      if (one) one.times++;
      else alike.set(sign + label, { sign, label, slot, times: 1 });
    }
    const told = [...alike.values()].map(({ sign, label, slot, times }) => {
      const text = sign === "!" ? h("span", {}, label) : [h("button", { class: "link", type: "button", onclick: () => this.on.node(slot) }, prime(label)), times > 1 ? ` \u00d7${times}` : ""];
      return h("span", { class: `chg ${{ "+": "b2", "-": "a2", "!": "c2" }[sign]}` }, { "+": "+ ", "-": "\u2212 ", "!": "\u2260 " }[sign], text);
    });
    const more = row.added + row.removed - (row.changes || []).filter(([sign]) => sign !== "!").length;
    return [told.length ? told : h("span", { class: "dim" }, "other shapes or turns"), more > 0 ? h("span", { class: "dim" }, ` and ${more} more`) : ""];
  }

  bar(share) {
    const inside = h("i");
    inside.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
    return h("span", { class: "bar2", "aria-hidden": "true" }, inside);
  }

  pick(which, index) {
    const name = which.toUpperCase();
    return h("button", { class: `ab ${which}`, type: "button", "aria-pressed": String(this[which] === index), "aria-label": `Iteration ${index} is ${name}`, title: `Compare iteration ${index} as ${name}`,
      onclick: () => { this[which] = this[which] === index ? null : index; this.compare(); } }, name);
  }

  async compare() {
    this.found = null;
    if (this.a !== null && this.b !== null) {
      try {
        this.found = await this.live.ask("compare", { a: this.a, b: this.b });
        if (this.found.problem) throw new Error(this.found.problem);
        const differs = new Map();
        for (const item of this.found.only_a) differs.set(item.slot, "a");
        for (const item of this.found.only_b) differs.set(item.slot, "b");
        for (const item of this.found.changed || []) differs.set(item.slot, "c");
        this.on.compared(differs);
      } catch (error) {
        this.found = null;
        this.on.problem(error.message);
      }
    }
    this.draw(this.data);
  }

  /** What differs, as one line of facts and a list of places; those of one name and line together. */
  differences() {
    const { found } = this;
    const groups = new Map();
    const put = (sign, which, one, more = "") => {
      const key = `${sign}${one.label}|${one.place}|${more}`;
      if (groups.has(key)) groups.get(key).times++;
      else groups.set(key, { sign, which, one, more, times: 1 });
    };
    for (const one of found.only_a) put("\u2212", "a", one);
    for (const one of found.only_b) put("+", "b", one);
    for (const one of found.changed || []) {
      const shapes = String(one.a.shape) === String(one.b.shape) ? "" : `${shapeText(one.a.shape)} \u2192 ${shapeText(one.b.shape)}`;
      const turns = one.a.times === one.b.times ? "" : `\u00d7${one.a.times} \u2192 \u00d7${one.b.times}`;
      const dtypes = one.a.dtype === one.b.dtype ? "" : `${one.a.dtype} \u2192 ${one.b.dtype}`;
      put("\u2260", "c", one, [turns, shapes, dtypes].filter(Boolean).join(", "));
    }
    const all = [...groups.values()].map(({ sign, which, one, more, times }) => h("button", { class: `link ${which}`, type: "button", title: [one.module, one.branch].filter(Boolean).join(", "), onclick: () => this.on.node(one.slot) },
      `${sign} ${prime(one.label)}`, times > 1 ? ` \u00d7${times}` : "", more ? h("span", { class: "mono" }, ` ${more}`) : "", one.place ? h("span", { class: "dim mono" }, ` ${one.place}`) : ""));
    return h("div", { class: "differs", role: "status" }, this.facts(), all.length ? all.slice(0, 40) : h("span", { class: "dim" }, "the same structure and shapes"), all.length > 40 ? h("span", { class: "dim" }, `and ${all.length - 40} more`) : "");
  }

  /** "A 11, B 12: nodes 17 and 8, time ..." */
  facts() {
    const { found } = this;
    const { a, b } = found.numbers || {};
    const pair = (name, tell, key) => (a && a[key] !== null && a[key] !== undefined && b[key] !== null && b[key] !== undefined ? h("span", {}, h("span", { class: "dim" }, `${name} `), h("span", { class: "mono" }, `${tell(a[key])} \u2192 ${tell(b[key])}`)) : "");
    return [h("b", {}, `A ${found.a}, B ${found.b}:`), pair("nodes", count, "nodes"), pair("time", duration, "ns"), pair("peak", bytes, "peak"), pair("loss", three, "loss")];
  }
}
