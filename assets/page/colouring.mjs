// What a node's ground can show: its kind (then only the chip is coloured), time, bytes or dtype.
import { bytes, duration, h, kindChip, three } from "./dom.mjs";
import { KINDS } from "./glyphs.mjs";

export const COLOURINGS = [["kind", "Kind"], ["time", "Time"], ["bytes", "Bytes"], ["dtype", "Dtype"],
  ["norm", "Gradient norm"], ["finite", "Not finite"], ["difference", "Iteration difference"]];

const DTYPES = { float64: "blue", float32: "grey", float16: "orange", bfloat16: "purple", int64: "green", int32: "green", bool: "plum" };
const HUES = { blue: "60,113,171", grey: "120,128,140", orange: "200,110,30", purple: "133,57,154", green: "10,110,76", plum: "101,11,94" };

const tops = { time: 1, bytes: 1, at: 0 };

/** Colourings that need what only level 2 knows of each value. */
export const MARKED = new Set(["norm", "finite"]);

const valueOf = (slot, colour) => (colour === "time" ? slot.ns : slot.nbytes) || 0;

/** The largest value of all slots, looked up at most four times a second. */
export function refreshTops(slots, now) {
  if (now - tops.at < 250) return;
  tops.at = now;
  tops.time = tops.bytes = 1;
  for (const slot of slots.values()) {
    tops.time = Math.max(tops.time, slot.ns || 0);
    tops.bytes = Math.max(tops.bytes, slot.nbytes || 0);
  }
}

/** The fill for a slot under a colouring, or null. */
export function heatOf(slot, look, painter) {
  const { colour } = look;
  if (colour === "finite" || colour === "difference") return null;
  if (colour === "norm") return slot.phase === 1 ? normHeat(look, slot, painter) : null;
  if (colour === "dtype") {
    const hue = HUES[DTYPES[slot.dtype] || "grey"];
    return `rgba(${hue},0.2)`;
  }
  const value = valueOf(slot, colour);
  if (!value) return null;
  const share = Math.log(1 + value) / Math.log(1 + tops[colour]);
  return `rgba(${painter.c.heat},${(0.06 + 0.7 * share ** 3).toFixed(3)})`;
}

/** Gradient norms run over many powers of ten: the ramp is logarithmic between the least and the largest. */
function normHeat(look, slot, painter) {
  const norm = look.marks?.get(slot.id)?.norm;
  if (typeof norm !== "number") return norm ? `rgba(200,40,30,0.5)` : null;
  const [low, high] = look.norms;
  const share = high > low ? Math.log(Math.max(norm, low) / low) / Math.log(high / low) : 0.5;
  return `rgba(${painter.c.heat},${(0.08 + 0.68 * share).toFixed(3)})`;
}

/** What the colours mean, for the strip under the graph. */
export function legend(colour, look = {}) {
  const hint = (text) => [h("span", { class: "dim ell" }, text)];
  if (MARKED.has(colour) && !look.marks?.size) return hint("Set Trace to 2 and run on: then every value is looked at.");
  if (colour === "finite") return [["made", "Made here"], ["carried", "Carried on"], ["", "Finite"]].map(([kind, name]) => h("span", { class: "lg" }, h("i", { class: `mk ${kind}` }), name));
  if (colour === "difference") {
    return look.differs ? [["onlyb", "+ Only in B"], ["onlya", "\u2212 Only in A"], ["", "Same"]].map(([kind, name]) => h("span", { class: "lg" }, h("i", { class: `mk ${kind}` }), name)) : hint("Press A and B on two rows of Iterations to compare them.");
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
    return Object.entries(DTYPES).map(([name, hue]) => {
      const patch = h("i");
      patch.style.background = `rgba(${HUES[hue]},0.3)`;
      return h("span", { class: "lg" }, patch, name);
    });
  }
  const top = colour === "time" ? duration(tops.time) : bytes(tops.bytes);
  return [h("span", { class: "lg" }, colour === "time" ? "faster" : "smaller", heatRamp(), `${top} (logarithmic)`)];
}

function heatRamp() {
  const ramp = h("span", { class: "ramp" });
  ramp.style.background = "linear-gradient(90deg, rgba(var(--heat), .06), rgba(var(--heat), .76))";
  return ramp;
}
