// What the engine does by itself, one view at a time. Its configuration is changed here, from where the program stands on.
import { $, h } from "./dom.mjs";
import { drift, jit, partitions, precision, reuse } from "./engineviews.mjs";
import { Asked } from "./lists.mjs";

const VIEWS = [
  ["configuration", "Configuration", "The keys of ds.graph_config that are in force"],
  ["precision", "Precision", "Which layer ran in which type, the loss scale, where overflow began"],
  ["reuse", "Reuse", "Modules that are switched off, and what that saved"],
  ["partitions", "Partitions", "The parts of a split graph, what is cut, overlap predicted and seen"],
  ["jit", "JIT", "What is compiled, how often it is used, and why again"],
  ["drift", "Drift", "How values and structure moved over the iterations"],
];
const DRAWN = { precision, reuse, partitions, jit, drift };

export class Engine extends Asked {
  /** `on.node(slot)`, `on.parts(index)` colours by a partition, `on.dtype()` by dtype, `on.place(file, line)`, `on.level(level)` */
  constructor(state, live, on) {
    super("engine", live, "engine", { view: "configuration" });
    this.state = state;
    this.on = { ...on, open: (view) => this.choose(view) };
    this.last = {}; // view -> what the program told of it last, in this run
    this.choice = h("span", { class: "seg low", role: "radiogroup", "aria-label": "What is shown of the engine", hidden: true }, VIEWS.map(([view, text, title]) =>
      h("button", { type: "button", role: "radio", title, "data-view": view, "aria-checked": String(view === "configuration"), onclick: () => this.choose(view) }, text)));
    $("bottom-tools").append(this.choice);
  }

  show(open) {
    if (this.choice) this.choice.hidden = !open;
    super.show(open);
  }

  choose(view) {
    this.more = { view };
    for (const button of this.choice.children) button.setAttribute("aria-checked", String(button.dataset.view === view));
    this.box.replaceChildren(h("div", { class: "hint" }, "\u2026"));
    this.refresh();
  }

  /** Another run has nothing of the last one's. */
  clear() {
    this.last = {};
  }

  draw(data) {
    if (data.view !== this.more.view || this.box.querySelector("input:focus")) return; // not under the person's hands
    const held = this.box.contains(document.activeElement) ? document.activeElement.dataset.of : null;
    if (data.told) this.last[data.view] = data.told;
    const told = data.told || this.last[data.view] || null;
    const why = data.told || !data.unknown ? "" : told ? "As it was at the last stop; pause to ask anew." : this.state.run?.recording ? "A recording does not hold this: it is asked of a program that stands." : data.unknown;
    const shown = data.view === "configuration" ? this.configuration(told, why) : DRAWN[data.view](told, data.seen, { on: this.on, state: this.state, why });
    this.box.replaceChildren(...[why && told && h("div", { class: "hint remark", role: "note" }, why), ...[shown].flat()].filter(Boolean));
    if (held) this.box.querySelector(`[data-of="${held}"]`)?.focus();
  }

  configuration(rows, why) {
    if (!rows) return h("div", { class: "hint" }, why || "The keys of ds.graph_config, as they are where the program stands.");
    const fixed = Boolean(why);
    const heads = ["Key", "Value", "Usual", "Takes", "What it does"];
    return [h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows.map((row) => this.key(row, fixed)))),
      h("div", { class: "hint" }, fixed ? "" : "A change holds from here on, in the thread that stands; the end of a running ", fixed ? "" : h("span", { class: "mono" }, "with ds.graph_config(...)"), fixed ? "" : " brings back what was before it.")];
  }

  key(row, fixed) {
    const changed = row.value !== row.default;
    const told = h("div", { class: "brk-problem", role: "alert" });
    const apply = async (value, field) => {
      told.textContent = "";
      try {
        const rows = await this.live.ask("configure", { key: row.key, value });
        field.blur?.();
        this.draw({ view: "configuration", told: rows, unknown: "" });
        this.box.querySelector(`[data-of="${row.key}"]`)?.focus();
      } catch (error) {
        told.textContent = error.message;
        field.setAttribute("aria-invalid", "true");
      }
    };
    let field;
    if (typeof row.default === "boolean") {
      field = h("button", { class: "sw", type: "button", role: "switch", "aria-checked": String(row.value), "aria-label": row.key, "data-of": row.key, disabled: fixed, onclick: () => apply(String(!row.value), field) });
    } else {
      field = h("input", { class: "mono", value: String(row.value), "aria-label": row.key, "data-of": row.key, disabled: fixed, spellcheck: "false", autocomplete: "off", onkeydown: (event) => {
        if (event.key === "Enter") apply(field.value, field);
        else if (event.key === "Escape") { field.value = String(row.value); field.blur(); this.box.focus(); } else return;
        event.preventDefault();
        event.stopPropagation();
      }, onchange: () => { if (field.value !== String(row.value) && !told.textContent) apply(field.value, field); } });
    }
    return h("tr", {}, h("td", { class: `mono${changed ? " b" : ""}` }, row.key), h("td", { class: "keyvalue" }, field, told),
      h("td", { class: "mono dim" }, String(row.default)), h("td", { class: "dim" }, row.allowed), h("td", { class: "last" }, row.doc, changed ? [" ", h("span", { class: "pill now" }, "changed")] : ""));
  }
}
