// What is said over the graph of the selection, a path and hidden nodes, with the buttons that go with them.
import { $, bytes, count, duration, h } from "./dom.mjs";

const MOST = 4000; // from so many chosen on, their sums are not worth a wait

export class Bars {
  constructor(pane) {
    this.pane = pane;
    this.box = h("div", { class: "bars over", id: "graph-bars", role: "status" });
    pane.box.append(this.box);
    this.said = "";
  }

  update() {
    const { pane } = this;
    const { hiding } = pane.scene;
    const { size } = pane.selection.keys;
    const path = pane.painter.look.path;
    const said = `${hiding.on ? hiding.count : ""}|${size > 1 ? [...pane.selection.keys].join() : size}|${path ? `${pane.way}${path.size}` : ""}`;
    if (said === this.said) return;
    this.said = said;
    $("btn-hide").disabled = $("btn-isolate").disabled = size === 0;
    const all = $("btn-show-all");
    all.hidden = !hiding.on;
    all.textContent = `${count(hiding.count)} hidden`;
    this.box.replaceChildren(...[size > 1 && this.chosen(size), path && this.path(path)].filter(Boolean));
  }

  chosen(size) {
    const { pane } = this;
    const facts = [];
    if (size <= MOST) {
      const slots = pane.slots();
      const sum = (name) => slots.reduce((total, slot) => total + (slot[name] || 0), 0);
      facts.push(`${count(slots.filter((slot) => !slot.role).length)} ops, ${duration(sum("ns"))}, ${bytes(sum("nbytes"))}`);
    }
    return h("div", { class: "pillbar", id: "chosen-bar" }, h("b", {}, `${count(size)} selected`), h("span", { class: "dim num" }, facts),
      this.button("Hide", "H", () => pane.hide()), this.button("Isolate", "I", () => pane.isolate()), this.button("Clear", "Esc", () => pane.select(null)));
  }

  path(path) {
    const { pane } = this;
    const names = { up: "What leads here", down: "What it leads to", both: "Both ways" };
    const ways = Array.isArray(pane.way) ? [h("b", {}, "The chain of the answer")] : Object.entries(names).map(([way, name]) =>
      h("button", { class: "btn small", type: "button", "aria-pressed": String(pane.way === way), onclick: () => pane.showPath(way) }, name));
    return h("div", { class: "pillbar", id: "path-bar" }, ways, h("span", { class: "dim num" }, `${count(path.size)} on the path`), this.button("Clear", "P", () => pane.showPath(null)));
  }

  button(name, key, action) {
    return h("button", { class: "btn small", type: "button", title: `${name}  ${key}`, onclick: () => { action(); this.pane.box.focus(); } }, name);
  }
}
