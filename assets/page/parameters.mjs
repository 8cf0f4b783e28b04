// The parameters: gradient norms and how far each step moves them; what is out of the ordinary is marked and explained.
import { bytes, count, h, prime, s, shapeText, three } from "./dom.mjs";
import { Asked } from "./lists.mjs";

const SLOW = 1e-5, FAST = 0.1; // updates below and above are worth a look: about 0.001 is usual

/** What is out of the ordinary with a row: [tone, a few words, a sentence]; null where nothing is. */
export function remark(row, stepped) {
  if (row.gradient === "nan" || row.gradient === "inf") return ["bad", "not finite", "Its gradient is not finite: the next step spoils the parameter."];
  if (row.gradient === null) return stepped ? ["warn", "no gradient", "No gradient reached it: it is frozen, not used, or the way from the loss to it is cut."] : null;
  if (row.gradient === 0) return ["warn", "gradient 0", "Its gradient is exactly 0: nothing is learned here."];
  if (typeof row.update === "number" && row.update > FAST) return ["warn", "large steps", "A step changes more than a tenth of it: the learning rate may be too high."];
  if (typeof row.update === "number" && row.update > 0 && row.update < SLOW) return ["", "hardly moves", "A step changes less than a hundred-thousandth of it: the learning rate may be too low."];
  return null;
}

/** Norms over the steps as a line of bars, on a logarithmic scale. */
export function sparkline(values) {
  const known = values.filter((value) => typeof value === "number" && value > 0).map(Math.log10);
  if (known.length < 2) return "";
  const low = Math.min(...known), span = Math.max(...known) - low || 1;
  const points = known.map((value, i) => `${((i / (known.length - 1)) * 78 + 1).toFixed(1)},${(13 - ((value - low) / span) * 11).toFixed(1)}`);
  return s("svg", { class: "spark2", viewBox: "0 0 80 15", role: "img", "aria-label": `over ${known.length} steps` }, s("polyline", { points: points.join(" "), fill: "none", stroke: "var(--fwd)", "stroke-width": 1.3 }));
}

const number = (value) => (value === null || value === undefined ? h("span", { class: "dim" }, "\u2013") : three(value));

export class Parameters extends Asked {
  /** `on.slot(slot)`, `on.why(row)`, `on.level(level)` */
  constructor(state, live, on) {
    super("parameters", live, "parameters");
    this.state = state;
    this.on = on;
    this.order = null; // column that the rows are sorted by
  }

  draw(data) {
    this.data = data;
    if (!data.rows.length) {
      this.box.replaceChildren(h("div", { class: "hint" }, "One row for each parameter of the program, with its gradient's norm and how far a step moves it, as soon as one has been used."));
      return;
    }
    const stepped = data.rows.some((row) => row.op);
    const columns = [["Parameter", ""], ["Shape", "shape"], ["Bytes", "nbytes"], ["Norm", "norm"], ["Gradient", "gradient"], ["Update / norm", "update"], ["Over the steps", ""], ["", ""]];
    const rows = data.rows.slice();
    if (this.order) rows.sort((a, b) => this.weight(b) - this.weight(a));
    const level = this.state.settings.level < 2 && !this.state.run?.recording;
    this.box.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, columns.map(([title, key], i) => h("th", { scope: "col", class: i && i < 6 ? "num" : "", "aria-sort": key && this.order === key ? "descending" : null },
      key ? h("button", { type: "button", class: "sort", title: `Sort by ${title.toLowerCase()}`, onclick: () => { this.order = this.order === key ? null : key; this.draw(this.data); } }, title, this.order === key ? " \u2193" : "") : title)))),
    h("tbody", {}, rows.map((row) => this.row(row, stepped)))),
    level && stepped ? h("div", { class: "hint" }, "Norms and updates are known from trace level 2 on. ", h("button", { class: "link", type: "button", onclick: () => this.on.level(2) }, "Set it now")) : "");
  }

  weight(row) {
    const value = row[this.order];
    if (Array.isArray(value)) return value.reduce((product, size) => product * size, 1);
    return typeof value === "number" ? value : value === null ? -1 : Infinity;
  }

  row(row, stepped) {
    const found = remark(row, stepped);
    const path = [row.module, row.name].filter(Boolean).join(".");
    return h("tr", { class: found?.[0] === "bad" ? "bad" : "" },
      h("td", {}, h("button", { class: "link mono ell cutname", type: "button", title: path, onclick: () => this.on.slot(row.slot) }, prime(path))),
      h("td", { class: "num" }, shapeText(row.shape)), h("td", { class: "num" }, bytes(row.nbytes)), h("td", { class: "num" }, number(row.norm)),
      h("td", { class: "num" }, number(row.gradient)), h("td", { class: "num" }, number(row.update)), h("td", {}, sparkline(row.updates)),
      h("td", { class: "last" }, found ? h("span", { class: `pill ${found[0]}`, title: found[2] }, found[1]) : "",
        found?.[1] === "no gradient" && this.state.paused ? h("button", { class: "link", type: "button", onclick: () => this.on.why(row) }, " why") : ""));
  }
}

/** The same for one module, in the inspector. */
export function short(rows, stepped, on) {
  return h("table", { class: "params" }, h("thead", {}, h("tr", {}, ["", "Shape", "Gradient", "Update"].map((title, i) => h("th", { scope: "col", class: i ? "num" : "" }, title)))),
    h("tbody", {}, rows.slice(0, 60).map((row) => {
      const found = remark(row, stepped);
      return h("tr", { title: found?.[2] || "" }, h("td", { class: "cut" }, h("button", { class: "link mono", type: "button", title: `${row.module}.${row.name}`, onclick: () => on.slot(row.slot) }, prime(row.name))),
        h("td", { class: "num" }, shapeText(row.shape)), h("td", { class: `num${found?.[0] === "bad" ? " red b" : ""}` }, number(row.gradient)), h("td", { class: "num" }, number(row.update)));
    })), rows.length > 60 ? h("caption", { class: "dim" }, `and ${count(rows.length - 60)} more`) : "");
}
