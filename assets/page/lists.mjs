// The lists beside and below the graph: call stack, breakpoints, iterations, events, the memory legend.
import { $, duration, h, icon, prime, shapeText } from "./dom.mjs";

/** The modules and Python frames at a stop. */
export class Stack {
  /** `on.place(file, line)` */
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.update();
  }

  update() {
    const { state } = this;
    const stop = state.run?.state !== "running" ? state.run?.stop : null;
    const rows = [];
    const list = (title, items, name, note) => {
      if (!items?.length) return;
      rows.push(h("div", { class: "sub-h" }, title));
      items.forEach((item, i) => rows.push(h("button", {
        class: `row${i === 0 && title === "Modules" ? " cur" : ""}`, type: "button", title: item.path || "", onclick: () => this.on.place(item.file, item.line),
      }, h("span", { class: "b ell" }, name(item)), h("span", { class: "dim ell grow" }, note(item)), h("span", { class: "link mono" }, state.place(item.file, item.line) || shortPlace(item)))));
    };
    list("Modules", stop?.modules, (m) => m.path, (m) => m.cls);
    list("Python", stop?.frames, (f) => f.function || "<module>", () => "");
    $("stack").replaceChildren(...(rows.length ? rows : [h("div", { class: "hint" }, "At a stop: the modules and functions that are being run, innermost first.")]));
  }
}

const shortPlace = (item) => (item.path && item.line ? `${item.path.split("/").pop()}:${item.line}` : item.line ? `:${item.line}` : "");

const FORMS = [["line", "Line", "model.py:31"], ["op", "Op", "softmax"], ["module", "Module", "net.head"], ["node", "Node", "812"], ["nan", "NaN or Inf", ""]];

/** What stops the program. */
export class Breakpoints {
  /** `on.problem(text)`, `on.place(file, line)` */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.box = $("breakpoints");
    this.adding = false;
    $("breakpoints-add").onclick = () => { this.adding = !this.adding; this.update(); this.box.querySelector("input")?.focus(); };
    this.update();
  }

  ask(more) {
    return this.live.ask("breakpoint", more).catch((error) => this.on.problem(error.message));
  }

  /** Set one on a line, or take it away. */
  toggleLine(file, line) {
    const path = this.state.files.get(file)?.path;
    const old = this.state.settings.breakpoints.find((b) => b.kind === "line" && b.file === path && b.line === line);
    if (old) this.ask({ action: "remove", breakpoint: old.id });
    else this.ask({ action: "add", kind: "line", file, line });
  }

  fileId(path) {
    for (const file of this.state.files.values()) if (file.path === path) return file.id;
    return null;
  }

  update() {
    const stop = this.state.paused ? this.state.run.stop : null;
    const rows = this.state.settings.breakpoints.map((b) => {
      const here = stop?.breakpoints?.includes(b.id);
      const box = h("button", { class: "cb", type: "button", role: "checkbox", "aria-checked": String(b.enabled), "aria-label": b.label,
        onclick: () => this.ask({ action: b.enabled ? "disable" : "enable", breakpoint: b.id }) }, icon("check"));
      const name = b.file
        ? h("button", { class: "link mono ell", type: "button", onclick: () => this.on.place(this.fileId(b.file), b.line) }, b.label)
        : h("span", { class: "ell" }, prime(b.label));
      const builtin = b.kind === "shape mismatch" || b.kind === "exception";
      return h("div", { class: `row${here ? " cur" : ""}`, "data-breakpoint": b.id }, box, name, h("span", { class: "grow" }),
        here ? h("b", { class: stop.error ? "red" : "" }, "stopped here") : b.hits ? h("span", { class: "dim" }, `hit ${b.hits}`) : null,
        builtin ? null : h("button", { class: "ib small del", type: "button", "aria-label": `Remove ${b.label}`, title: "Remove", onclick: () => this.ask({ action: "remove", breakpoint: b.id }) }, icon("x")));
    });
    if (this.adding) rows.push(this.form());
    this.box.replaceChildren(...rows);
  }

  form() {
    const kind = h("select", { "aria-label": "Kind of breakpoint" }, FORMS.map(([value, text]) => h("option", { value }, text)));
    const text = h("input", { "aria-label": "Where", placeholder: FORMS[0][2], spellcheck: "false" });
    kind.onchange = () => {
      const [, , example] = FORMS.find(([value]) => value === kind.value);
      text.placeholder = example;
      text.disabled = !example;
    };
    const when = h("input", { "aria-label": "Condition, a Python expression", placeholder: "only if, such as loss > 2", spellcheck: "false" });
    const add = async () => {
      const more = this.wanted(kind.value, text.value.trim());
      if (typeof more === "string") return this.on.problem(more);
      this.adding = false;
      if (when.value.trim()) more.condition = when.value.trim();
      return this.ask({ action: "add", kind: kind.value, ...more });
    };
    text.onkeydown = when.onkeydown = (event) => {
      if (event.key === "Enter") add();
      if (event.key === "Escape") { this.adding = false; this.update(); }
    };
    return h("div", { class: "breakform" }, kind, text, when, h("button", { class: "btn small", type: "button", onclick: add }, "Add"));
  }

  wanted(kind, text) {
    if (kind === "nan") return {};
    if (kind === "node") return /^\d+$/.test(text) ? { node: Number(text) } : `A node is a number, such as 812, not "${text}".`;
    if (kind !== "line") return text ? { name: text } : `Name the ${kind}.`;
    const [, name, line] = /^(?:(.*):)?(\d+)$/.exec(text) || [];
    const file = [...this.state.files.values()].find((f) => !name || f.name === name || f.path === name);
    if (!line || !file) return `A line is FILE:LINE with a file of this program, such as model.py:31, not "${text}".`;
    return { file: file.id, line: Number(line) };
  }
}

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
