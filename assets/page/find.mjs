// Find in the graph: everything that has the words is ringed, Enter goes from one to the next.
import { count, h, icon, prime, say } from "./dom.mjs";

const WAIT = 60; // milliseconds after the last key

export class Find {
  constructor(pane) {
    this.pane = pane;
    this.found = []; // items, in the order they run
    this.at = -1;
    this.input = h("input", { id: "find-text", placeholder: "Find by op, module, shape or #number", "aria-label": "Find in the graph", spellcheck: "false", autocomplete: "off" });
    this.said = h("span", { class: "dim num", id: "find-count", role: "status" });
    const button = (name, sign, keys, action) => h("button", { class: "ib small", type: "button", title: `${name}  ${keys}`, "aria-label": name, onclick: action }, icon(sign));
    const up = button("Find the one before", "chev", "Shift+Enter", () => this.go(-1));
    up.firstChild.style.transform = "rotate(180deg)";
    this.box = h("div", { class: "find over", id: "find", role: "search", hidden: true }, icon("find"), this.input, this.said, up, button("Find the next", "chev", "Enter", () => this.go(1)), button("Close", "x", "Esc", () => this.close(true)));
    pane.box.append(this.box);
    this.input.oninput = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(), WAIT);
    };
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === this.input) this.go(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") this.close(true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  open() {
    this.box.hidden = false;
    this.input.focus();
    this.input.select();
    if (this.input.value) this.search();
  }

  close(back = false) {
    if (this.box.hidden) return;
    this.box.hidden = true;
    this.found = [];
    this.pane.painter.look.found = null;
    if (back) this.pane.box.focus();
    this.pane.request();
  }

  /** After a new layout the same words stand at other places. */
  again() {
    if (!this.box.hidden) this.search(true);
  }

  search(kept = false) {
    clearTimeout(this.timer);
    const { state, scene, painter } = this.pane;
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = new Map();
    if (words.length) {
      for (const slot of state.slots.values()) {
        if (slot.role === "parameter") continue;
        const text = `${slot.label} ${slot.name || ""} ${slot.module || ""} ${(slot.shape || []).join("x")} #${slot.node || ""} `.toLowerCase();
        if (!words.every((word) => (word[0] === "#" ? text.includes(`${word} `) : text.includes(word)))) continue;
        const item = scene.layout.itemOf(state, slot);
        if (item && scene.hiding.shows(item) && !found.has(item.key)) found.set(item.key, item);
      }
    }
    this.found = [...found.values()];
    if (!kept) this.at = -1;
    painter.look.found = words.length ? new Set(found.keys()) : null;
    this.tell();
    this.pane.request();
  }

  go(by) {
    if (this.timer) this.search(true);
    this.timer = 0;
    const { found } = this;
    if (!found.length) return this.tell();
    this.at = this.at < 0 ? (by > 0 ? 0 : found.length - 1) : (this.at + by + found.length) % found.length;
    const item = found[this.at];
    this.pane.following = false;
    this.pane.select(item.key);
    this.pane.camera.show(item);
    this.tell();
    return undefined;
  }

  tell() {
    const { found, at } = this;
    this.said.textContent = !this.input.value.trim() ? "" : !found.length ? "nothing" : at < 0 ? count(found.length) : `${at + 1} of ${count(found.length)}`;
    if (this.input.value.trim() && !found.length) say(`Nothing in the graph has ${prime(this.input.value)}`);
  }
}
