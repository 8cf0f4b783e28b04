// The modules and Python frames at a stop. A frame that is chosen is the one that variables, watches and the console speak of.
import { $, h } from "./dom.mjs";

const shortPlace = (item) => (item.path && item.line ? `${item.path.split("/").pop()}:${item.line}` : item.line ? `:${item.line}` : "");

export class Stack {
  /** `on.place(file, line)`, `on.frame()` when another frame was chosen */
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.draw();
  }

  choose(index) {
    this.state.frame = index;
    const frame = this.state.run?.stop?.frames?.[index];
    if (frame) this.on.place(frame.file, frame.line);
    this.draw();
    this.on.frame();
  }

  draw() {
    const { state } = this;
    const stop = state.run?.state !== "running" ? state.run?.stop : null;
    const held = document.activeElement?.dataset?.frame;
    const rows = [];
    const row = (item, name, note, more) => h("button", { class: `row${more.current ? " cur" : ""}`, type: "button", title: item.path || "", ...more.attributes, onclick: more.action },
      h("span", { class: "b ell" }, name), h("span", { class: "dim ell grow" }, note), h("span", { class: "link mono" }, state.place(item.file, item.line) || shortPlace(item)));
    if (stop?.modules?.length) {
      rows.push(h("div", { class: "sub-h" }, "Modules"));
      stop.modules.forEach((item, i) => rows.push(row(item, item.path, item.cls, { current: i === 0, action: () => this.on.place(item.file, item.line) })));
    }
    if (stop?.frames?.length) {
      const choice = state.paused && !stop.past;
      rows.push(h("div", { class: "sub-h" }, "Python"));
      stop.frames.forEach((item, i) => {
        const current = choice && i === state.frame;
        rows.push(row(item, item.function || "<module>", current && i ? "chosen" : "", { current, attributes: { "data-frame": i, "aria-current": current ? "true" : null }, action: () => (choice ? this.choose(i) : this.on.place(item.file, item.line)) }));
      });
    }
    $("stack").replaceChildren(...(rows.length ? rows : [h("div", { class: "hint" }, "At a stop: the modules and functions that are being run, innermost first. Choose a function to look into it.")]));
    if (held !== undefined) $("stack").querySelector(`[data-frame="${held}"]`)?.focus();
  }
}
