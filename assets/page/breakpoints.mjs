// What stops the program: a list with a switch, its hits, its condition and log text; a form for every kind.
import { $, bytes, h, icon, openMenu, prime } from "./dom.mjs";
import { remember, remembered } from "./frame.mjs";

// kind, title, what the first field is called, an example, which request field it fills, whether it may be empty
const KINDS = [
  ["line", "Line", "File and line", "model.py:31", "line"],
  ["op", "Op", "Op, with ' for its backward", "softmax", "name"],
  ["module", "Module", "Path of the module", "net.head", "name"],
  ["node", "Node", "Number of the node", "812", "node"],
  ["if", "Any op, if", "", "", ""],
  ["shape predicate", "Shape, if", "", "", ""],
  ["branch", "Branch goes another way", "File and line; empty for any", "model.py:31", "line", true],
  ["nan", "NaN or Inf made", "", "", ""],
  ["gradient", "Gradient", "Parameter; empty for any", "net.head.weight", "name", true],
  ["gradient zero", "Gradient zero", "Parameter; empty for any", "net.head.weight", "name", true],
  ["gradient missing", "Gradient missing", "Parameter; empty for any", "net.head.weight", "name", true],
  ["data", "Tensor changed", "Expression of the tensor", "net.head.bias", "name"],
  ["memory", "Memory above", "Live bytes, such as 200M", "200M", "limit"],
  ["shape mismatch", "Shape mismatch", "", "", ""],
  ["type mismatch", "Dtype or device mismatch", "", "", ""],
  ["exception", "Exception", "", "", ""],
];
const CONDITIONS = { "shape predicate": "such as shape[-1] == 1", branch: "such as taken", gradient: "such as norm > 10 or zero", memory: "such as iteration > 3", nan: "such as module == 'net.head'", line: "such as loss > 2", if: "such as op == 'cat' and shape[-1] == 256" };
const STANDING = new Set(["shape mismatch", "exception"]);
const UNITS = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, "": 1 };

/** Bytes of "200M", "1.5 GB" or "4096"; null where it is no size. */
export function sizeOf(text) {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\s*$/i.exec(text) || [];
  return number ? Math.round(Number(number) * UNITS[unit.toLowerCase()]) : null;
}

export class Breakpoints {
  /** `on.problem(text)`, `on.place(file, line)`, `on.say(text)` */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.box = $("breakpoints");
    this.box.setAttribute("role", "list");
    this.box.setAttribute("aria-label", "Breakpoints");
    this.editing = null; // the form: {id} of an old one, or {} for a new one, with what is filled in
    $("breakpoints-add").onclick = () => this.edit(this.editing && !this.editing.id ? null : {});
    $("breakpoints-more").onclick = () => this.menu();
    this.update();
  }

  /** Ask the session; what is set is then remembered by the browser for the next time. */
  async ask(more) {
    const answer = await this.live.ask("breakpoint", more);
    this.live.ask("breakpoint", { action: "text" }).then(({ text }) => remember(this.key, text), () => undefined);
    return answer;
  }

  tell(more) {
    return this.ask(more).catch((error) => this.on.problem(error.message));
  }

  get key() {
    return `breakpoints.${this.state.hello?.script || ""}`;
  }

  /** Set one on a line, or take it away. */
  toggleLine(file, line) {
    const old = this.onLine(file, line);
    if (old) this.tell({ action: "remove", breakpoint: old.id });
    else this.tell({ action: "add", kind: "line", file, line });
  }

  onLine(file, line) {
    const path = this.state.files.get(file)?.path;
    return this.state.settings.breakpoints.find((b) => b.kind === "line" && b.file === path && b.line === line);
  }

  /** The form for a line: its condition, hit count and log text. */
  editLine(file, line) {
    const old = this.onLine(file, line);
    this.edit(old ? this.filled(old) : { kind: "line", where: `${this.state.fileName(file)}:${line}` });
  }

  filled(b) {
    const where = b.kind === "line" || (b.kind === "branch" && b.line) ? `${b.file.split("/").pop()}:${b.line}` : b.kind === "node" ? String(b.node) : b.kind === "memory" ? String(b.limit) : b.name;
    return { id: b.id, kind: b.kind, where, condition: b.condition, hit: b.hit, log: b.log };
  }

  edit(what) {
    this.editing = what;
    this.update(true);
    if (!what) return $("breakpoints-add").focus();
    const form = this.box.querySelector(".breakform");
    form.scrollIntoView({ block: "nearest" });
    (what.kind ? form.querySelector("[name=condition]") : form.querySelector("select")).focus();
    return undefined;
  }

  fileId(path) {
    for (const file of this.state.files.values()) if (file.path === path) return file.id;
    return null;
  }

  update(anew = false) {
    const stop = this.state.paused ? this.state.run.stop : null;
    const held = this.box.contains(document.activeElement) ? document.activeElement : null;
    const kept = anew || !this.editing ? null : this.box.querySelector(".breakform"); // not from under the person's hands
    const focus = held?.dataset?.of;
    const rows = this.state.settings.breakpoints.map((b) => (this.editing?.id === b.id ? kept || this.form() : this.row(b, stop)));
    if (this.editing && !this.editing.id) rows.push(kept || this.form());
    const offer = this.offer();
    if (offer) rows.push(offer);
    this.box.replaceChildren(...rows);
    if (kept && held && kept.contains(held)) held.focus();
    else if (focus) this.box.querySelector(`[data-of="${focus}"]`)?.focus();
  }

  row(b, stop) {
    const here = stop?.breakpoints?.includes(b.id);
    const name = b.kind === "memory" ? `More than ${bytes(b.limit)} live` : b.label.split(" if ")[0].split(", hit ")[0].split(", log ")[0];
    const title = b.kind === "line" ? `${b.file}:${b.line}` : b.label;
    const more = [b.condition && ["if", b.condition], b.hit && ["hit", b.hit], b.log && ["log", b.log]].filter(Boolean);
    return h("div", { class: `brk${here ? " cur" : ""}${b.enabled ? "" : " off"}`, role: "listitem", "data-breakpoint": b.id },
      h("div", { class: "row" },
        h("button", { class: "cb", type: "button", role: "checkbox", "aria-checked": String(b.enabled), "aria-label": b.label, "data-of": `cb${b.id}`, onclick: () => this.tell({ action: b.enabled ? "disable" : "enable", breakpoint: b.id }) }, icon("check")),
        b.file ? h("button", { class: "link mono ell", type: "button", title, onclick: () => this.on.place(this.fileId(b.file), b.line) }, name) : h("span", { class: "ell", title }, prime(name)),
        h("span", { class: "grow" }),
        here ? h("b", { class: stop.error || stop.reason === "nan" ? "red" : "" }, "stopped here") : !b.hits && this.idle(b) ? h("span", { class: "dim", title: "A line stops where it runs an op or calls a module. None has run on this line so far; one on a line above or below may be what you mean." }, "no op here yet") : b.hits ? h("span", { class: "dim" }, `hit ${b.hits}`) : null,
        h("button", { class: "ib small del", type: "button", "aria-label": `Edit ${b.label}`, title: "Condition, hit count, log text", "data-of": `ed${b.id}`, onclick: () => this.edit(this.filled(b)) }, icon("edit")),
        STANDING.has(b.kind) ? null : h("button", { class: "ib small del", type: "button", "aria-label": `Remove ${b.label}`, title: "Remove", onclick: () => this.tell({ action: "remove", breakpoint: b.id }) }, icon("x"))),
      more.length ? h("div", { class: "brk-more ell", title: more.map((pair) => pair.join(" ")).join("\n") }, more.map(([word, text]) => [" ", h("span", { class: "dim" }, `${word} `), h("span", { class: "mono" }, text)])) : null,
      b.problem ? h("div", { class: "brk-problem", role: "alert" }, b.problem) : null);
  }

  /** Whether no op has run on the line of a breakpoint, though others of its file have. */
  idle(b) {
    if (b.kind !== "line" || this.state.run?.state === "running") return false;
    const file = this.fileId(b.file);
    let known = false;
    for (const slot of this.state.slots.values()) {
      if (slot.file !== file || slot.status === "pending") continue;
      if (slot.line === b.line) return false;
      known = true;
    }
    for (const group of this.state.groups.values()) if (group.kind === "module" && group.file === file && group.line === b.line) return false;
    return known;
  }

  /** Those of the last time, to be set again with one click. */
  offer() {
    if (this.refused || this.state.settings.breakpoints.some((b) => !STANDING.has(b.kind)) || this.state.run?.recording || !this.state.hello) return null;
    let before = [];
    try {
      before = JSON.parse(remembered(this.key) || "{}").breakpoints || [];
    } catch {
      return null; // something else wrote there
    }
    const count = before.filter((b) => !STANDING.has(b.kind)).length;
    if (!count || this.editing) return null;
    const text = remembered(this.key);
    return h("div", { class: "hint offer" }, `${count} breakpoint${count > 1 ? "s" : ""} of the last time. `,
      h("button", { class: "link", type: "button", onclick: () => this.tell({ action: "load", text }) }, "Set again"), " ",
      h("button", { class: "link", type: "button", onclick: () => { this.refused = true; remember(this.key, null); this.update(); } }, "Forget"));
  }

  form() {
    const { editing } = this;
    const input = (name, label, value, placeholder) => h("input", { name, "aria-label": label, title: label, value: value || "", placeholder, spellcheck: "false", autocomplete: "off", class: "mono" });
    const kind = h("select", { "aria-label": "Kind of breakpoint", disabled: Boolean(editing.id) }, KINDS.map(([value, text]) => h("option", { value, selected: value === (editing.kind || "line") }, text)));
    const where = input("where", "Where", editing.where, "");
    const names = h("datalist", { id: "breakpoint-names" });
    where.setAttribute("list", names.id);
    const condition = input("condition", "Condition, a Python expression", editing.condition, "");
    const hit = input("hit", "Hit count, such as 3, >= 5 or % 10", editing.hit, "each time, or 3, >= 5, % 10");
    const log = input("log", "Log text: told instead of stopping, with {expressions}", editing.log, "stop, or log: loss {loss.item():.3f}");
    const told = h("div", { class: "brk-problem", role: "alert" });
    const line = (label, field) => h("label", { class: "bf" }, h("span", { class: "dim" }, label), field);
    const first = line("at", where);
    const fit = () => {
      const [, , label, example] = KINDS.find(([value]) => value === kind.value);
      first.hidden = !label;
      where.placeholder = example;
      where.title = label;
      condition.placeholder = CONDITIONS[kind.value] || "always, or a Python expression";
      names.replaceChildren(...this.suggestions(kind.value).map((value) => h("option", { value })));
    };
    kind.onchange = fit;
    const save = async () => {
      const more = this.wanted(kind.value, where.value.trim(), condition.value.trim());
      if (typeof more === "string") { told.textContent = more; return; }
      const rest = { condition: condition.value.trim(), hit: hit.value.trim(), log: log.value.trim() };
      try {
        if (editing.id) await this.ask({ action: "edit", breakpoint: editing.id, ...more, ...rest });
        else await this.ask({ action: "add", kind: kind.value, ...more, ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value)) });
        this.edit(null);
      } catch (error) {
        told.textContent = error.message;
      }
    };
    fit();
    return h("div", { class: "breakform big", role: "group", "aria-label": editing.id ? "Edit the breakpoint" : "New breakpoint", onkeydown: (event) => {
      if (event.key === "Enter" && event.target.tagName === "INPUT") save();
      else if (event.key === "Escape") this.edit(null);
      else return;
      event.preventDefault();
      event.stopPropagation();
    } }, line("stop", kind), first, names, line("if", condition), line("hits", hit), line("log", log), told,
    h("div", { class: "acts2" }, h("button", { class: "btn small primary", type: "button", onclick: save }, editing.id ? "Save" : "Add"), h("button", { class: "btn small", type: "button", onclick: () => this.edit(null) }, "Cancel")));
  }

  suggestions(kind) {
    const { state } = this;
    const found = new Set();
    if (kind === "line" || kind === "branch") for (const file of state.files.values()) found.add(`${file.name}:`);
    if (kind === "op" || kind === "module") for (const slot of state.slots.values()) if (!slot.role && slot[kind === "op" ? "label" : "module"]) found.add(slot[kind === "op" ? "label" : "module"]);
    if (kind.startsWith("gradient") || kind === "data") for (const slot of state.slots.values()) if (slot.role === "parameter" && slot.name) found.add(slot.name);
    return [...found].sort().slice(0, 200);
  }

  wanted(kind, text, condition) {
    const [, title, label, example, key, optional] = KINDS.find(([value]) => value === kind);
    if (kind === "if" || kind === "shape predicate") return condition ? {} : `${title} needs a condition, such as shape[-1] == 256.`;
    if (!key || (optional && !text)) return {};
    if (!text) return `${title}: ${label.toLowerCase()}, such as ${example}.`;
    if (kind === "node") return /^\d+$/.test(text) ? { node: Number(text) } : `A node is a number, such as 812, not "${text}".`;
    if (kind === "memory") return sizeOf(text) ? { limit: sizeOf(text) } : `Live bytes are a number such as 200M or 4096, not "${text}".`;
    if (key !== "line") return { name: text };
    const [, name, line] = /^(?:(.*):)?(\d+)$/.exec(text) || [];
    const file = [...this.state.files.values()].find((f) => !name || f.name === name || f.path === name);
    if (!line || !file) return `A line is FILE:LINE with a file of this program, such as model.py:31, not "${text}".`;
    return { file: file.id, line: Number(line) };
  }

  menu() {
    const { breakpoints } = this.state.settings;
    const all = (action) => breakpoints.filter((b) => b.enabled === (action === "disable")).forEach((b) => this.tell({ action, breakpoint: b.id }));
    openMenu($("breakpoints-more"), [
      ["Save to a file", "", false, () => this.save()],
      ["Load from a file", "", false, () => this.load()],
      ["Enable all", "", false, () => all("enable")],
      ["Disable all", "", false, () => all("disable")],
      ["Remove all", "", false, () => breakpoints.filter((b) => !STANDING.has(b.kind)).forEach((b) => this.tell({ action: "remove", breakpoint: b.id }))],
    ]);
  }

  async save() {
    try {
      const { text } = await this.live.ask("breakpoint", { action: "text" });
      const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: `${(this.state.hello?.script || "program").replace(/\.py$/, "")}-breakpoints.json` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      this.on.problem(error.message);
    }
  }

  load() {
    const pick = h("input", { type: "file", accept: ".json,application/json", "aria-label": "File of breakpoints" });
    pick.onchange = async () => {
      try {
        const { count } = await this.ask({ action: "load", text: await pick.files[0].text() });
        this.on.say(`${count} breakpoint${count === 1 ? "" : "s"} set.`);
      } catch (error) {
        this.on.problem(error.message);
      }
    };
    pick.click();
  }
}
