// The card in the free lane at a stop that needs explaining: what, shown, since when, and the way on.
import { $, copy, h, icon, prime, s } from "./dom.mjs";
import { tell, TOLD } from "./reasons.mjs";
import { supplyForm } from "./supply.mjs";

/** A matrix drawn to scale (within reason), with its clashing sides in red. */
function operandBox(shape, clash) {
  const rows = shape.length > 1 ? shape[shape.length - 2] : 1;
  const cols = shape.length ? shape[shape.length - 1] : 1;
  const side = (n) => 16 + 20 * Math.log2(1 + Math.min(n, 1 << 12)) ** 0.9 * 0.55;
  const w = Math.max(18, side(cols)), t = shape.length > 1 ? Math.max(18, side(rows)) : 14;
  const last = shape.length - 1;
  const red = (dim) => clash.includes(dim);
  const x = 46, y = 6;
  const text = (tx, ty, value, dim, anchor) => s("text", { x: tx, y: ty, "text-anchor": anchor, "font-size": red(dim) ? 13 : 11, "font-weight": red(dim) ? 700 : 400, fill: red(dim) ? "var(--red)" : "var(--ink2)" }, value);
  return s("svg", { width: x + w + 8, height: y + t + 24, "aria-hidden": "true" },
    shape.length > 2 && [2, 1].map((i) => s("rect", { x: x + 3 * i, y: y - 3 * i, width: w, height: t, rx: 2, fill: "var(--panel)", stroke: "var(--line2)" })),
    s("rect", { x, y, width: w, height: t, rx: 2, fill: "var(--sunk)", stroke: "var(--line2)" }),
    [1, 2, 3].map((i) => s("path", { d: `M${x} ${y + (t * i) / 4}h${w}M${x + (w * i) / 4} ${y}v${t}`, stroke: "var(--line)" })),
    shape.length > 1 && text(x - 6, y + t / 2 + 4, rows, last - 1, "end"),
    shape.length && text(x + w / 2, y + t + 17, cols, last, "middle"),
    red(last) && s("path", { d: `M${x} ${y + t + 3}h${w}`, stroke: "var(--red)", "stroke-width": 3 }),
    shape.length > 1 && red(last - 1) && s("path", { d: `M${x - 3.5} ${y}v${t}`, stroke: "var(--red)", "stroke-width": 3 }));
}

export class StopCard {
  /** `on.place(file, line)`, `on.node(node)`, `on.path()`, `on.edit(file, line)`, `on.verb(name)`, `on.changed()` */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.card = null;
    this.closed = null; // key of the stop whose card was closed
  }

  /** Show, keep or take away the card, as the latest state asks. Returns it. */
  update() {
    const { run } = this.state;
    const ended = ["failed", "killed", "lost"].includes(run?.state);
    const error = run?.stop?.error;
    const told = run?.state === "paused" && !error && TOLD[run.stop?.reason];
    const key = run && (error || ended || told) ? `${run.state}|${run.stop?.number ?? ""}|${run.stop?.text}|${run.message}` : null;
    if (key && key === this.key && (this.card || this.closed === key)) return this.card;
    this.close(false);
    this.key = key;
    if (!key) return null;
    this.card = error ? this.explain(run, error, ended) : told ? this.told(run.stop, told) : this.ending(run);
    $("canvas").append(this.card);
    return this.card;
  }

  close(byHand = true) {
    if (byHand) this.closed = this.key;
    this.card?.remove();
    this.card = null;
    this.on.changed?.();
  }

  frame(title, tone, sentence, body, buttons, whole) {
    return h("section", { class: `card ${tone}`.trim(), role: "region", "aria-label": title, tabindex: -1 },
      h("div", { class: "top" }, icon("warn"), h("span", { class: "grow ell", title }, title),
        h("button", { class: "ib small", type: "button", title: "Copy this message", "aria-label": "Copy this message", onclick: () => copy(typeof whole === "function" ? whole() : whole) }, icon("copy")),
        h("button", { class: "ib small", type: "button", title: "Close this card  Esc", "aria-label": "Close this card", onclick: () => this.close() }, icon("x"))),
      h("div", { class: "say" }, sentence),
      h("div", { class: "scroll" }, body),
      buttons.some(Boolean) ? h("div", { class: "acts" }, buttons) : null);
  }

  button(text, sign, action, kind = "", title = "") {
    return h("button", { class: `btn ${kind}`.trim(), type: "button", title, onclick: action }, sign && icon(sign), text);
  }

  explain(run, error, ended) {
    const { stop } = run;
    const operands = error.operands || [];
    const mismatch = operands.some((operand) => operand.clash?.length);
    const what = mismatch ? "Shape mismatch" : error.error;
    const before = Boolean(stop.op) && stop.position === "node";
    const title = ended ? `${what} ended the program` : before ? `${what}, stopped before ${prime(stop.op)}` : what;
    const numbers = new Set();
    for (const operand of operands) for (const dim of operand.clash || []) numbers.add(String(operand.shape?.[dim]));
    const body = [];
    const asked = h("div", { class: "asked", role: "status" });
    if (mismatch) body.push(this.boxes(operands, ended ? null : asked), asked);
    for (const operand of operands) if (operand.origins?.length) body.push(this.chainOf(operand));
    if (error.hint) body.push(h("div", { class: "note" }, icon("info"), h("span", {}, error.hint)));
    if (!body.length && (error.traceback || error.message !== error.sentence)) body.push(h("pre", { class: "trace-text" }, error.traceback || `${error.error}: ${error.message}`));
    const whole = [title, error.sentence, `${error.error}: ${error.message}`].filter(Boolean).join("\n");
    const edit = this.button("Edit and rerun", "edit", () => this.edit(stop, operands), "primary", "Edit the line that chose the size, save, and run again");
    const line = this.button("Go to the line", "here", () => this.on.place(stop.file, stop.line));
    const live = run.state === "paused" && !stop.past && !run.recording;
    const buttons = ended
      ? [this.button("Restart", "restart", () => this.on.verb("restart"), "primary"), stop.file && this.button("Edit and rerun", "edit", () => this.edit(stop, operands)), stop.file && line]
      : [live && edit, live && before && this.button("Give a value and go on", "", () => this.give(stop, operands), "", "The op does not run; you say what it gives"), this.button("Show path", "", () => this.on.path()), !(live && before) && line];
    return this.frame(title, "", this.marked(error.sentence || error.message || "", numbers), body, buttons, whole);
  }

  /** The operands side by side; where `asked` is given, each size is asked for its reason there. */
  boxes(operands, asked) {
    const shown = operands.filter((o) => o.shape && (o.clash?.length || operands.length < 3)).slice(0, 4);
    return h("div", { class: "ops", role: "group", "aria-label": operands.map((o) => `${o.name} is ${(o.shape || []).join(" by ")}`).join(", ") },
      shown.map((operand, i) => [
        i ? h("span", { class: "sign red", title: "does not fit" }, "\u2260") : null,
        h("div", { class: "operand" }, h("div", { class: "nm ell", title: operand.name }, operand.name || `argument ${i + 1}`), h("div", { class: "sh" }, this.tuple(operand, asked)), operandBox(operand.shape, operand.clash || [])),
      ]));
  }

  /** The form that supplies the op's result, in place of the explanation's foot. */
  give(stop, operands) {
    const acts = this.card.querySelector(".acts");
    if (this.card.querySelector(".supply")) return;
    const slot = this.state.slotOfNode(stop.node);
    const before = slot ? this.shapeBefore(slot) : null;
    const form = supplyForm({
      op: stop.op, operands, before,
      ask: (value) => this.live.ask("supply", { value }),
      go: () => this.on.verb("continue"),
      close: () => { form.remove(); acts.hidden = false; acts.querySelectorAll("button")[1]?.focus(); },
    });
    acts.hidden = true;
    this.card.append(form);
    form.querySelector("input:checked")?.focus();
  }

  /** What the op at this place made in an earlier turn. */
  shapeBefore(slot) {
    return Array.isArray(slot.shape) ? slot.shape : null;
  }

  /** A stop at values: nothing failed, but it is worth a sentence. */
  told(stop, [title]) {
    const alarm = stop.reason === "nan";
    const sentence = h("span", {}, stop.text);
    const body = h("div", { class: "told-body" });
    const label = prime(stop.op) + (stop.phase === 1 ? "\u2032" : "");
    const whole = () => [title, sentence.textContent, body.innerText].join("\n");
    const live = !stop.past && !this.state.run.recording;
    const card = this.frame(alarm ? `${title}, after ${label}` : title, alarm ? "" : "calm", sentence, body, [
      this.button("Go to the line", "here", () => this.on.place(stop.file, stop.line), "primary"),
      live && this.button("Edit and rerun", "edit", () => this.on.edit(stop.file, stop.line)),
      alarm && this.button("Show path", "", () => this.on.path())], whole);
    if (live) {
      const asker = {
        ask: (verb, more) => this.live.ask(verb, more), node: (node) => this.on.node(node), place: (file, line) => this.on.place(file, line),
        where: (file, line) => this.state.place(file, line), chain: (size, text, steps) => this.chain("", text, this.steps(steps)),
      };
      tell(stop, this.state, asker, sentence, body).catch((error) => { body.append(h("div", { class: "hint" }, error.message)); });
    }
    return card;
  }

  /** Steps of an answer to "why": their files are told by path. */
  steps(chain) {
    return (chain || []).map((step) => ({ ...step, file: this.fileOf(step.file), path: step.file, name: step.op }));
  }

  fileOf(path) {
    for (const file of this.state.files.values()) if (file.path === path) return file.id;
    return null;
  }

  /** Edit where the size was decided: the last step of the last operand that clashes, usually a layer's definition. */
  edit(stop, operands) {
    const chains = operands.filter((operand) => operand.clash?.length && operand.origins?.length);
    const origin = chains.length ? chains[chains.length - 1].origins.slice(-1)[0] : stop;
    this.on.edit(origin.file ?? stop.file, origin.line ?? stop.line);
  }

  /** The sentence, with the clashing numbers in red. */
  marked(text, numbers) {
    if (!numbers.size) return text;
    return text.split(/(\d+)/).map((part) => (numbers.has(part) ? h("b", { class: "red" }, part) : part));
  }

  /** (1, 64); each size is a button that asks where it came from. */
  tuple(operand, asked) {
    const clash = operand.clash || [];
    const size = (n, dim) => {
      const tone = clash.includes(dim) ? "red b" : "";
      if (!asked || !operand.node) return clash.includes(dim) ? h("b", { class: "red" }, n) : String(n);
      return h("button", { class: "dim-b", type: "button", title: `Why is dimension ${dim} of ${operand.name || "it"} ${n}?`, onclick: () => this.why(operand, dim, n, asked) }, tone ? h("b", { class: "red" }, n) : n);
    };
    return ["(", operand.shape.map((n, dim) => [dim ? ", " : "", size(n, dim)]), operand.shape.length === 1 ? ",)" : ")"];
  }

  async why(operand, dim, size, asked) {
    try {
      const answer = await this.live.ask("why", { question: "shape", node: operand.node, dim });
      asked.replaceChildren(this.chain(size, `why dimension ${dim} of ${operand.name || "it"} is ${size}`, this.steps(answer.chain)));
    } catch (error) {
      asked.replaceChildren(h("div", { class: "hint" }, error.message));
    }
  }

  chainOf(operand) {
    const dim = operand.clash?.[0];
    const size = dim === undefined ? "" : operand.shape?.[dim];
    return this.chain(size, `where ${operand.name || "it"} got ${size === "" ? "its shape" : "it"}`, operand.origins);
  }

  /** Lines that lead to an answer, each a button; the first is nearest to the stop. */
  chain(size, title, steps) {
    const last = steps.length - 1;
    return h("div", { class: "chain" },
      h("h4", {}, size === "" ? "" : h("span", { class: "mono red" }, size), h("span", { class: "dim" }, title)),
      steps.map((origin, i) => {
        const place = this.state.place(origin.file, origin.line) || (origin.path ? `${origin.path.split("/").pop()}:${origin.line}` : "?");
        return h("button", {
          class: `step${i === 0 ? " first" : ""}${i === last ? " last" : ""}`, type: "button", title: `${place}  ${origin.text || ""}\n${origin.note || ""}`, disabled: !origin.file, onclick: () => this.on.place(origin.file, origin.line),
        }, h("span", { class: "rail" }), h("span", { class: "link mono ell" }, place), h("span", { class: "mono ell" }, origin.text || origin.name || ""), h("span", { class: "remark ell" }, origin.note || ""));
      }));
  }

  /** The end of a program that did not end by itself; an op that failed is shown with its operands. */
  ending(run) {
    const titles = { failed: "The program failed", killed: "The program was killed", lost: "The program is out of reach" };
    const whole = [run.message, run.next].filter(Boolean).join("\n");
    const [first, ...rest] = ((run.recording && run.stop?.text) || run.message || run.stop?.text || "").split("\n");
    const more = rest.length ? rest : run.stop?.text && !first.endsWith(run.stop.text) ? [run.stop.text] : [];
    const drawn = h("div", {});
    const failed = this.failed();
    const body = [drawn, more.length ? h("pre", { class: "trace-text" }, more.join("\n")) : null, run.next && h("div", { class: "note" }, icon("info"), h("span", {}, run.next))];
    if (failed) {
      this.live.ask("node", { node: failed.node }).then((data) => {
        const operands = (data.inputs || []).filter((input) => input.shape);
        if (operands.some((input) => input.clash?.length)) drawn.append(this.boxes(operands, null));
      }, () => undefined);
    }
    const { stop } = run;
    const at = failed?.file ? failed : run.state === "failed" && stop?.file && stop.line ? stop : null;
    return this.frame(titles[run.state], "", first, body, [!run.recording && this.button("Restart", "restart", () => this.on.verb("restart"), "primary"),
      at && !run.recording && this.button("Edit and rerun", "edit", () => this.on.edit(at.file, at.line)),
      at && this.button("Go to the line", "here", () => this.on.place(at.file, at.line), run.recording ? "primary" : ""),
      failed && this.button("Show path", "", () => { this.on.node(failed.node); this.on.path(); })], whole);
  }

  /** The latest op that failed. */
  failed() {
    let found = null;
    for (const slot of this.state.slots.values()) if (slot.status === "failed" && slot.node && (!found || slot.node > found.node)) found = slot;
    return found;
  }
}
