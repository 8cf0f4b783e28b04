// The program's output, and a prompt that evaluates in the paused frame.
import { Completion } from "./complete.mjs";
import { $, copy, h, icon } from "./dom.mjs";
import { remember, remembered } from "./frame.mjs";

const LINES = 4000; // pieces of output kept in the document
const HISTORY = 200; // expressions remembered by the browser

export class Console {
  constructor(state, live) {
    this.state = state;
    this.live = live;
    this.log = $("console-log");
    this.history = this.recalled();
    this.at = this.history.length;
    this.input = h("input", { id: "console-input", "aria-label": "Expression to evaluate in the paused frame", autocomplete: "off", spellcheck: "false" });
    $("console-form").append(h("span", { "aria-hidden": "true" }, "\u203a"), this.input);
    this.completion = new Completion(this.input, $("console-form"), (text) => (state.paused && !state.run.stop?.past ? live.ask("complete", { text, frame: state.frame || 0 }) : Promise.reject(new Error("running"))));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.copier = h("button", { class: "btn small plain", id: "console-copy", type: "button", hidden: true, onclick: () => copy(this.log.innerText) }, icon("copy"), "Copy all");
    $("bottom-tools").append(this.copier);
    this.update();
    this.clear();
  }

  recalled() {
    try {
      const list = JSON.parse(remembered("console") || "[]");
      return Array.isArray(list) ? list.filter((text) => typeof text === "string") : [];
    } catch {
      return []; // something else wrote there
    }
  }

  show(open) {
    this.copier.hidden = !open;
  }

  clear() {
    this.log.replaceChildren(this.hint());
    this.bare = true;
    this.last = null;
  }

  hint() {
    return h("div", { class: "hint" }, "What the program prints appears here. At a stop, type an expression such as h.shape below.");
  }

  update() {
    const paused = this.state.paused;
    const stop = this.state.run?.stop;
    const frame = stop?.frames?.[this.state.frame || 0];
    const there = frame?.function || "the paused frame";
    this.input.placeholder = this.state.run?.recording ? "a recording has no program to ask" : stop?.past ? "this moment is past; go to the present to evaluate"
      : paused ? `evaluates in ${there}${frame?.line ? `, line ${frame.line}` : ""}; Tab completes, \u2191 recalls` : "pause the program to evaluate an expression";
  }

  add(element) {
    if (this.bare) this.log.replaceChildren();
    this.bare = false;
    const bottom = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 30;
    this.log.append(element);
    while (this.log.childElementCount > LINES) this.log.firstElementChild.remove();
    if (bottom) this.log.scrollTop = this.log.scrollHeight;
  }

  output(message) {
    if (message.stream === 0) {
      this.last = null;
      this.add(h("div", { class: "gap" }, message.text));
      return;
    }
    const kind = message.stream === 2 ? "err2" : "out";
    if (this.last && this.last.kind === kind && !this.last.text.endsWith("\n") && this.last.text.length < 4000) {
      this.last.text += message.text;
      this.last.element.textContent = trimmed(this.last.text);
      return;
    }
    const element = h("div", { class: kind }, trimmed(message.text));
    this.last = { kind, text: message.text, element };
    this.add(element);
  }

  key(event) {
    const { history, input } = this;
    if (this.completion.key(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      this.at = Math.max(0, Math.min(history.length, this.at + (event.key === "ArrowUp" ? -1 : 1)));
      input.value = history[this.at] || "";
      event.preventDefault();
    } else if (event.key === "Enter" && input.value.trim()) {
      const text = input.value;
      if (history[history.length - 1] !== text) history.push(text);
      history.splice(0, history.length - HISTORY);
      remember("console", JSON.stringify(history));
      this.completion.close();
      this.at = history.length;
      input.value = "";
      this.evaluate(text);
    }
  }

  async evaluate(text) {
    this.last = null;
    this.add(h("div", { class: "e" }, h("span", { "aria-hidden": "true" }, "\u203a"), h("span", {}, text)));
    let answer, failed = false;
    try {
      answer = await this.live.ask("evaluate", { text, frame: this.state.frame || 0 });
    } catch (error) {
      [answer, failed] = [error.message, true];
    }
    if (answer) this.add(h("div", { class: failed ? "err" : "e" }, failed ? answer : [h("span"), h("span", {}, answer)]));
    this.log.scrollTop = this.log.scrollHeight;
  }
}

const trimmed = (text) => (text.endsWith("\n") ? text.slice(0, -1) : text);
