// What a node's ground can show: its kind (then only the chip is coloured), time, bytes, dtype, a partition's part.
import { bytes, count, duration, h, kindChip, three } from "./dom.mjs";
import { KINDS } from "./glyphs.mjs";

export const COLOURINGS = [["kind", "Kind"], ["time", "Time"], ["bytes", "Bytes"], ["dtype", "Dtype"],
  ["norm", "Gradient norm"], ["finite", "Not finite"], ["difference", "Iteration difference"], ["part", "Partition"]];

const DTYPES = { float64: "blue", float32: "grey", float16: "orange", bfloat16: "purple", int64: "green", int32: "green", bool: "plum" };
const HUES = { blue: "60,113,171", grey: "120,128,140", orange: "200,110,30", purple: "133,57,154", green: "10,110,76", plum: "101,11,94" };

/** The colours of a partition's parts, in order: the op kinds' own, which are told apart in every kind of sight. */
const PARTS = ["linear", "random", "reduce", "activation", "elementwise", "shape"];

/** Colourings that need what only level 2 knows of each value. */
export const MARKED = new Set(["norm", "finite"]);

/** The kind whose colour a part has. */
export const partKind = (part) => PARTS[part % PARTS.length];

/** A dtype in few letters: f16, i64, bool. */
export const dtypeSign = (dtype) => dtype?.replace(/^float/, "f").replace(/^bfloat/, "bf").replace(/^uint/, "u").replace(/^int/, "i").replace(/^complex/, "c") || "";

/** The fill for what has these facts (`tally.mjs`) under a colouring, or null. */
export function heatOf(facts, look, painter) {
  const { colour } = look;
  if (!facts || colour === "finite" || colour === "difference") return null;
  if (colour === "norm") return normHeat(look, facts.norm, painter);
  if (colour === "dtype") return facts.dtype ? `rgba(${HUES[DTYPES[facts.dtype] || "grey"]},0.2)` : null;
  if (colour === "part") return facts.part === undefined ? null : `${painter.kinds[partKind(facts.part)]}38`;
  const value = colour === "time" ? facts.ns : facts.nbytes;
  if (!value) return null;
  const share = Math.log(1 + value) / Math.log(1 + look.tally.tops[colour]);
  return `rgba(${painter.c.heat},${(0.06 + 0.7 * share ** 3).toFixed(3)})`;
}

/** Gradient norms run over many powers of ten: the ramp is logarithmic between the least and the largest. */
function normHeat(look, norm, painter) {
  if (norm === undefined) return null;
  if (typeof norm !== "number") return norm ? `rgba(200,40,30,0.5)` : null;
  const [low, high] = look.norms;
  const share = high > low ? Math.log(Math.max(norm, low) / low) / Math.log(high / low) : 0.5;
  return `rgba(${painter.c.heat},${(0.08 + 0.68 * share).toFixed(3)})`;
}

const hint = (text) => [h("span", { class: "dim ell", title: text }, text)];

function patch(colour, ...text) {
  const square = h("i");
  square.style.background = colour;
  return h("span", { class: "lg" }, square, text);
}

/** What the colours mean, for the strip under the graph. */
export function legend(colour, look = {}) {
  if (MARKED.has(colour) && !look.marks?.size) return hint("Set Trace to 2 and run on: then every value is looked at.");
  if (colour === "finite") return [["made", "Made here"], ["carried", "Carried on"], ["", "Finite"]].map(([kind, name]) => h("span", { class: "lg" }, h("i", { class: `mk ${kind}` }), name));
  if (colour === "difference") {
    return look.differs ? [["onlyb", "+ Only in B"], ["onlya", "\u2212 Only in A"], ["changed", "\u2260 Changed"], ["", "Same"]].map(([kind, name]) => h("span", { class: "lg" }, h("i", { class: `mk ${kind}` }), name)) : hint("Press A and B on two rows of Iterations to compare them.");
  }
  if (colour === "norm") {
    const [low, high] = look.norms;
    return [h("span", { class: "lg" }, three(low), heatRamp(), `${three(high)}, norm of the gradient (logarithmic)`)];
  }
  if (colour === "kind") {
    return Object.entries(KINDS).filter(([kind]) => kind !== "other").map(([kind, [name]]) =>
      h("span", { class: "lg" }, kindChip(kind, true), name));
  }
  if (colour === "dtype") {
    const found = [...look.tally?.dtypes || []].sort((a, b) => b[1] - a[1]);
    return found.length ? found.map(([name, n]) => patch(`rgba(${HUES[DTYPES[name] || "grey"]},0.3)`, name, h("span", { class: "dim num" }, count(n)))) : hint("No node has run yet.");
  }
  if (colour === "part") {
    const { parts } = look;
    if (!parts) return hint("The program holds no partition: ds.partition(trace, 2) makes one.");
    return [...parts.parts.map(({ part, nodes, ns }) => patch(`color-mix(in srgb, var(--k-${partKind(part)}) 30%, transparent)`, `part ${part}`, h("span", { class: "dim num" }, `${count(nodes)}, ${duration(ns)}`))),
      h("span", { class: "lg" }, h("i", { class: "mk cutline" }), `cut ${count(parts.cut_edges)}, ${bytes(parts.cut_bytes)}`)];
  }
  const { tops } = look.tally;
  const top = colour === "time" ? duration(tops.time) : bytes(tops.bytes);
  return [h("span", { class: "lg" }, colour === "time" ? "faster" : "smaller", heatRamp(), `${top} (logarithmic)`)];
}

function heatRamp() {
  const ramp = h("span", { class: "ramp" });
  ramp.style.background = "linear-gradient(90deg, rgba(var(--heat), .06), rgba(var(--heat), .76))";
  return ramp;
}
