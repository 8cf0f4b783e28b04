// Expressions that are told at every stop. The session keeps them, for every page and the terminal; the browser remembers
// their text, script by script, to offer them again.
import { $, h, icon, shapeText } from "./dom.mjs";
import { remember, remembered } from "./frame.mjs";

export class Watches {
  /** `on.node(node)` shows the node that made a tensor */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.box = $("watches");
    this.box.setAttribute("role", "list");
    this.box.setAttribute("aria-label", "Watches");
    this.editing = null; // the form: {id, text} of an old one, {} for a new one
    this.told = new Map(); // expression -> what it gave, at which stop, and what at the stop before
    this.elsewhere = null; // what they give in another frame than the innermost, where one is chosen
    $("watches-add").onclick = () => this.edit(this.editing && !this.editing.id ? null : {});
    this.draw();
  }

  get key() {
    return `watches.${this.state.hello?.script || ""}`;
  }

  /** The session's list was told, or the program stopped. */
  update() {
    const { watches, run } = this.state;
    if (watches.length) {
      remember(this.key, JSON.stringify(watches.map((watch) => watch.text)));
      this.refused = true; // the last time's are set or were not wanted
    }
    const stop = `${this.state.hello?.run}.${run?.stop?.number}`;
    for (const watch of watches) {
      if (watch.asked || !this.state.paused) continue;
      const old = this.told.get(watch.text);
      if (old?.stop === stop) old.now = this.text(watch);
      else this.told.set(watch.text, { stop, now: this.text(watch), before: old?.now });
    }
    this.look();
    this.draw();
  }

  /** What they give in the frame that was chosen. */
  async look() {
    const { frame } = this.state;
    const mine = (this.asked = (this.asked || 0) + 1);
    this.elsewhere = null;
    if (!frame || !this.state.paused || this.state.run.stop?.past || !this.state.watches.length) return;
    const found = await this.live.ask("watch", { action: "look", frame }).catch((error) => this.state.watches.map((watch) => ({ ...watch, error: error.message })));
    if (mine !== this.asked) return;
    this.elsewhere = new Map(found.map((watch) => [watch.id, watch]));
    this.draw();
  }

  text(watch) {
    return watch.error || [watch.shape && shapeText(watch.shape), watch.value].filter(Boolean).join("  ");
  }

  /** Ask the session; a list that a person made empty is not offered again. */
  async ask(more) {
    await this.live.ask("watch", more);
    if (more.action === "remove" && this.state.watches.length <= 1) remember(this.key, null);
  }

  edit(what) {
    this.editing = what;
    this.draw(true);
    if (what) this.box.querySelector(".breakform input").focus();
    else $("watches-add").focus();
  }

  draw(anew = false) {
    const held = this.box.contains(document.activeElement) ? document.activeElement : null;
    const kept = anew || !this.editing ? null : this.box.querySelector(".breakform"); // not from under the person's hands
    const of = held?.dataset?.of;
    const rows = this.state.watches.map((watch) => (this.editing?.id === watch.id ? kept || this.form() : this.row(watch)));
    if (this.editing && !this.editing.id) rows.push(kept || this.form());
    if (!rows.length) rows.push(this.offer() || h("div", { class: "hint" }, "Add an expression, such as ", h("span", { class: "mono" }, "loss.item()"), ", to see it at every stop."));
    // What is drawn already stays: a row that came anew between press and release would lose the click.
    const drawn = rows.map((row) => row.outerHTML).join("");
    if (!anew && drawn === this.drawn) return;
    this.drawn = drawn;
    this.box.replaceChildren(...rows);
    if (kept && held && kept.contains(held)) held.focus();
    else if (of) this.box.querySelector(`[data-of="${of}"]`)?.focus();
  }

  row(watch) {
    const { paused } = this.state;
    const here = this.elsewhere?.get(watch.id) || (this.state.frame ? { ...watch, asked: true } : watch);
    const shown = !paused ? "" : here.asked ? "\u2026" : this.text(here);
    const known = this.state.frame ? null : this.told.get(watch.text);
    const changed = paused && known && known.before !== undefined && known.before !== known.now && !here.error;
    const value = h("span", { class: `mono ell val${here.error ? " red" : changed ? " b" : ""}` }, shown);
    const node = paused && here.node && this.state.slotOfNode(here.node) ? here.node : 0;
    return h("div", { class: "row watch", role: "listitem", title: `${watch.text}${shown ? `\n${shown}` : ""}${here.type ? `\n${here.type} ${here.dtype}` : ""}`, ondblclick: () => this.edit({ id: watch.id, text: watch.text }) },
      h("span", { class: "mono ell" }, watch.text), h("span", { class: "grow" }), paused && here.dtype ? h("span", { class: "dim mono" }, here.dtype) : "",
      node ? h("button", { class: "link ell val", type: "button", "aria-label": `${watch.text}: ${shown}; show its node`, "data-of": `go${watch.id}`, "data-node": node, onclick: () => this.on.node(node) }, value) : value,
      h("button", { class: "ib small del", type: "button", "aria-label": `Edit the watch ${watch.text}`, title: "Edit", "data-of": `ed${watch.id}`, onclick: () => this.edit({ id: watch.id, text: watch.text }) }, icon("edit")),
      h("button", { class: "ib small del", type: "button", "aria-label": `Remove the watch ${watch.text}`, title: "Remove", "data-of": `rm${watch.id}`, onclick: () => this.ask({ action: "remove", watch: watch.id }).then(() => $("watches-add").focus(), () => undefined) }, icon("x")));
  }

  /** Those of the last time, to be set again with one click. */
  offer() {
    if (this.refused || this.state.run?.recording || !this.state.hello) return null;
    let before = [];
    try {
      before = JSON.parse(remembered(this.key) || "[]").filter((text) => typeof text === "string");
    } catch {
      return null; // something else wrote there
    }
    if (!before.length) return null;
    const again = async () => { for (const text of before) await this.ask({ action: "add", text }).catch(() => undefined); };
    return h("div", { class: "hint offer" }, `${before.length} watch${before.length > 1 ? "es" : ""} of the last time. `,
      h("button", { class: "link", type: "button", onclick: again }, "Set again"), " ",
      h("button", { class: "link", type: "button", onclick: () => { this.refused = true; remember(this.key, null); this.draw(); } }, "Forget"));
  }

  form() {
    const { editing } = this;
    const input = h("input", { class: "mono grow", "aria-label": "Expression to watch", placeholder: "x.shape", value: editing.text || "", spellcheck: "false", autocomplete: "off" });
    const told = h("div", { class: "brk-problem wide-row", role: "alert" });
    const apply = async () => {
      const text = input.value.trim();
      if (!text) return this.edit(null);
      try {
        await this.ask(editing.id ? { action: "edit", watch: editing.id, text } : { action: "add", text });
        this.edit(null);
      } catch (error) {
        told.textContent = error.message;
        input.setAttribute("aria-invalid", "true");
      }
      return undefined;
    };
    return h("div", { class: "breakform", role: "group", "aria-label": editing.id ? "Edit the watch" : "New watch", onkeydown: (event) => {
      if (event.key === "Enter" && event.target === input) apply();
      else if (event.key === "Escape") this.edit(null);
      else return;
      event.preventDefault();
      event.stopPropagation();
    } }, input, h("button", { class: "btn small", type: "button", onclick: apply }, editing.id ? "Save" : "Add"), told);
  }
}
