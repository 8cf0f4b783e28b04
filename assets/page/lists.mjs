// Tables that are asked for while their tab is open: what they share, and the events.
import { $, bytes, duration, h, prime, shapeText } from "./dom.mjs";

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

const ONLY = [["all", "All that happened"], ["nodes", "Ops only"], ["structure", "Modules, branches, turns and failures"], ["not finite", "Ops that made or carried NaN or Inf (trace level 2)"]];

export class Events extends Asked {
  /** `on.node(node)` */
  constructor(state, live, on) {
    super("events", live, "events", { from: 0, count: 200, only: "all" });
    this.state = state;
    this.on = on;
    this.choice = h("span", { class: "seg low", role: "radiogroup", "aria-label": "Which events are listed", hidden: true }, ONLY.map(([only, title]) => h("button", { type: "button", role: "radio", title, "aria-checked": String(only === "all"), onclick: (event) => {
      this.more = { from: 0, count: 200, only };
      for (const button of this.choice.children) button.setAttribute("aria-checked", String(button === event.currentTarget));
      this.refresh();
    } }, only)));
    $("bottom-tools").append(this.choice);
  }

  show(open) {
    if (this.choice) this.choice.hidden = !open;
    super.show(open);
  }

  note(row) {
    if (!row.bad) return "";
    return h("span", { class: row.made ? "red b" : "red" }, row.made ? `${row.bad} not finite, made here` : `${row.bad} not finite, carried on`);
  }

  draw(data) {
    if (!data.rows.length) {
      const { only } = this.more;
      this.box.replaceChildren(h("div", { class: "hint" }, only === "not finite" ? "Nothing that is not finite is known of. Statistics are taken at trace level 2, and the breakpoint \u201cNaN or Inf made\u201d stops at the first one."
        : "Every node, module, branch and loop turn, newest first, as soon as the first has run."));
      return;
    }
    const heads = ["Time", "Kind", "What", "Shape", "Bytes", "Took", "Where", "Module", "Note"];
    const rows = data.rows.map((row) => h("tr", { class: row.made || row.kind === "failed" ? "bad" : "" },
      h("td", { class: "num" }, `${(row.time / 1e6).toFixed(3)} ms`), h("td", { class: `dim ph-${row.kind}` }, row.kind),
      h("td", {}, row.node ? h("button", { class: "link", type: "button", onclick: () => this.on.node(row.node) }, `${prime(row.text)} #${row.node}`) : prime(row.text)),
      h("td", { class: "num" }, row.shape ? shapeText(row.shape) : ""), h("td", { class: "num" }, row.nbytes ? bytes(row.nbytes) : ""), h("td", { class: "num" }, row.ns ? duration(row.ns) : ""),
      h("td", { class: "mono" }, this.state.place(row.file, row.line)), h("td", { class: "mono" }, row.module || ""), h("td", { class: "last" }, this.note(row))));
    const rest = data.rows.length >= this.more.count && this.more.count < 1000;
    this.box.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: [0, 3, 4, 5].includes(i) ? "num" : "" }, head)))), h("tbody", {}, rows)),
      rest ? h("div", { class: "hint" }, h("button", { class: "link", type: "button", onclick: () => { this.more = { ...this.more, count: 1000 }; this.refresh(); } }, "Show 1 000")) : "");
  }
}
