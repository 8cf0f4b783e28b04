// What is traced and what that costs, in one place: level, sampling, switches that are off, the values' budget.
import { $, bytes, h } from "./dom.mjs";
import { sizeOf } from "./breakform.mjs";

const LEVELS = ["Off: nothing is recorded, breakpoints still stop", "Operations: op, shapes, line, time, bytes", "Tensors: also statistics, values within the budget"];

export class Tracing {
  /** `on.problem(text)`, `on.configuration()` shows what is in force */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.box = null;
    $("btn-tracing").onclick = () => (this.box ? this.close() : this.open());
  }

  close() {
    removeEventListener("pointerdown", this.outside, true);
    this.box?.remove();
    this.box = null;
    $("btn-tracing").setAttribute("aria-expanded", "false");
  }

  open() {
    const at = $("btn-tracing").getBoundingClientRect();
    this.box = h("div", { id: "tracing", class: "pop", role: "dialog", "aria-label": "Tracing", tabindex: -1, onkeydown: (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
      $("btn-tracing").focus();
    } });
    this.outside = (event) => { if (!this.box?.contains(event.target) && !$("btn-tracing").contains(event.target)) this.close(); };
    addEventListener("pointerdown", this.outside, true);
    document.body.append(this.box);
    this.draw();
    this.box.style.top = `${at.bottom + 4}px`;
    this.box.style.right = `${Math.max(8, innerWidth - at.right - 120)}px`;
    $("btn-tracing").setAttribute("aria-expanded", "true");
    this.box.focus();
  }

  tell(verb, more) {
    return this.live.ask(verb, more).catch((error) => { this.problem = error.message; this.draw(); });
  }

  update() {
    if (this.box && !this.box.querySelector("input:focus")) this.draw(); // not under the person's hands
  }

  draw() {
    const { box, state } = this;
    if (!box) return;
    const { settings, counts } = state;
    const inside = box.contains(document.activeElement);
    const held = document.activeElement?.dataset?.of;
    const recording = Boolean(state.run?.recording);
    const field = (of, label, value, hint, apply) => h("label", { class: "bf wide" }, h("span", {}, label), h("input", { class: "mono", value, "data-of": of, disabled: recording, "aria-label": label, spellcheck: "false",
      onchange: (event) => apply(event.target.value.trim()) }), h("span", { class: "dim" }, hint));
    const off = settings.switches.filter((one) => !one.on);
    const cost = counts.overhead;
    const whole = h("div", {},
      h("h3", {}, "Tracing"),
      h("p", { class: "dim" }, cost === null || cost === undefined ? "What it costs is told at the next stop." : ["Watching takes ", h("b", { class: "mono" }, `${cost.toFixed(1)} %`), ` of the program's time.${cost > 30 && settings.level === 2 ? " Level 1, a sample, or switches below make it less." : ""}`]),
      counts.core ? h("p", { class: "dim" }, `Ops are followed in Python, which takes three times as long as compiled code: ${counts.core}.`) : "",
      h("div", { class: "levels", role: "radiogroup", "aria-label": "Trace level" }, LEVELS.map((text, level) => h("button", { type: "button", role: "radio", "aria-checked": String(settings.level === level), disabled: recording, "data-of": `l${level}`, onclick: () => this.tell("level", { level }) }, h("b", {}, level), h("span", {}, text)))),
      settings.sample === undefined ? "" : field("sample", "Trace one in", settings.sample, "iterations (1: each of them)", (text) => (/^\d+$/.test(text) ? this.tell("sample", { every: Number(text) }) : this.say(`A sample is a whole number such as 10, not "${text}".`))),
      settings.value_budget === undefined ? "" : field("budget", "Keep values up to", bytes(settings.value_budget), "of the recording", (text) => (sizeOf(text) === null ? this.say(`A budget is a number of bytes such as 256M, not "${text}".`) : this.tell("value_budget", { bytes: sizeOf(text) }))),
      this.problem ? h("div", { class: "brk-problem", role: "alert" }, this.problem) : "",
      h("h4", {}, "Switched off"),
      off.length ? h("ul", {}, off.map((one) => h("li", {}, h("span", { class: "dim" }, { module: "module ", op: "op ", place: "line " }[one.target]), h("span", { class: "mono ell", title: one.name }, one.target === "place" ? one.name.split("/").pop() : one.name), h("span", { class: "grow" }),
        recording ? "" : h("button", { class: "btn small", type: "button", "data-of": `sw${one.target}${one.name}`, "aria-label": `Trace ${one.name} again`, onclick: () => this.switchOn(one) }, "Trace again")))) : h("p", { class: "dim" }, "Nothing: choose a node to switch its line, op or module off in the inspector."),
      recording ? "" : h("p", { class: "more" }, h("button", { class: "link", type: "button", onclick: () => { this.close(); this.on.configuration(); } }, "The configuration in force")));
    box.replaceChildren(whole);
    this.problem = "";
    if (inside) (held && box.querySelector(`[data-of="${CSS.escape(held)}"]`) || box).focus(); // what was pressed may be gone
  }

  say(text) {
    this.problem = text;
    this.draw();
  }

  switchOn(one) {
    if (one.target !== "place") return this.tell("switch", { target: one.target, name: one.name, on: true });
    const [, path, line] = /^(.*):(\d+)$/.exec(one.name) || [];
    const file = [...this.state.files.values()].find((each) => each.path === path);
    return file ? this.tell("switch", { target: "place", file: file.id, line: Number(line), on: true }) : undefined;
  }
}
