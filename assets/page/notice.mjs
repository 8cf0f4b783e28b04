// The strip that says that this is a recording, or a run in one file, and what can be done with it.
import { $, count, duration, h, icon } from "./dom.mjs";
import { download } from "./picture.mjs";

export class Notice {
  /** `on.problem(text)` */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
  }

  update() {
    const { run, counts } = this.state;
    const box = $("notice");
    const hidden = Boolean(!run?.recording || this.closed);
    if (box.hidden !== hidden) box.hidden = hidden;
    if (hidden || this.shown === run.recording) return;
    this.shown = run.recording;
    const file = Boolean(run.moments);
    const stops = file ? `${run.moments.length === 1 ? "Its end is shown" : `It goes from stop to stop (${run.moments.length})`}; ` : "You can step back, scrub and compare; ";
    document.body.dataset.recording = file ? "file" : "server";
    box.replaceChildren(...[icon("rec"), h("span", { class: "grow ell" }, h("b", {}, file ? "This is a run in one file. " : "This is a recording. "), `${stops}nothing runs and nothing can be changed.`),
      h("span", { class: "dim ell" }, `${run.recording}, ${count(counts.nodes)} nodes`),
      file ? null : h("button", { class: "btn small", id: "btn-html", type: "button", onclick: () => this.save() }, icon("save"), "Save as one HTML file"),
      h("button", { class: "ib small", type: "button", "aria-label": "Close this strip", title: "Close this strip", onclick: () => { this.closed = true; this.update(); } }, icon("x"))].filter(Boolean));
  }

  /** The run as a file that opens anywhere. */
  async save() {
    const button = $("btn-html");
    const began = performance.now();
    if (button) button.disabled = true;
    try {
      const { name, text } = await this.live.ask("html");
      download(name, new Blob([text], { type: "text/html" }));
      return duration((performance.now() - began) * 1e6);
    } catch (error) {
      return this.on.problem(error.message);
    } finally {
      if (button) button.disabled = false;
    }
  }
}
