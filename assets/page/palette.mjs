// Ctrl+K: nodes, files and commands in one list.
import { h, prime, shapeText } from "./dom.mjs";

const MOST = 60;

export class Palette {
  /** `commands()` gives [text, key, action]; `on.slot(slot)`, `on.file(id)` */
  constructor(state, commands, on) {
    this.state = state;
    this.commands = commands;
    this.on = on;
    this.veil = null;
  }

  items(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (name) => words.every((word) => name.toLowerCase().includes(word));
    const found = [];
    for (const [name, key, action] of this.commands()) if (fits(name)) found.push([name, "", key, action]);
    for (const file of this.state.files.values()) if (fits(file.path)) found.push([file.name, file.path, "", () => this.on.file(file.id)]);
    if (words.length) {
      for (const slot of this.state.slots.values()) {
        if (found.length >= MOST) break;
        const name = `${slot.label} ${slot.name || ""} ${slot.module || ""} #${slot.node}`;
        if (fits(name)) found.push([prime(slot.name || slot.label), [slot.module, shapeText(slot.shape), slot.node ? `#${slot.node}` : ""].filter(Boolean).join("  "), "", () => this.on.slot(slot)]);
      }
    }
    return found.slice(0, MOST);
  }

  open() {
    if (this.veil) return this.close();
    const back = document.activeElement;
    const input = h("input", { placeholder: "Search nodes, files and commands", "aria-label": "Search", spellcheck: "false", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list" });
    const list = h("div", { class: "ls", role: "listbox", id: "palette-list", "aria-label": "Results" });
    this.veil = h("div", { class: "veil", onpointerdown: (event) => { if (event.target === this.veil) this.close(); } }, h("div", { class: "pal", role: "dialog", "aria-modal": "true", "aria-label": "Search or run" }, input, list));
    let at = 0;
    let items = [];
    const run = (item) => {
      this.close();
      back?.focus?.();
      item[3]();
    };
    const draw = () => {
      items = this.items(input.value);
      at = Math.max(0, Math.min(at, items.length - 1));
      list.replaceChildren(...(items.length ? items.map((item, i) => h("div", { class: `it${i === at ? " on" : ""}`, role: "option", "aria-selected": String(i === at), onclick: () => run(item) },
        h("span", { class: "ell" }, item[0]), h("span", { class: "dim mono ell grow" }, item[1]), item[2] && h("kbd", {}, item[2]))) : [h("div", { class: "hint" }, "Nothing has that name.")]));
      list.children[at]?.scrollIntoView?.({ block: "nearest" });
    };
    input.oninput = () => { at = 0; draw(); };
    input.onkeydown = (event) => {
      if (event.key === "ArrowDown") at++;
      else if (event.key === "ArrowUp") at--;
      else if (event.key === "Escape") { this.close(); back?.focus?.(); } else if (event.key === "Enter" && items[at]) run(items[at]);
      else return;
      event.preventDefault();
      event.stopPropagation();
      if (this.veil) draw();
    };
    document.body.append(this.veil);
    draw();
    input.focus();
    return undefined;
  }

  close() {
    this.veil?.remove();
    this.veil = null;
  }
}
