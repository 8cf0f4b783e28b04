// What a stop at values, memory or gradients is told with: asked of the paused program when the card opens.
import { bytes, count, h, prime, shapeText, sized, table, three } from "./dom.mjs";

/** Stops that get a card although nothing failed: reason -> [title, what to do next]. */
export const TOLD = {
  nan: ["Not finite", "Edit and rerun"],
  memory: ["Over the memory limit", ""],
  gradient: ["Gradient", ""],
  "data changed": ["Data changed", ""],
};

/** Why an op makes values that are not finite of what it was given, in a few words; "" where its inputs do not tell. */
export function cause(op, input, backward = false) {
  if (!input) return "";
  const all = count(input.count ?? 0), low = input.minimum ?? input.min, high = input.maximum ?? input.max;
  const zeros = input.zeros || 0;
  if (/^(log|log2|log10|div|reciprocal|rsqrt|truediv)$/.test(op) && zeros) return `${count(zeros)} of its ${all} inputs ${zeros === 1 ? "is" : "are"} exactly 0`;
  if (/^(log|log2|log10|sqrt|rsqrt)$/.test(op) && low < 0) return `its smallest input is ${three(low)}`;
  if (backward && /^(log|log2|log10|sqrt|rsqrt|div|reciprocal|truediv)$/.test(op) && Math.abs(low) < 1e-20) return `its smallest input is ${three(low)}, and the gradient divides by it`;
  if (op === "log1p" && low <= -1) return `its smallest input is ${three(low)}`;
  if (/^(exp|expm1|sinh|cosh|pow|square|mul|linear|matmul|sum)$/.test(op) && Math.max(Math.abs(low), Math.abs(high)) > 80) return `its inputs go from ${three(low)} to ${three(high)}`;
  return "";
}

const bad = (summary) => (summary?.nans || 0) + (summary?.infs || 0);

function made(summary) {
  const parts = [];
  if (summary.nans) parts.push(`${count(summary.nans)} NaN`);
  if (summary.infs) parts.push(`${count(summary.infs)} Inf`);
  return parts.join(" and ");
}

/** An end of what is finite; nothing may be. */
const end = (known, x) => (known.count && bad(known) >= known.count ? "\u2013" : three(x));

const statistics = (data) => data?.statistics || data?.value?.summary || null;

/** Fill `sentence` and `body` (elements) of a card for a stop; `asker` has `ask`, `place`, `chain(steps)`, `node(n)`. */
export async function tell(stop, state, asker, sentence, body) {
  if (stop.reason === "nan") await notFinite(stop, state, asker, sentence, body);
  else if (stop.reason === "memory") await overLimit(stop, asker, sentence, body);
  else if (stop.reason === "gradient" || stop.reason === "data changed") await numbers(stop, asker, body);
}

async function notFinite(stop, state, asker, sentence, body) {
  const data = await asker.ask("node", { node: stop.node });
  const out = statistics(data);
  const rows = [];
  let because = "";
  // A gradient's own reason is mostly in what its forward op was given.
  const twin = data.twin?.node ? await asker.ask("node", { node: data.twin.node }) : null;
  const given = [...(data.inputs || []).slice(0, 1), ...(twin ? twin.inputs || [] : (data.inputs || []).slice(1))];
  for (const input of given.filter((one) => one.node).slice(0, 3)) {
    const told = await asker.ask("node", { node: input.node }).catch(() => null);
    const known = statistics(told);
    if (!known) continue;
    because ||= input.name === "grad" ? "" : cause(stop.op, known, stop.phase === 1);
    rows.push([sized(told.dtype, input.name || input.label || "input"), known, input.node]);
  }
  const label = `${prime(stop.op)}${stop.phase === 1 ? "\u2032" : ""}`;
  if (out && bad(out)) {
    const reason = rows.some(([, known]) => bad(known)) ? ", and was given some already" : because ? `: ${because}` : "";
    sentence.textContent = `${label} made ${made(out)} among ${count(out.count)} values${reason}.`;
    rows.push([sized(data.dtype, "\u2192 out"), out, stop.node]);
  }
  if (rows.length) {
    body.append(h("div", { class: "facts-table" }, table(["", "min", "max", "zeros", "NaN", "Inf"], rows.map(([name, known, node]) => [
      h("button", { class: "link mono", type: "button", onclick: () => asker.node(node) }, prime(name)),
      end(known, known.minimum ?? known.min), end(known, known.maximum ?? known.max), count(known.zeros ?? 0),
      known.nans ? h("b", { class: "red" }, count(known.nans)) : "0", known.infs ? h("b", { class: "red" }, count(known.infs)) : "0",
    ]))));
  }
  const why = await asker.ask("why", { question: "value", node: stop.node }).catch(() => null);
  if (why?.chain.length) body.append(asker.chain("", why.sentence, why.chain));
  if (/^log|^sqrt|^div|^rsqrt|^reciprocal/.test(stop.op) && because) {
    body.append(h("div", { class: "note" }, h("span", {}, `Keep the input of ${stop.op} ${stop.phase !== 1 && out?.nans && /log|sqrt/.test(stop.op) ? "above" : "away from"} 0, for example with ds.clamp(x, min=1e-7), then rerun.`)));
  }
}

async function overLimit(stop, asker, sentence, body) {
  const view = await asker.ask("alive", { axis: "events", x: Number.MAX_SAFE_INTEGER - 1 });
  sentence.textContent = `${bytes(view.total)} are alive in ${count(view.buffers)} buffers, ${stop.text.charAt(0).toLowerCase()}${stop.text.slice(1)}.`;
  body.append(h("div", { class: "facts-table" }, table(["largest buffers", "bytes", "line"], view.largest.slice(0, 8).map((owner) => [
    owner.node ? h("button", { class: "link", type: "button", onclick: () => asker.node(owner.node) }, prime(owner.name || owner.op || "buffer")) : prime(owner.name || owner.op || "not a node's"),
    bytes(owner.bytes), owner.file ? h("button", { class: "link mono", type: "button", onclick: () => asker.place(owner.file, owner.line) }, asker.where(owner.file, owner.line)) : "",
  ]))));
}

async function numbers(stop, asker, body) {
  const data = await asker.ask("node", { node: stop.node });
  const known = statistics(data);
  if (!known) return;
  body.append(h("div", { class: "facts-table" }, table(["", shapeText(data.shape)], [
    [sized(data.dtype, "min, max"), `${three(known.minimum ?? known.min)}, ${three(known.maximum ?? known.max)}`],
    [sized(data.dtype, "mean, std"), `${three(known.mean)}, ${three(known.std)}`], ["zeros", count(known.zeros ?? 0)], ["NaN, Inf", `${count(known.nans || 0)}, ${count(known.infs || 0)}`],
  ])));
}
