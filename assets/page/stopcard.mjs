// The card in the free lane at a stop that needs explaining: what, shown, since when, and the way on.
import { $, copy, h, icon, prime, s } from "./dom.mjs";

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
    s("rect", { x, y, width: w, height: t, rx: 2, fill: "var(--sunk)", stroke: "var(--line2)" }),
    [1, 2, 3].map((i) => s("path", { d: `M${x} ${y + (t * i) / 4}h${w}M${x + (w * i) / 4} ${y}v${t}`, stroke: "var(--line)" })),
    shape.length > 1 && text(x - 6, y + t / 2 + 4, rows, last - 1, "end"),
    shape.length && text(x + w / 2, y + t + 17, cols, last, "middle"),
    red(last) && s("path", { d: `M${x} ${y + t + 3}h${w}`, stroke: "var(--red)", "stroke-width": 3 }),
    shape.length > 1 && red(last - 1) && s("path", { d: `M${x - 3.5} ${y}v${t}`, stroke: "var(--red)", "stroke-width": 3 }));
}

export class StopCard {
  /** `on.place(file, line)`, `on.slot(slot)`, `on.path()`, `on.verb(name)` */
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.card = null;
    this.closed = null; // number of the stop whose card was closed
  }

  /** Show, keep or take away the card, as the latest state asks. Returns it. */
  update() {
    const { run } = this.state;
    const ended = ["failed", "killed", "lost"].includes(run?.state);
    const error = run?.stop?.error;
    const key = run && (error || ended) ? `${run.state}|${run.stop?.number ?? ""}|${run.stop?.text}|${run.message}` : null;
    if (key && key === this.key && (this.card || this.closed === key)) return this.card;
    this.close(false);
    this.key = key;
    if (!key) return null;
    this.card = error ? this.explain(run, error, ended) : this.ending(run);
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
      h("div", { class: "top" }, icon("warn"), h("span", { class: "grow" }, title),
        h("button", { class: "ib small", type: "button", title: "Copy this message", "aria-label": "Copy this message", onclick: () => copy(whole) }, icon("copy")),
        h("button", { class: "ib small", type: "button", title: "Close this card  Esc", "aria-label": "Close this card", onclick: () => this.close() }, icon("x"))),
      h("div", { class: "say" }, sentence),
      h("div", { class: "scroll" }, body),
      h("div", { class: "acts" }, buttons));
  }

  explain(run, error, ended) {
    const { stop } = run;
    const operands = error.operands || [];
    const mismatch = operands.some((operand) => operand.clash?.length);
    const what = mismatch ? "Shape mismatch" : error.error;
    const title = ended ? `${what} ended the program` : `${what}, stopped before ${prime(stop.op)}`;
    const numbers = new Set();
    for (const operand of operands) for (const dim of operand.clash || []) numbers.add(String(operand.shape?.[dim]));
    const body = [];
    if (mismatch) {
      body.push(h("div", { class: "ops", role: "img", "aria-label": operands.map((o) => `${o.name} is ${(o.shape || []).join(" by ")}`).join(", ") },
        operands.filter((o) => o.shape && o.clash?.length).slice(0, 4).map((operand, i) => [
          i ? h("span", { class: "sign red", title: "does not fit" }, "\u2260") : null,
          h("div", { class: "operand" }, h("div", { class: "nm ell", title: operand.name }, operand.name || `argument ${i + 1}`), h("div", { class: "sh" }, this.tuple(operand)), operandBox(operand.shape, operand.clash || [])),
        ])));
    }
    for (const operand of operands) if (operand.origins?.length) body.push(this.chain(operand));
    if (error.hint) body.push(h("div", { class: "note" }, icon("info"), h("span", {}, error.hint)));
    if (!mismatch || !body.length) body.push(h("pre", { class: "trace-text" }, error.traceback || `${error.error}: ${error.message}`));
    const whole = [title, error.sentence, `${error.error}: ${error.message}`].filter(Boolean).join("\n");
    const buttons = ended
      ? [h("button", { class: "btn primary", type: "button", onclick: () => this.on.verb("restart") }, icon("restart"), "Restart")]
      : [
        h("button", { class: "btn primary", type: "button", title: "Edit the line that chose the size, save, and run again", onclick: () => this.edit(stop, operands) }, icon("edit"), "Edit and rerun"),
        h("button", { class: "btn", type: "button", onclick: () => this.on.place(stop.file, stop.line) }, icon("here"), "Go to the line"),
        h("button", { class: "btn", type: "button", onclick: () => this.on.path() }, "Show path"),
      ];
    return this.frame(title, "", this.marked(error.sentence || error.message || "", numbers), body, buttons, whole);
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

  tuple(operand) {
    const clash = operand.clash || [];
    return ["(", operand.shape.map((size, i) => [i ? ", " : "", clash.includes(i) ? h("b", { class: "red" }, size) : String(size)]), operand.shape.length === 1 ? ",)" : ")"];
  }

  chain(operand) {
    const dim = operand.clash?.[0];
    const size = dim === undefined ? "" : operand.shape?.[dim];
    const last = operand.origins.length - 1;
    return h("div", { class: "chain" },
      h("h4", {}, h("span", { class: "mono red" }, size), h("span", { class: "dim" }, `where ${operand.name || "it"} got ${size === "" ? "its shape" : "it"}`)),
      operand.origins.map((origin, i) => h("button", {
        class: `step${i === 0 ? " first" : ""}${i === last ? " last" : ""}`, type: "button", title: `Open ${this.state.place(origin.file, origin.line)}`, onclick: () => this.on.place(origin.file, origin.line),
      }, h("span", { class: "rail" }), h("span", { class: "link mono" }, this.state.place(origin.file, origin.line) || "?"), h("span", { class: "mono ell" }, origin.text || ""), h("span", { class: "remark" }, origin.note || ""))));
  }

  ending(run) {
    const titles = { failed: "The program failed", killed: "The program was killed", lost: "The program is out of reach" };
    const whole = [run.message, run.next].filter(Boolean).join("\n");
    const body = [run.stop?.text && run.stop.text !== run.message ? h("div", { class: "hint" }, run.stop.text) : null, run.next && h("div", { class: "note" }, icon("info"), h("span", {}, run.next))];
    return this.frame(titles[run.state], "", run.message || run.stop?.text || "", body, [h("button", { class: "btn primary", type: "button", onclick: () => this.on.verb("restart") }, icon("restart"), "Restart")], whole);
  }
}

