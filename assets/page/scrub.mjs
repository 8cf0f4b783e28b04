// The time line of a past that is being looked at: which node was about to run, and the way to any other.
import { count, h } from "./dom.mjs";

export class Scrub {
  /** `on.go(node)` goes to the moment before a node, `on.present()` back to the end. */
  constructor(state, box, on) {
    this.state = state;
    this.on = on;
    this.range = h("input", { type: "range", id: "scrub-node", min: "1", step: "1", "aria-label": "Moment: the node that was about to run" });
    this.label = h("span", { class: "num ell", id: "scrub-label" });
    this.mark = h("span", { class: "chip", id: "scrub-mark" });
    this.present = h("button", { type: "button", class: "btn small", id: "btn-present", onclick: () => on.present() }, "To the end");
    this.box = h("div", { class: "scrub", id: "scrub", hidden: true }, this.mark, this.range, this.label, this.present);
    // What begins here is not the canvas's: it would take hold of the pointer and drag.
    for (const kind of ["pointerdown", "wheel", "dblclick", "keydown"]) this.box.addEventListener(kind, (event) => event.stopPropagation());
    box.append(this.box);
    // While it is dragged only the label moves: each moment is a graph of its own.
    this.range.oninput = () => {
      const at = Number(this.range.value);
      this.label.textContent = this.state.run?.moments ? this.state.run.moments[at - 1] : `node ${count(at)}`;
    };
    this.range.onchange = () => this.go();
  }

  /** One move at a time: who keeps a key down means where it stops. */
  async go() {
    if (this.going) return;
    this.going = true;
    let at;
    while (at !== Number(this.range.value)) {
      at = Number(this.range.value);
      await this.on.go(at);
    }
    this.going = false;
  }

  /** What stands at the foot of the graph moves up where this does. */
  hide(yes) {
    this.box.hidden = yes;
    this.box.parentElement.toggleAttribute("data-scrub", !yes);
  }

  update() {
    const { run } = this.state;
    const stop = run?.stop;
    const past = Boolean(stop?.past);
    if (run?.moments) return this.moments(run);
    const hidden = !run || run.state === "running" || !(past || run.recording);
    if (this.box.hidden !== hidden) this.hide(hidden);
    if (hidden) return undefined;
    const last = Math.max(run.last || 1, 1);
    this.range.max = String(last);
    if (!this.going) this.range.value = String(past ? stop.node || 1 : last);
    this.mark.textContent = run.recording ? (past ? "Recording, past" : "Recording") : "Past";
    this.mark.dataset.tone = past ? "paused" : "";
    this.label.textContent = past ? (stop.node ? `before node ${count(stop.node)} of ${count(last)}` : stop.text) : `at its end, after node ${count(last)}`;
    this.present.textContent = run.recording ? "To the end" : "To the present";
    this.present.disabled = !past;
    return undefined;
  }

  /** A run in one file goes from stop to stop. */
  moments({ moments, moment }) {
    this.hide(moments.length < 2);
    this.range.max = String(moments.length);
    this.range.value = String(moment + 1);
    this.mark.textContent = `Stop ${moment + 1} of ${moments.length}`;
    this.label.textContent = this.label.title = moments[moment];
    this.present.textContent = "To the end";
    this.present.disabled = moment + 1 === moments.length;
  }
}
