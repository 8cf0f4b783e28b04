// Tables that are asked for while their tab is open: what they share, and the events.
import { $, duration, h, prime, shapeText } from "./dom.mjs";

/** A table that asks again while its tab is open and something changed. */
export class Asked {
  constructor(id, live, verb, more = {}) {
    this.box = $(id);
    this.live = live;
    this.verb = verb;
    this.more = more;
    this.open = false;
    this.at = 0;
  }

  show(open) {
    this.open = open;
    if (open) this.refresh();
  }

  /** At most four times a second. */
  refresh() {
    if (!this.open) return;
    const wait = this.at + 250 - performance.now();
    if (this.timer) return;
    this.timer = setTimeout(async () => {
      this.timer = 0;
      this.at = performance.now();
      try {
        this.draw(await this.live.ask(this.verb, this.more));
      } catch (error) {
        this.box.replaceChildren(h("div", { class: "hint" }, error.message));
      }
    }, Math.max(0, wait));
  }
}

export class Events extends Asked {
  /** `on.node(node)` */
  constructor(state, live, on) {
    super("events", live, "events", { from: 0, count: 200 });
    this.state = state;
    this.on = on;
  }

  draw(data) {
    if (!data.rows.length) {
      this.box.replaceChildren(h("div", { class: "hint" }, "Every node, module, branch and loop turn, newest first, as soon as the first has run."));
      return;
    }
    const heads = ["Time", "Kind", "What", "Shape", "Took", "Where", "Module"];
    const rows = data.rows.map((row) => h("tr", {},
      h("td", { class: "num" }, `${(row.time / 1e6).toFixed(3)} ms`), h("td", { class: "dim" }, row.kind),
      h("td", {}, row.node ? h("button", { class: "link", type: "button", onclick: () => this.on.node(row.node) }, `${prime(row.text)} #${row.node}`) : prime(row.text)),
      h("td", { class: "num" }, row.shape ? shapeText(row.shape) : ""), h("td", { class: "num" }, row.ns ? duration(row.ns) : ""),
      h("td", { class: "mono" }, this.state.place(row.file, row.line)), h("td", { class: "last mono" }, row.module || "")));
    this.box.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)));
  }
}
