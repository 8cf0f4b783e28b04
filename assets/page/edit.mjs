// A file of the program in a plain text area: edit, save, run again.
import { $, copy, h } from "./dom.mjs";

export class Editor {
  /** `on.verb(name)`, `on.problem(text)`, `on.say(text)` */
  constructor(state, live, source, on) {
    this.state = state;
    this.live = live;
    this.source = source;
    this.on = on;
    this.box = null;
    $("btn-edit").onclick = () => (this.box ? this.close() : this.open(source.file, source.chosenLine || source.now?.line));
  }

  async open(file, line) {
    if (this.box) return this.area.focus();
    if (file === null || file === undefined) return undefined;
    await this.source.open(file, line);
    const text = await this.source.load(file);
    if (text.error) return this.on.problem(text.error);
    this.file = file;
    this.hash = text.hash;
    const name = this.state.fileName(file);
    this.area = h("textarea", { spellcheck: "false", "aria-label": `Text of ${name}`, autocomplete: "off" });
    this.area.value = text.lines.join("\n");
    this.before = this.area.value;
    this.problem = h("div", { class: "problem", role: "alert" });
    const button = (label, kind, title, action) => h("button", { class: `btn small ${kind}`, type: "button", title, onclick: action }, label);
    this.box = h("div", { id: "editor", onkeydown: (event) => this.key(event) }, this.area, this.problem, h("div", { class: "acts" },
      button("Save and rerun", "primary", "Ctrl+Enter", () => this.save(true)), button("Save", "", "Ctrl+S", () => this.save(false)), button("Cancel", "", "Esc", () => this.close()),
      button("Copy", "plain", "Copy the text", () => copy(this.area.value)), h("span", { class: "dim ell" }, "The program runs the old text until it is run again.")));
    $("source").append(this.box);
    this.area.focus();
    if (line) this.goTo(line);
    return undefined;
  }

  goTo(line) {
    const lines = this.area.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    this.area.setSelectionRange(start, start + (lines[line - 1]?.length || 0));
    this.area.scrollTop = Math.max(0, (line - 8) * 19);
    this.area.scrollLeft = 0;
  }

  key(event) {
    const ctrl = event.ctrlKey || event.metaKey;
    if (ctrl && event.key.toLowerCase() === "s") this.save(false);
    else if (ctrl && event.key === "Enter") this.save(true);
    else if (event.key === "Escape") this.close();
    else if (event.key === "Tab" && event.target === this.area && !event.shiftKey && !ctrl) document.execCommand("insertText", false, "    ");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async save(rerun) {
    try {
      const text = this.area.value;
      const { problem } = await this.live.ask("save", { file: this.file, hash: this.hash, text: text.endsWith("\n") || !text ? text : `${text}\n` });
      await this.source.reload();
      if (problem) {
        this.hash = (await this.source.load(this.file)).hash;
        this.problem.textContent = `Saved, but ${problem}`;
        return;
      }
      this.before = text;
      this.close();
      if (rerun) this.on.verb("restart");
      else this.on.say("Saved. The program runs the old text until it is run again.");
    } catch (error) {
      if (this.box) this.problem.textContent = error.message;
      else this.on.problem(error.message);
    }
  }

  close() {
    if (!this.box) return;
    if (this.area.value !== this.before && this.problem.dataset.asked !== "yes") {
      this.problem.dataset.asked = "yes";
      this.problem.textContent = "The text was changed and is not saved. Press Cancel or Esc again to throw the change away.";
      return;
    }
    this.box.remove();
    this.box = null;
    $("btn-edit").focus();
  }
}
