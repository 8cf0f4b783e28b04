// The variables of the chosen frame at a stop.
import { $, h, shapeText } from "./dom.mjs";

const RUNS = "The program is running: it can be looked into only while it is paused.";
const LULL = 400; // milliseconds of running after which what was is taken away
const SOON = 130; // milliseconds after a stop: someone who steps quickly does not wait for them

export class Variables {
  /** `on.node(node)` shows the node that made a tensor, `on.evaluate(name)` looks at anything else. */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.list = [];
    this.before = new Map(); // name -> what was told of it at the stop before
    this.draw();
  }

  update() {
    clearTimeout(this.timer);
    if (this.state.run?.state === "running") { // which is told again and again of a program that sleeps
      this.lull ||= setTimeout(() => { this.lull = null; this.draw(RUNS); }, LULL);
      return;
    }
    clearTimeout(this.lull);
    this.lull = null;
    if (this.state.paused && !this.state.run.stop?.past && !this.state.run.recording) this.timer = setTimeout(() => this.ask(), SOON);
    else this.draw("");
  }

  async ask() {
    const mine = (this.asked = (this.asked || 0) + 1);
    let problem = "";
    let list = [];
    try {
      list = await this.live.ask("variables", { frame: this.state.frame || 0 });
    } catch (error) {
      problem = error.message;
    }
    if (mine !== this.asked) return;
    this.list = list;
    this.draw(problem || "This frame has no variables yet.");
  }

  told(one) {
    if (!one.shape) return one.text || one.type;
    return [shapeText(one.shape), one.text].filter(Boolean).join("  ");
  }

  draw(nothing = "") {
    const shown = this.state.paused && !this.state.run.stop?.past ? this.list : [];
    const key = (one) => `${one.type} ${one.shape || ""} ${one.text} ${one.node || ""}`;
    const rows = shown.map((one) => {
      const changed = this.before.has(one.name) && this.before.get(one.name) !== key(one);
      const text = this.told(one);
      const slot = one.node ? this.state.slotOfNode(one.node) : null;
      return h("button", { class: "row watch", type: "button", title: `${one.name}: ${one.type} ${text}${one.dtype ? ` ${one.dtype}` : ""}`, onclick: () => (slot ? this.on.node(one.node) : this.on.evaluate(one.name)) },
        h("span", { class: "mono ell" }, one.name), h("span", { class: "grow" }), one.shape ? h("span", { class: "dim mono" }, one.dtype) : "",
        h("span", { class: `mono ell val${changed ? " b" : ""}${one.text || one.shape ? "" : " dim"}` }, text));
    });
    if (shown.length) this.before = new Map(shown.map((one) => [one.name, key(one)]));
    $("variables").replaceChildren(...(rows.length ? rows : [h("div", { class: "hint" }, nothing || "At a stop: the names of the chosen function, with shapes and values.")]));
  }
}
