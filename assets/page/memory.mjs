// The memory timeline's tick, its legend, and what was alive at an instant that was clicked.
import { $, bytes, count, duration, h, icon, prime } from "./dom.mjs";
import { plot } from "./memoryplot.mjs";
import { dash, plots } from "./plots.mjs";

const CATEGORIES = [["workspace", "Workspace"], ["inputs", "Inputs"], ["activations", "Activations"], ["saved", "Saved for backward"], ["gradients", "Gradients"], ["optimizer", "Optimizer"], ["parameters", "Parameters"]];
const TITLES = Object.fromEntries(CATEGORIES);

function patch(key) {
  const colour = h("span", { class: "sw2" });
  colour.style.background = `var(--m-${key})`;
  return colour;
}

export class Memory {
  /** `on.place(file, line)`, `on.node(node)`, `on.problem(text)`; `on.streams()` tells whether nodes are still coming */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.axis = "time";
    this.ticks = 0;
    this.open = true;
    this.view = null;
    this.instant = null; // what was alive at the instant clicked
    this.draw(null);
    this.listen();
  }

  clear() {
    this.instant = null;
    this.other = null; // the comparison was of the run before
    this.refresh();
  }

  show(open) {
    this.open = open;
    if (open) this.refresh();
  }

  /** Soon, but not between two steps of someone who steps quickly, and while nodes stream in by ourselves: plotly takes several frames to draw. */
  refresh() {
    if (!this.open) return;
    const running = this.on.streams();
    const now = performance.now();
    if (this.timer && (running || now - this.since > 2000)) return;
    if (this.timer) clearTimeout(this.timer);
    else this.since = now;
    this.timer = setTimeout(() => {
      this.timer = 0;
      // In a task of its own: the answer comes in one with nodes that are given their places.
      this.live.ask("memory", { axis: this.axis }).then((view) => setTimeout(() => this.told(view, running)), () => undefined);
    }, running ? 600 : 160);
  }

  /** Show what the server told; `running`: it was asked while nodes streamed in. */
  told(view, running) {
    this.draw(view);
    if (view.x.length || this.live.offline) this.used = true;
    const streams = this.on.streams();
    if (dash() && !streams) this.redraw();
    else if (this.used) this.sketch(view);
    if (streams && !running) this.refresh(); // it stands, but what it did is still coming
    if (!this.live.offline && !dash()) this.load();
  }

  /** Draw the timeline ourselves. */
  sketch(view) {
    // It lies over Dash's own part, and stays until plotly has drawn there anew.
    if (!this.live.offline) this.over ||= $("memory-timeline").appendChild(h("div", { id: "memory-sketch" }));
    plot(this.over || $("memory-figure"), view, (x, category) => this.at(x, view.axis === "events" ? 0 : view.x[0] || 0, category));
  }

  /** Take the sketch away as soon as the timeline is drawn beneath it. */
  uncover() {
    if (!this.over || this.watch) return;
    const own = ({ target, addedNodes }) => this.over?.contains(target) || [...addedNodes].includes(this.over);
    this.watch = new MutationObserver((changes) => {
      if (changes.every(own) || !document.querySelector("#memory-figure .scatterlayer .trace")) return;
      this.watch.disconnect();
      this.watch = null;
      this.over?.remove();
      this.over = null;
    });
    this.watch.observe($("memory-timeline"), { childList: true, subtree: true });
  }

  /** Have Dash come, which then draws it anew; `now`: a person waits for it. */
  async load(now = false) {
    const coming = plots(() => this.state.run && this.state.run.state !== "running" && this.state.run.state !== "starting", now);
    if (this.loading) return;
    this.loading = true;
    try {
      await coming;
      this.redraw();
    } catch (error) {
      this.loading = false;
      if (!this.failed) this.on.problem(`The memory timeline can be neither zoomed nor read off under the pointer: ${error.message}`);
      this.failed = true;
    }
  }

  redraw() {
    if (!this.used) return;
    this.uncover();
    dash()("memory-tick", { data: { n: ++this.ticks, axis: this.axis, running: this.state.run?.state === "running", theme: document.documentElement.dataset.theme } });
  }

  /** Clicks are taken from the pointer itself: plotly drops its listeners and its clicks whenever it draws anew. */
  listen() {
    if (!this.live.offline) {
      const box = $("memory-timeline");
      const wanted = () => { if (!dash() && this.used) this.load(true); };
      box.addEventListener("wheel", wanted, { passive: true });
      // A pointer that rests there is to read off what is under it.
      box.addEventListener("pointerenter", () => { this.rests = setTimeout(wanted, 500); });
      box.addEventListener("pointerleave", () => clearTimeout(this.rests));
    }
    let from = null;
    addEventListener("pointerdown", (event) => { from = event.target.closest?.("#memory-figure .nsewdrag") ? event : null; }, true);
    addEventListener("pointerup", (event) => {
      if (from && Math.abs(event.clientX - from.clientX) + Math.abs(event.clientY - from.clientY) < 4) this.clicked(event);
      from = null;
    }, true);
  }

  clicked(event) {
    const plot = document.querySelector("#memory-figure .js-plotly-plot");
    const box = plot?.querySelector(".nsewdrag")?.getBoundingClientRect();
    const { xaxis, yaxis, meta } = plot?._fullLayout || {};
    if (!box || !xaxis || !plot.data?.length) return;
    const x = xaxis.p2d(event.clientX - box.left), y = yaxis.p2d(event.clientY - box.top);
    const origin = meta?.origin || 0;
    // The bands are stacked and hold their value from one point to the next.
    let at = 0;
    while (at + 1 < plot.data[0].x.length && plot.data[0].x[at + 1] <= x) at++;
    let sum = 0;
    const band = plot.data.find((trace) => trace.meta !== "contrast" && (sum += trace.y[at]) >= y);
    this.at(Math.round(this.axis === "events" ? x : x * (meta?.ns || 1e6) + origin), origin, band?.meta || null);
  }

  async at(x, origin, category) {
    try {
      const view = await this.live.ask("alive", { axis: this.axis, x });
      this.instant = { ...view, origin, category };
      this.drawInstant();
    } catch (error) {
      this.on.problem(error.message);
    }
  }

  who(owner) {
    const name = prime(owner.op ? `${owner.op}${owner.phase === "backward" ? "'" : ""}` : owner.name || "not a node's");
    return owner.node ? h("button", { class: "link ell", type: "button", title: `${name} #${owner.node} ${owner.module || ""}`, onclick: () => this.on.node(owner.node) }, owner.module && !owner.name ? `${name} in ${owner.module}` : name) : h("span", { class: "ell" }, name);
  }

  line(owner) {
    return owner.file ? h("button", { class: "link mono", type: "button", onclick: () => this.on.place(owner.file, owner.line) }, this.state.place(owner.file, owner.line)) : "";
  }

  /** The largest buffers alive at the instant; of one category where a band was clicked. */
  drawInstant() {
    const view = this.instant;
    const all = view.largest.filter((buffer) => !view.category || buffer.category === view.category);
    const when = this.axis === "events" ? `after node ${count(view.x)}` : `at ${duration(Math.max(0, view.x - view.origin))}`;
    const what = view.category ? `${TITLES[view.category]}, ${bytes(view.categories[view.category])}` : `${bytes(view.total)} in ${count(view.buffers)} buffers`;
    $("memory-legend").replaceChildren(
      h("div", { class: "alive-h" }, view.category ? patch(view.category) : "", h("b", { class: "ell" }, what), h("span", { class: "dim ell grow" }, when),
        view.category ? h("button", { class: "btn small", type: "button", onclick: () => { this.instant.category = null; this.drawInstant(); } }, "All") : "",
        h("button", { class: "ib small", type: "button", title: "Back to the legend", "aria-label": "Back to the legend", onclick: () => { this.instant = null; this.draw(this.view); } }, icon("x"))),
      view.early ? h("div", { class: "hint" }, "So early an instant is kept as totals only.") : "",
      h("table", { class: "alive" }, h("tbody", {}, all.map((buffer) => h("tr", {},
        h("td", { class: "cut" }, patch(buffer.category), this.who(buffer)), h("td", { class: "num" }, bytes(buffer.bytes)), h("td", { class: "num" }, this.line(buffer)))))),
      all.length ? "" : h("div", { class: "hint" }, "Nothing of it was alive then."));
  }

  /** The row that compares with the optimisation off (or on): a button, the second run's progress, or what came out. */
  contrast(peak) {
    const { other } = this;
    if (this.live.offline || this.state.run?.recording || !peak) return "";
    const begin = h("button", { class: "link", id: "memory-contrast", type: "button", title: "Runs the program once more from its beginning, unseen, with everything it does; its memory is drawn as a line over this one",
      onclick: () => this.compare() }, other?.state === "done" || other?.state === "stopped" ? "again" : "Compare with the optimisation off");
    if (!other || other.state === "none") return h("div", { class: "contrast" }, begin);
    const what = other.optimised ? "With the optimisation" : "Without the optimisation";
    if (other.state === "running") {
      return h("div", { class: "contrast" }, h("div", { class: "row2" }, h("span", {}, `${what}: running`), h("span", { class: "num" }, `${count(Math.min(other.nodes, other.of))} of ${count(other.of)}`)),
        h("progress", { max: other.of, value: Math.min(other.nodes, other.of), "aria-label": "Nodes that the second run has run" }),
        h("button", { class: "link", type: "button", onclick: () => this.live.ask("contrast", { action: "stop" }) }, "Stop"));
    }
    if (other.state === "failed") return h("div", { class: "contrast" }, h("span", { class: "red" }, other.message), " ", begin);
    const difference = peak.bytes ? ((other.peak - peak.bytes) / peak.bytes) * 100 : 0;
    return h("div", { class: "contrast" }, h("span", { class: "dash", "aria-hidden": "true" }), `${what}: peak `, h("b", {}, bytes(other.peak)), `, ${difference >= 0 ? "+" : "\u2212"}${Math.abs(difference).toFixed(0)} % `, begin);
  }

  async compare() {
    if (!dash()) this.load(true); // the second run is drawn over the first
    try {
      this.other = await this.live.ask("contrast", { action: "start" });
      while (this.other.state === "running") {
        this.draw(this.view);
        await new Promise((done) => { setTimeout(done, 300); });
        this.other = await this.live.ask("contrast", {});
      }
    } catch (error) {
      this.on.problem(error.message);
    }
    this.draw(this.view);
    this.refresh();
  }

  draw(view) {
    this.view = view;
    if (this.instant) return;
    const now = view?.now || {}, peak = view?.peak || null;
    const cell = (n) => (n === undefined || n === null ? "-" : bytes(n));
    const rows = CATEGORIES.filter(([key]) => !view || !now.total || now[key] || peak?.categories?.[key]).map(([key, title]) =>
      h("tr", {}, h("td", {}, patch(key), title), h("td", { class: "num" }, cell(now[key])), h("td", { class: "num" }, cell(peak?.categories?.[key]))));
    rows.push(h("tr", { class: "total" }, h("td", { class: "b" }, "Total"), h("td", { class: "num b" }, cell(now.total)), h("td", { class: "num b" }, cell(peak?.bytes))));
    $("memory-legend").replaceChildren(
      h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, ""), h("th", { class: "num" }, "now"), h("th", { class: "num" }, "peak"))), h("tbody", {}, rows)),
      this.contrast(peak),
      peak && (peak.op || peak.name) ? h("div", { class: "peak" }, h("span", { class: "dim" }, "Peak at "), this.who(peak), " ", this.line(peak)) : "",
      view?.reused ? h("div", { class: "dim" }, `${count(view.reused)} of ${count(view.allocations)} allocations reused a parked buffer.`) : "");
  }
}
