// What stops the program: a list, each with a switch, its hits, its condition and log text.
import { breakForm } from "./breakform.mjs";
import { $, bytes, h, icon, openMenu, prime } from "./dom.mjs";
import { remember, remembered } from "./frame.mjs";

const STANDING = new Set(["shape mismatch", "exception"]);

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
    // What is drawn already stays: a step changes nothing here, and a row that came anew under the pointer would lose its click.
    const shown = JSON.stringify([this.state.settings.breakpoints.map((b) => [b, stop?.breakpoints?.includes(b.id), this.idle(b)]), Boolean(stop?.error), stop?.reason === "nan", this.key, this.state.run?.recording]);
    if (!anew && shown === this.shown) return;
    this.shown = shown;
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
        h("button", { class: "ib small del", type: "button", "aria-label": `Remove ${b.label}`, title: "Remove", onclick: () => this.tell({ action: "remove", breakpoint: b.id }).then(() => $("breakpoints-add").focus()) }, icon("x"))),
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
      h("button", { class: "link", type: "button", onclick: () => { this.refused = true; remember(this.key, null); this.update(true); } }, "Forget"));
  }

  form() {
    return breakForm(this.state, this.editing, (more) => this.ask(more), () => this.edit(null));
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
