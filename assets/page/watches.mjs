// Expressions that are evaluated in the paused frame at every stop. They are remembered by the browser, script by script.
import { $, h, icon } from "./dom.mjs";
import { remember, remembered } from "./frame.mjs";

const SOON = 110; // milliseconds after a stop: someone who steps quickly does not wait for them

export class Watches {
  constructor(state, live) {
    this.state = state;
    this.live = live;
    this.box = $("watches");
    this.values = new Map(); // expression -> {text} or {error}
    this.adding = false;
    $("watches-add").onclick = () => { this.adding = !this.adding; this.draw(); };
    this.draw();
  }

  get key() {
    return `watches.${this.state.hello?.script || ""}`;
  }

  get list() {
    try {
      const list = JSON.parse(remembered(this.key) || "[]");
      return Array.isArray(list) ? list.filter((text) => typeof text === "string") : [];
    } catch {
      return []; // something else wrote there
    }
  }

  set list(texts) {
    remember(this.key, texts.length ? JSON.stringify(texts) : null);
    this.update();
  }

  update() {
    clearTimeout(this.timer);
    this.draw();
    if (this.state.paused) this.timer = setTimeout(() => this.evaluate(), SOON);
  }

  async evaluate() {
    const mine = (this.asked = (this.asked || 0) + 1);
    for (const text of this.list) {
      const found = await this.live.ask("evaluate", { text, frame: this.state.frame || 0 }).then((value) => ({ text: value }), (error) => ({ error: error.message }));
      if (mine !== this.asked || !this.state.paused) return;
      this.values.set(text, { ...found, changed: this.values.has(text) && this.values.get(text).text !== found.text });
    }
    this.draw();
  }

  draw() {
    const { list } = this;
    const rows = list.map((text) => {
      const value = this.values.get(text);
      const shown = !this.state.paused ? "" : value ? value.error || value.text : "\u2026";
      return h("div", { class: "row watch" }, h("span", { class: "mono ell", title: text }, text), h("span", { class: "grow" }),
        h("span", { class: `mono ell val${value?.error ? " red" : value?.changed ? " b" : ""}`, title: shown }, shown),
        h("button", { class: "ib small del", type: "button", "aria-label": `Remove the watch ${text}`, title: "Remove", onclick: () => { this.list = list.filter((other) => other !== text); } }, icon("x")));
    });
    if (this.adding) rows.push(this.form());
    else if (!rows.length) rows.push(h("div", { class: "hint" }, "Add an expression to see it at every stop."));
    const typing = this.box.contains(document.activeElement) && this.adding;
    if (typing && this.box.querySelector("input")) return; // not under the person's hands
    this.box.replaceChildren(...rows);
    this.box.querySelector("input")?.focus();
  }

  form() {
    const input = h("input", { class: "mono", "aria-label": "Expression to watch", placeholder: "x.shape", spellcheck: "false" });
    const done = (text) => {
      this.adding = false;
      input.blur();
      if (text && !this.list.includes(text)) this.list = [...this.list, text];
      else this.draw();
    };
    input.onkeydown = (event) => {
      if (event.key === "Enter") done(input.value.trim());
      else if (event.key === "Escape") done("");
      else return;
      event.preventDefault();
    };
    return h("div", { class: "breakform" }, input, h("button", { class: "btn small", type: "button", onclick: () => done(input.value.trim()) }, "Add"));
  }
}
