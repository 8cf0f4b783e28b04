// Tables that are asked for while their tab is open: what they share, and the events, which go back into the recording.
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
      const { more } = this;
      try {
        const found = await this.live.ask(this.verb, more);
        if (more === this.more) this.draw(found); // else something else was asked for meanwhile
      } catch (error) {
        this.box.replaceChildren(h("div", { class: "hint" }, error.message));
      }
    }, Math.max(0, wait));
  }
}

const PAGE = 200; // rows
const ONLY = [["all", "All that happened"], ["nodes", "Ops only"], ["structure", "Modules, branches, turns and failures"], ["not finite", "Ops that made or carried NaN or Inf (trace level 2)"]];

export class Events extends Asked {
  /** `on.node(node)` shows a node that the page knows, `on.moment(node)` goes to the moment before one that it no longer knows. */
  constructor(state, live, on) {
    super("events", live, "events", { from: 0, count: PAGE, only: "all" });
    this.state = state;
    this.on = on;
    this.way = []; // where each page that is newer than the one shown ends, {node, before}; none: the newest is shown, and follows the program
    this.choice = h("span", { class: "seg low", role: "radiogroup", "aria-label": "Which events are listed", hidden: true }, ONLY.map(([only, title]) => h("button", { type: "button", role: "radio", title, "aria-checked": String(only === "all"), onclick: (event) => {
      this.way = [];
      this.more = { from: 0, count: PAGE, only };
      for (const button of this.choice.children) button.setAttribute("aria-checked", String(button === event.currentTarget));
      this.refresh();
    } }, only)));
    $("bottom-tools").append(this.choice);
  }

  show(open) {
    if (this.choice) this.choice.hidden = !open;
    super.show(open);
  }

  /** An earlier page stays as it is, whatever the program does. */
  refresh(asked = false) {
    if (asked || !this.way.length) super.refresh();
  }

  clear() {
    this.turn([]);
  }

  /** Show what came before where the last of these pages ends. */
  turn(way) {
    this.way = way;
    const { count: wanted, only } = this.more;
    this.more = { from: 0, count: wanted, only, ...way[way.length - 1] };
    this.refresh(true);
  }

  /** Where a page of rows ends: the oldest op on it, and the oldest of the rest. */
  end(rows) {
    const last = this.way[this.way.length - 1];
    const nodes = rows.filter((row) => row.slot !== null).map((row) => row.node);
    const times = rows.filter((row) => row.slot === null).map((row) => row.time);
    return { node: Math.min(last?.node ?? Number.MAX_SAFE_INTEGER, ...nodes), before: times.length ? Math.min(...times) : Math.min(last?.before ?? Infinity, rows[rows.length - 1].time) };
  }

  /** The buttons to the pages beside this one. */
  pages(rows) {
    const { way } = this;
    const button = (text, title, action) => h("button", { class: "btn small", type: "button", title, onclick: action }, text);
    const older = rows.length >= this.more.count && !this.live.offline;
    if (!older && !way.length) return "";
    return h("div", { class: "pages", role: "group", "aria-label": "Pages of events" },
      way.length ? [button("Newest", "The latest events, which follow the program", () => this.turn([])), button("Newer", "The events after these", () => this.turn(way.slice(0, -1)))] : "",
      older ? button("Earlier", "The events before these; of a long run they are read from its recording", () => this.turn([...way, this.end(rows)])) : h("span", { class: "dim" }, "Here the run began."),
      way.length ? h("span", { class: "dim" }, `before ${duration(way[way.length - 1].before)}`) : "");
  }

  node(row) {
    const known = this.state.slotOfNode(row.node);
    return h("button", { class: "link", type: "button", title: known ? "" : `Go to the moment before node ${row.node}`, onclick: () => (known ? this.on.node(row.node) : this.on.moment(row.node)) }, `${prime(row.text)} #${row.node}`);
  }

  note(row) {
    if (!row.bad) return "";
    return h("span", { class: row.made ? "red b" : "red" }, row.made ? `${row.bad} not finite, made here` : `${row.bad} not finite, carried on`);
  }

  draw(data) {
    if (!data.rows.length && this.way.length) {
      this.box.replaceChildren(this.pages(data.rows));
      return;
    }
    if (!data.rows.length) {
      const { only } = this.more;
      this.box.replaceChildren(h("div", { class: "hint" }, only === "not finite" ? "Nothing that is not finite is known of. Statistics are taken at trace level 2, and the breakpoint \u201cNaN or Inf made\u201d stops at the first one."
        : "Every node, module, branch and loop turn, newest first, as soon as the first has run."));
      return;
    }
    const heads = ["Time", "Kind", "What", "Shape", "Bytes", "Took", "Where", "Module", "Note"];
    const rows = data.rows.map((row) => h("tr", { class: row.made || row.kind === "failed" ? "bad" : "" },
      h("td", { class: "num" }, `${(row.time / 1e6).toFixed(3)} ms`), h("td", { class: `dim ph-${row.kind}` }, row.kind),
      h("td", {}, row.node ? this.node(row) : prime(row.text)),
      h("td", { class: "num" }, row.shape ? shapeText(row.shape) : ""), h("td", { class: "num" }, row.nbytes ? bytes(row.nbytes) : ""), h("td", { class: "num" }, row.ns ? duration(row.ns) : ""),
      h("td", { class: "mono" }, this.state.place(row.file, row.line)), h("td", { class: "mono" }, row.module || ""), h("td", { class: "last" }, this.note(row))));
    this.box.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: [0, 3, 4, 5].includes(i) ? "num" : "" }, head)))), h("tbody", {}, rows)), this.pages(data.rows));
  }
}
