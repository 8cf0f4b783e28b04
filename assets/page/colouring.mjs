// What a node's ground can show: its kind (then only the chip is coloured), time, bytes or dtype.
import { bytes, duration, h, kindChip } from "./dom.mjs";
import { KINDS } from "./glyphs.mjs";

export const COLOURINGS = [["kind", "Kind"], ["time", "Time"], ["bytes", "Bytes"], ["dtype", "Dtype"]];

const DTYPES = { float64: "blue", float32: "grey", float16: "orange", bfloat16: "purple", int64: "green", int32: "green", bool: "plum" };
const HUES = { blue: "60,113,171", grey: "120,128,140", orange: "200,110,30", purple: "133,57,154", green: "10,110,76", plum: "101,11,94" };

const tops = { time: 1, bytes: 1, at: 0 };

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
export function heatOf(slot, colour, painter) {
  if (colour === "dtype") {
    const hue = HUES[DTYPES[slot.dtype] || "grey"];
    return `rgba(${hue},0.2)`;
  }
  const value = valueOf(slot, colour);
  if (!value) return null;
  const share = Math.log(1 + value) / Math.log(1 + tops[colour]);
  return `rgba(${painter.c.heat},${(0.06 + 0.7 * share ** 3).toFixed(3)})`;
}

/** What the colours mean, for the strip under the graph. */
export function legend(colour) {
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
  const ramp = h("span", { class: "ramp" });
  ramp.style.background = "linear-gradient(90deg, rgba(var(--heat), .06), rgba(var(--heat), .76))";
  const top = colour === "time" ? duration(tops.time) : bytes(tops.bytes);
  return [h("span", { class: "lg" }, colour === "time" ? "faster" : "smaller", ramp, `${top} (logarithmic)`)];
}
