// The views of the engine's panel. Each takes what the program told (null: it could not be asked), what the graph shows,
// and {on, state, why}; a view with nothing to show says how to get it.
import { bytes, count, duration, h, prime, shapeText, three } from "./dom.mjs";

const hint = (...text) => h("div", { class: "hint" }, text);
const mono = (text) => h("span", { class: "mono" }, text);
const fact = (name, ...value) => h("span", {}, h("span", { class: "dim" }, `${name} `), h("span", { class: "mono" }, value));
const facts = (...all) => h("div", { class: "differs", role: "status" }, all);
const to = (text, action, more = {}) => h("button", { class: "link", type: "button", ...more, onclick: action }, text);
const times = (name, n) => (n > 1 ? `${prime(name)} \u00d7${count(n)}` : prime(name));

function grid(heads, rows, numbers = []) {
  const align = (i) => (numbers.includes(i) ? "num" : i === heads.length - 1 ? "last" : "");
  return h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: align(i) }, head)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => h("td", { class: align(i) }, cell))))));
}

const LOW = new Set(["float16", "bfloat16"]);

/** Which layer ran in which type, the loss scale, and where overflow began. */
export function precision(told, seen, { on, state, why }) {
  if (!seen || seen.iteration === null) return hint("Which layer runs in which type stands here as soon as an op has run. ", mono("ds.graph_config(amp=True)"), " or ", to("the key amp", () => on.open("configuration")), " switches mixed precision on.");
  const measured = new Map((told?.layers || []).map((layer) => [layer.path || layer.name, layer]));
  const bad = seen.overflow;
  const low = seen.layers.some((row) => Object.keys(row.dtypes).some((dtype) => LOW.has(dtype)));
  const head = facts(
    h("b", {}, told ? `Mixed precision is ${told.on ? "on" : "off"} here` : `Iteration ${seen.iteration}`),
    told ? [fact("iteration", seen.iteration), (told.on || told.skipped_steps > 0) && fact("loss scale", String(told.loss_scale), told.dynamic ? " (dynamic)" : " (fixed)"), (told.on || told.skipped_steps > 0) && fact("steps skipped", count(told.skipped_steps))] : "",
    fact("casts", count(seen.casts), seen.casts ? `, ${bytes(seen.cast_bytes)}` : ""),
    to("Colour the graph by dtype", () => on.dtype()),
    told && !told.on && !low ? to("Switch it on", () => on.open("configuration")) : "");
  const began = bad
    ? h("div", { class: "remark bad", role: "alert" }, h("b", { class: "red" }, "Overflow began at "), to(`${prime(bad.op)}${bad.module ? ` in ${bad.module}` : ""}`, () => on.node(bad.slot)), ` ${bad.dtype}, ${bad.phase}: ${count(bad.infs)} Inf, ${count(bad.nans)} NaN `, mono(bad.place))
    : h("div", { class: "hint remark" }, seen.statistics ? "Every value that was looked at is finite." : ["Where a value overflows is known from trace level 2 on. ", state.run?.recording ? "" : to("Set it now", () => on.level(2))]);
  const rows = seen.layers.map((row) => {
    const layer = measured.get(row.module);
    const ran = Object.entries(row.dtypes).map(([dtype, n]) => h("span", { class: `pill${LOW.has(dtype) ? " low" : ""}` }, times(dtype, n)));
    return [row.module || h("span", { class: "dim" }, "outside modules"), h("span", { class: "pills" }, ran), layer ? layer.dtype : "", layer ? three(layer.sensitivity) : "", mono(row.place)];
  });
  return [why && !told ? h("div", { class: "hint remark" }, why) : "", head, began, rows.length
    ? grid(["Layer", "Its products ran in", "Stays", "Error in float16", "Where"], rows, [3])
    : hint("No layer multiplied in this iteration.")];
}

const WAYS = { true: "while its input is the same array", content: "while its input holds the same", false: "no: computed each time, without a trace" };

/** The modules that are switched off, and what that saved. */
export function reuse(told, _seen, { why }) {
  if (!told) return hint(why);
  if (!told.length) return hint("No module is switched off. ", mono("module.trace_(False, reuse=True)"), " keeps the result of a frozen module while its input and parameters stay as they are; how often it is used again, and what that saves, then stands here.");
  const sum = (key) => told.reduce((total, row) => total + row[key], 0);
  return [facts(h("b", {}, `${count(sum("hits"))} results used again`), fact("saved", `${bytes(sum("bytes"))}, ${duration(sum("ns"))}`)),
    grid(["Module", "Calls", "Used again", "Computed", "Bytes saved", "Time saved", "When"], told.map((row) => [
      row.path || h("span", { class: "dim" }, "not called since tracing began"), count(row.hits + row.misses), count(row.hits), count(row.misses), bytes(row.bytes), duration(row.ns), WAYS[String(row.reuse)] || String(row.reuse)]), [1, 2, 3, 4, 5])];
}

/** The parts of each partition, what is cut, and how many ran at once. */
export function partitions(told, _seen, { on, why }) {
  if (!told) return hint(why);
  if (!told.length) return hint("The program holds no partition. ", mono("ds.partition(trace, 2)"), " splits a trace into parts that run at once; the parts, what is cut and the overlap, predicted and seen, then stand here, and colour the graph.");
  return told.map((view, index) => h("section", { "aria-label": `Partition ${index}` },
    facts(h("b", {}, told.length > 1 ? `Partition ${index}` : "Partition"), fact("predicted", `${view.predicted.toFixed(2)} times as fast`),
      view.seen === null ? h("span", { class: "dim" }, "not run yet") : fact("in the last run", `${view.seen.toFixed(2)} at once, ${duration(view.ns)}`),
      fact("cut", `${count(view.cut_edges)} edge${view.cut_edges === 1 ? "" : "s"}, ${bytes(view.cut_bytes)}`), to("Colour the graph by part", () => on.parts(index), { "data-of": `parts${index}` })),
    grid(["Part", "Nodes", "Time", "Holds"], view.parts.map((part) => [part.part, count(part.nodes), duration(part.ns), part.holds.length ? part.holds.map(([name, n]) => times(name, n)).join(", ") : h("span", { class: "dim" }, "what is no longer in the graph")]), [1, 2]),
    view.cut.length ? h("div", { class: "differs cut-list" }, h("span", { class: "dim" }, "cut:"), view.cut.slice(0, 24).map(([a, , from, into]) => to(`${prime(from)} \u2192 ${prime(into)}`, () => on.node(a))), view.cut.length > 24 ? h("span", { class: "dim" }, `and ${count(view.cut.length - 24)} more`) : "") : ""));
}

/** What is compiled, how often it is used, and why it was compiled again. */
export function jit(told, _seen, { on, state: page, why }) {
  if (!told) return hint(why);
  if (!told.regions.length) return hint(told.refused ? `Nothing is compiled: ${told.refused}. ` : "Nothing is compiled yet: that is for ops on large arrays that are not traced and run again and again. ", mono("ds.jit(f)"), " asks for it; ops that are traced run one by one.");
  const files = new Map([...page.files.values()].map((file) => [file.path, file.id]));
  const place = (row) => {
    const name = `${row.file.split("/").pop()}:${row.line}`;
    return files.has(row.file) ? to(name, () => on.place(files.get(row.file), row.line), { title: row.file }) : mono(name);
  };
  const state = { counting: "op by op, counted", compiling: "the compiler works", compiled: "compiled", plain: "op by op" };
  return [facts(h("b", {}, `${count(told.compiled)} regions compiled`), fact("runs by kernels", count(told.hits)), fact("op by op", count(told.misses)), told.compiler ? fact("by", told.compiler) : "", told.refused ? h("span", {}, told.refused) : ""),
    grid(["Begins at", "Ops", "Shape", "State", "Hits", "Misses", "Why it is another, or plain"], told.regions.slice().reverse().map((row) => [
      place(row), row.ops.join(" "), mono(`${shapeText(row.shape)} ${row.dtype}${row.device === "cuda" ? " on a GPU" : ""}`), `${state[row.state]}${row.cached ? ", from disk" : ""}`, count(row.hits), count(row.misses), row.error || row.reason]), [4, 5])];
}

/** How values and structure moved over the iterations. */
export function drift(_told, seen, { on, state }) {
  if (!seen || seen.iterations < 2) return hint("Drift is seen over iterations: how the values of each place, and the structure, moved from the first half of them to the second. There are not two yet.");
  const head = facts(h("b", {}, `Iterations ${seen.first} to ${seen.last}`), h("span", { class: "dim" }, `halved at ${seen.middle}`),
    seen.loss ? fact("mean loss", `${three(seen.loss[0])} \u2192 ${three(seen.loss[1])}`) : "",
    seen.changes.length ? h("span", {}, h("span", { class: "dim" }, "structure changed in "), mono(seen.changes.slice(-8).map((one) => `${one.iteration} (+${one.added} \u2212${one.removed})`).join(", "))) : h("span", { class: "dim" }, "the same structure throughout"));
  if (!seen.statistics && !seen.places.length) {
    return [head, hint("How values move is known from trace level 2 on. ", state.run?.recording || state.settings.level > 1 ? "" : to("Set it now", () => on.level(2)))];
  }
  if (!seen.places.length) return [head, hint("No place had values in both halves.")];
  const top = Math.max(...seen.places.map((place) => place.moved || 0), 1e-9);
  const pair = (values) => (values ? `${three(values[0])} \u2192 ${three(values[1])}` : "");
  return [head, grid(["Place", "Mean", "Spread", "Moved", "", "Shapes", "Where"], seen.places.map((place) => [
    to(`${prime(place.label)}${place.module ? ` in ${place.module}` : ""}`, () => on.node(place.slot)), pair(place.mean), pair(place.std),
    place.moved === null ? "" : three(place.moved), place.moved === null ? "" : bar(place.moved / top),
    mono(place.shapes.length > 1 ? place.shapes.slice(-3).map(shapeText).join(" \u2192 ") : shapeText(place.shapes[0])), mono(place.place)]), [1, 2, 3])];
}

function bar(share) {
  const inside = h("i");
  inside.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h("span", { class: "bar2", title: "How far the mean moved, in units of the usual spread; the longest is the most", "aria-hidden": "true" }, inside);
}
