// Ways on for an expression: a list above the input, asked of the paused program while one types.
import { h } from "./dom.mjs";

const WAIT = 90; // milliseconds of silence before the program is asked

export class Completion {
  /** `ask(text)` gives {start, items: [[name, kind]]}; `box` is where the list hangs. */
  constructor(input, box, ask) {
    this.input = input;
    this.ask = ask;
    this.list = h("div", { class: "ways", role: "listbox", id: `${input.id}-ways`, "aria-label": "Completions", hidden: true });
    box.append(this.list);
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-controls", this.list.id);
    input.addEventListener("input", () => this.soon());
    input.addEventListener("blur", () => this.close());
    this.close();
  }

  get open() {
    return !this.list.hidden;
  }

  close() {
    clearTimeout(this.timer);
    this.asked = (this.asked || 0) + 1;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  soon() {
    clearTimeout(this.timer);
    const before = this.input.value.slice(0, this.input.selectionStart);
    const number = /(?:^|[^\w.])\d[\w.]*$/.test(before);
    if (number || !/[\w.]$/.test(before)) return this.close();
    if (this.open) this.narrow(before);
    this.timer = setTimeout(() => this.show(), WAIT);
    return undefined;
  }

  /** Of what is listed only what still begins so: a key that takes one must not take what was typed past. */
  narrow(before) {
    const word = before.slice(this.start);
    this.items = before.startsWith(this.before.slice(0, this.start)) ? this.items.filter(([name]) => name.toLowerCase().startsWith(word.toLowerCase()) && name !== word) : [];
    this.at = 0;
    if (this.items.length) this.draw();
    else this.close();
  }

  async show() {
    const { input } = this;
    const mine = (this.asked = (this.asked || 0) + 1);
    const text = () => input.value.slice(0, input.selectionStart);
    const before = text();
    const found = await this.ask(before).catch(() => ({ items: [] }));
    if (mine !== this.asked || document.activeElement !== input || text() !== before) return;
    const word = before.slice(found.start);
    this.items = found.items.filter(([name]) => name !== word);
    this.start = found.start;
    this.before = before;
    this.at = 0;
    if (!this.items.length) { this.close(); return; }
    this.draw();
  }

  draw() {
    this.list.replaceChildren(...this.items.map(([name, kind], i) => h("div", {
      class: `way${i === this.at ? " on" : ""}`, role: "option", id: `${this.list.id}-${i}`, "aria-selected": String(i === this.at),
      onpointerdown: (event) => { event.preventDefault(); this.at = i; this.take(); },
    }, h("span", { class: "ell" }, name), h("span", { class: "dim" }, kind))));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.at}`);
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  move(by) {
    this.at = (this.at + by + this.items.length) % this.items.length;
    this.draw();
  }

  take() {
    const { input } = this;
    const [name] = this.items[this.at];
    input.setRangeText(name, this.start, input.selectionStart, "end");
    this.close();
    input.focus();
  }

  /** Whether the key was the list's. */
  key(event) {
    if (!this.open) {
      if ((event.key === "Tab" && !event.shiftKey && this.input.value && this.input.selectionStart === this.input.value.length) || (event.key === " " && event.ctrlKey)) {
        this.show();
        return true;
      }
      return false;
    }
    if (event.key === "ArrowDown") this.move(1);
    else if (event.key === "ArrowUp") this.move(-1);
    else if (event.key === "Tab" || event.key === "ArrowRight") this.take();
    else if (event.key === "Escape") this.close();
    else return false;
    return true;
  }
}
