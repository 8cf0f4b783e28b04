// An item of the graph in words.
import { bytes, duration, prime, shapeText } from "./dom.mjs";

/** One line about an item, for the tip and for screen readers. */
export function describe(state, scene, item) {
  if (item.folded) {
    const group = state.groups.get(item.group);
    return [`${prime(group.label)}${item.lane === 1 ? "\u2032" : ""}`, [group.note, state.place(group.file, group.line), "folded; double click opens it"].filter(Boolean).join(", ")];
  }
  const slot = state.slots.get(item.slot);
  const ran = slot.status === "done" ? [duration(slot.ns), bytes(slot.nbytes)] : [{ pending: state.paused ? "about to run" : state.run?.state === "running" ? "running" : "not run", unreached: "not run yet", nottaken: "not taken", skipped: "tracing is off" }[slot.status] || slot.status];
  return [prime(slot.label), [shapeText(slot.shape), slot.dtype, ...ran, slot.module, state.place(slot.file, slot.line)].filter(Boolean).join(", ")];
}
