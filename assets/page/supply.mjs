// "Give a value and go on": a result for an op that cannot run, with the shape it gets told before it is used.
import { h, tupleText } from "./dom.mjs";

const MADE = {
  zeros: (shape, dtype) => `__import__("numpy").zeros(${shape}, "${dtype}")`,
  ones: (shape, dtype) => `__import__("numpy").ones(${shape}, "${dtype}")`,
  random: (shape, dtype) => `__import__("numpy").random.standard_normal(${shape}).astype("${dtype}")`,
};

/** The shape the op most likely would have made: what it made before, else what its operands ask for; null: no idea. */
export function likely(op, operands, before) {
  if (before?.length !== undefined) return before;
  const shapes = operands.map((operand) => operand.shape).filter(Boolean);
  const [a, b] = shapes;
  if (!a || !b) return a || null;
  if (op === "linear") return [...a.slice(0, -1), b[0]];
  if (op === "matmul" && a.length > 1 && b.length > 1) return [...a.slice(0, -1), b[b.length - 1]];
  return a.length >= b.length ? a : b;
}

/** `(2, 3)` or `2x3` or `2 3` as sizes; a sentence where it is none. */
export function sizes(text) {
  const parts = text.trim().replace(/^[([]|[)\]]$/g, "").split(/[\s,x\u00d7]+/).filter(Boolean);
  const bad = parts.find((part) => !/^\d{1,9}$/.test(part));
  if (bad !== undefined) return `A shape is sizes such as 32, 128; "${bad.slice(0, 30)}" is none.`;
  return parts.map(Number);
}

/** The form. `ask(expression)` gives {shape} and may raise a sentence; `go()` lets the program go on; `close()` takes it away. */
export function supplyForm({ op, operands, before, ask, go, close }) {
  const guess = likely(op, operands, before);
  const known = before ? `${op} made ${tupleText(before)} until now` : guess ? "what the operands ask for" : "";
  const dtype = (operands.find((operand) => /^(b?float|complex)/.test(operand.dtype || "")) || {}).dtype || "float32";
  const like = dtype === "bfloat16" ? "float32" : dtype;
  const name = `supply-${Math.random().toString(36).slice(2)}`;
  let how = guess ? "zeros" : "expression";
  let checked = null; // the text that was looked at, and its shape
  const shape = h("input", { class: "mono grow", value: guess ? guess.join(", ") : "", "aria-label": "Shape of the value", placeholder: "32, 128", spellcheck: "false" });
  const expression = h("input", { class: "mono grow", "aria-label": "Expression that gives the value", placeholder: "such as first[:, :2] or ds.zeros(1, 2)", spellcheck: "false", autocomplete: "off" });
  const told = h("div", { class: "told", role: "status" });
  const choices = ["zeros", "ones", "random", "expression"].map((kind) => h("label", {},
    h("input", { type: "radio", name, value: kind, checked: kind === how, onchange: () => { how = kind; fields(); } }), { random: "random numbers", expression: "an expression" }[kind] || kind));
  const first = h("div", { class: "line" }, h("span", { class: "dim" }, "shape"), shape);
  const second = h("div", { class: "line" }, h("span", { class: "dim" }, "value"), expression);
  const use = h("button", { class: "btn primary", type: "button", onclick: () => apply(false) }, "Use it and go on");
  const anyway = h("button", { class: "btn", type: "button", hidden: true, onclick: () => apply(true) }, "Go on with it anyway");
  const say = (text, tone = "") => { told.textContent = text; told.dataset.tone = tone; };

  function fields() {
    first.hidden = how === "expression";
    second.hidden = how !== "expression";
    anyway.hidden = true;
    use.hidden = false;
    say(known && how !== "expression" ? `${tupleText(guess)} is ${known}.` : how === "expression" ? "It is evaluated in the paused frame, with the names of your program." : "");
  }

  function wanted() {
    if (how === "expression") return expression.value.trim() || "!Write an expression, such as ds.zeros(1, 2).";
    const list = sizes(shape.value);
    return typeof list === "string" ? `!${list}` : MADE[how](list.length === 1 ? `(${list[0]},)` : `(${list.join(", ")})`, like);
  }

  async function apply(sure) {
    const text = wanted();
    if (text.startsWith("!")) return say(text.slice(1), "bad");
    use.disabled = true;
    try {
      const answer = sure && checked === text ? null : await ask(text);
      const other = answer && guess && String(answer.shape) !== String(guess);
      if (other && !sure) {
        checked = text;
        anyway.hidden = false;
        use.hidden = true;
        return say(`Your value is ${tupleText(answer.shape)}; expected was ${tupleText(guess)} (${known}). What comes next may not fit.`, "warn");
      }
      go();
    } catch (error) {
      say(error.message, "bad");
    } finally {
      use.disabled = false;
    }
    return undefined;
  }

  const form = h("div", { class: "supply", role: "group", "aria-label": `Give a value for ${op}`, onkeydown: (event) => {
    if (event.key === "Enter" && event.target.type !== "button") apply(checked !== null && !anyway.hidden);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  } },
  h("h4", {}, `${op} does not run; its result is`), h("div", { class: "choices" }, choices), first, second, told,
  h("div", { class: "line end" }, use, anyway, h("button", { class: "btn plain", type: "button", onclick: close }, "Cancel")));
  for (const input of [shape, expression]) input.addEventListener("input", () => { checked = null; anyway.hidden = true; use.hidden = false; });
  fields();
  return form;
}
