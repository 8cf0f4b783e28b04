// The form of a breakpoint: every kind there is, with its condition, hits and log text. What is wrong is told at its field.
import { h } from "./dom.mjs";

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
  ["norm", "Gradient norm above", "Parameter; empty for any", "net.head.weight", "name", true],
  ["gradient zero", "Gradient zero", "Parameter; empty for any", "net.head.weight", "name", true],
  ["gradient missing", "Gradient missing", "Parameter; empty for any", "net.head.weight", "name", true],
  ["gradient", "Gradient, if", "Parameter; empty for any", "net.head.weight", "name", true],
  ["data", "Tensor changed", "Expression of the tensor", "net.head.bias", "name"],
  ["memory", "Memory above", "Live bytes, such as 200M", "200M", "limit"],
  ["shape mismatch", "Shape mismatch", "", "", ""],
  ["type mismatch", "Dtype or device mismatch", "", "", ""],
  ["exception", "Exception", "", "", ""],
];
const CONDITIONS = {
  "shape predicate": "such as shape[-1] == 1", branch: "always, or such as taken", norm: "always, or such as iteration > 3", gradient: "always, or such as norm > 10 or zero", memory: "always, or such as iteration > 3",
  nan: "always, or such as module == 'net.head'", line: "always, or such as loss > 2", if: "such as op == 'cat' and shape[-1] == 256",
};
const UNITS = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, "": 1 };

/** Bytes of "200M", "1.5 GB" or "4096"; null where it is no size. */
export function sizeOf(text) {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\s*$/i.exec(text) || [];
  return number ? Math.round(Number(number) * UNITS[unit.toLowerCase()]) : null;
}

/** What is wrong with a field, as a sentence. */
class Wrong extends Error {
  constructor(field, text) {
    super(text);
    this.field = field;
  }
}

/** The field that a sentence of the session speaks of. */
function fieldOf(sentence) {
  if (/hit count/.test(sentence)) return "hit";
  if (/log text|The expression/.test(sentence)) return "log";
  if (/condition/.test(sentence)) return "condition";
  return "where";
}

/** What a kind's first field says, as fields of the request; throws Wrong. */
export function wanted(state, kind, text, { condition = "", above = "", unchanged = false } = {}) {
  const [, title, label, example, key, optional] = KINDS.find(([value]) => value === kind);
  if (kind === "if" || kind === "shape predicate") {
    if (!condition) throw new Wrong("condition", `${title} needs a condition, such as shape[-1] == 256.`);
    return {};
  }
  if (kind === "norm" && !(Number(above) >= 0 && above)) throw new Wrong("above", `The norm is a number such as 10, not "${above}".`);
  if (!key || unchanged) return {}; // a line of another file of the same name is not looked for again
  if (!text && optional) return key === "line" ? { file: null, line: null } : { [key]: null };
  if (!text) throw new Wrong("where", `${title}: ${label.toLowerCase()}, such as ${example}.`);
  if (kind === "node") {
    if (!/^\d+$/.test(text)) throw new Wrong("where", `A node is a number, such as 812, not "${text}".`);
    return { node: Number(text) };
  }
  if (kind === "memory") {
    if (!sizeOf(text)) throw new Wrong("where", `Live bytes are a number such as 200M or 4096, not "${text}".`);
    return { limit: sizeOf(text) };
  }
  if (key !== "line") return { name: text };
  const [, name, line] = /^(?:(.*):)?(\d+)$/.exec(text) || [];
  const file = [...state.files.values()].find((f) => !name || f.name === name || f.path === name);
  if (!line || !file) throw new Wrong("where", `A line is FILE:LINE with a file of this program, such as model.py:31, not "${text}".`);
  return { file: file.id, line: Number(line) };
}

/** What may be meant by the first field. */
function suggestions(state, kind) {
  const found = new Set();
  if (kind === "line" || kind === "branch") for (const file of state.files.values()) found.add(`${file.name}:`);
  if (kind === "op" || kind === "module") for (const slot of state.slots.values()) if (!slot.role && slot[kind === "op" ? "label" : "module"]) found.add(slot[kind === "op" ? "label" : "module"]);
  if (/^(gradient|norm|data)/.test(kind)) for (const slot of state.slots.values()) if (slot.role === "parameter" && slot.name) found.add(slot.name);
  return [...found].sort().slice(0, 200);
}

/** The form. `editing` is what is filled in, with the `id` of an old one; `ask(request)` may reject with a sentence; `close()` takes it away. */
export function breakForm(state, editing, ask, close) {
  const input = (name, label, value, placeholder) => h("input", { name, "aria-label": label, title: label, value: value || "", placeholder, spellcheck: "false", autocomplete: "off", class: "mono", "aria-describedby": `bf-told-${name}` });
  const kind = h("select", { "aria-label": "Kind of breakpoint", disabled: Boolean(editing.id) }, KINDS.map(([value, text]) => h("option", { value, selected: value === (editing.kind || "line") }, text)));
  const names = h("datalist", { id: "breakpoint-names" });
  const fields = {
    where: input("where", "Where", editing.where, ""),
    above: input("above", "Norm above which it stops", "", "10"),
    condition: input("condition", "Condition, a Python expression", editing.condition, ""),
    hit: input("hit", "Hit count, such as 3, >= 5 or % 10", editing.hit, "each time, or 3, >= 5, % 10"),
    log: input("log", "Log text: told instead of stopping, with {expressions}", editing.log, "stop, or log: loss {loss.item():.3f}"),
  };
  fields.where.setAttribute("list", names.id);
  const lines = {};
  const told = {};
  for (const [name, label] of Object.entries({ where: "at", above: "above", condition: "if", hit: "hits", log: "log" })) {
    told[name] = h("div", { class: "brk-problem", role: "alert", id: `bf-told-${name}` });
    lines[name] = h("div", {}, h("label", { class: "bf" }, h("span", { class: "dim" }, label), fields[name]), told[name]);
  }
  const fit = () => {
    const [value, , label, example] = KINDS.find(([each]) => each === kind.value);
    lines.where.hidden = !label;
    lines.above.hidden = value !== "norm";
    fields.where.placeholder = example;
    fields.where.title = label;
    fields.condition.placeholder = CONDITIONS[value] || "always, or a Python expression";
    names.replaceChildren(...suggestions(state, value).map((each) => h("option", { value: each })));
  };
  const wrong = (name, text) => {
    const shown = lines[name].hidden ? "condition" : name;
    told[shown].textContent = text;
    fields[shown].setAttribute("aria-invalid", "true");
    fields[shown].focus();
  };
  const read = (name) => fields[name].value.trim();
  const save = async () => {
    for (const name of Object.keys(fields)) { told[name].textContent = ""; fields[name].removeAttribute("aria-invalid"); }
    try {
      const where = read("where");
      const more = wanted(state, kind.value, where, { condition: read("condition"), above: read("above"), unchanged: Boolean(editing.id) && where === (editing.where || "") });
      const rest = { condition: read("condition"), hit: read("hit"), log: read("log") };
      if (kind.value === "norm") rest.condition = `norm > ${read("above")}${rest.condition ? ` and (${rest.condition})` : ""}`;
      const given = (all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== ""));
      if (editing.id) await ask({ action: "edit", breakpoint: editing.id, ...more, ...rest });
      else await ask({ action: "add", kind: kind.value === "norm" ? "gradient" : kind.value, ...given(more), ...given(rest) });
      close();
    } catch (error) {
      wrong(error.field || fieldOf(error.message), error.message);
    }
  };
  kind.onchange = fit;
  fit();
  return h("div", { class: "breakform big", role: "group", "aria-label": editing.id ? "Edit the breakpoint" : "New breakpoint", onkeydown: (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT") save();
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  } }, h("label", { class: "bf" }, h("span", { class: "dim" }, "stop"), kind), names, Object.values(lines),
  h("div", { class: "acts2" }, h("button", { class: "btn small primary", type: "button", onclick: save }, editing.id ? "Save" : "Add"), h("button", { class: "btn small", type: "button", onclick: close }, "Cancel")));
}
