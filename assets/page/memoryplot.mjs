// The memory timeline drawn by the page itself, where there is no server that could make a figure.
import { bytes, duration, s } from "./dom.mjs";

const ORDER = ["parameters", "optimizer", "gradients", "saved", "activations", "inputs", "workspace"];
const PHASES = { forward: "--fwd", backward: "--bwd", optimizer: "--green" };
const LEFT = 62, RIGHT = 10, TOP = 22, BOTTOM = 18;

/** The round number nearest to `x`: 1, 2 or 5 times a power of ten. */
function nice(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((n) => n * power).reduce((best, n) => (Math.abs(n - x) < Math.abs(best - x) ? n : best));
}

/** Draw `view`, as the server's `memory` answer has it, into `box`; `clicked(x, category)` on a click in it. */
export function plot(box, view, clicked) {
  box.classList.remove("waiting");
  const width = box.clientWidth || 600, height = box.clientHeight || 160;
  if (!view.x.length) {
    box.replaceChildren(s("svg", { class: "mplot", viewBox: `0 0 ${width} ${height}` }, s("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No memory was used, or nothing of it was traced.")));
    return;
  }
  const first = view.x[0], last = view.x[view.x.length - 1];
  const top = Math.max(...view.total, 1) * 1.16;
  const px = (x) => LEFT + ((x - first) / (last - first || 1)) * (width - LEFT - RIGHT);
  const py = (n) => height - BOTTOM - (n / top) * (height - TOP - BOTTOM);
  const shown = ORDER.filter((key) => view.series[key]?.some(Boolean));
  const below = new Array(view.x.length).fill(0);
  const bands = shown.map((key) => {
    const values = view.series[key];
    let over = "", under = "";
    for (let i = 0; i < view.x.length; i++) {
      const end = px(view.x[Math.min(i + 1, view.x.length - 1)]).toFixed(1), start = px(view.x[i]).toFixed(1);
      over += `L${start} ${py(below[i] + values[i]).toFixed(1)}L${end} ${py(below[i] + values[i]).toFixed(1)}`;
      under = `L${end} ${py(below[i]).toFixed(1)}L${start} ${py(below[i]).toFixed(1)}${under}`;
      below[i] += values[i];
    }
    return s("path", { d: `M${px(first)} ${py(0)}${over}${under}Z`, fill: `var(--m-${key})`, stroke: "var(--panel)", "stroke-width": 0.6 }, s("title", {}, key));
  });
  const unit = 1024 ** Math.floor(Math.log(top) / Math.log(1024));
  const step = nice(top / unit / 3) * unit;
  const steps = [0, 1, 2, 3, 4].map((i) => i * step).filter((n) => n < top).map((n) => s("g", {}, s("path", { d: `M${LEFT} ${py(n)}H${width - RIGHT}`, stroke: "var(--line)" }), s("text", { x: LEFT - 6, y: py(n) + 3, "text-anchor": "end" }, bytes(n))));
  const phases = view.bands.map((band) => {
    const from = px(Math.max(band.from, first)), wide = px(Math.min(band.to, last)) - from;
    if (!(wide > 2)) return null;
    return s("g", {}, s("rect", { x: from, y: 2, width: wide - 1, height: 13, rx: 2, fill: `var(${PHASES[band.phase]})`, opacity: 0.16 }),
      wide > 70 && s("text", { class: "phase", x: from + 4, y: 12 }, `${band.phase} ${band.iteration}`));
  });
  const ticks = (last > first ? [0, 0.25, 0.5, 0.75, 1] : [0]).map((share) => s("text", { x: px(first + (last - first) * share), y: height - 5, "text-anchor": share === 1 ? "end" : share ? "middle" : "start" },
    view.axis === "events" ? Math.round(first + (last - first) * share) : duration(Math.round((last - first) * share))));
  const { peak } = view;
  let mark = null;
  if (peak) {
    const x = px(peak.x), late = x > width * 0.6;
    const who = `${peak.op || peak.name || ""}${peak.module ? ` in ${peak.module}` : ""}${peak.line ? `, line ${peak.line}` : ""}`.slice(0, 60);
    mark = s("g", { class: "peak" }, s("path", { d: `M${x} ${TOP}V${height - BOTTOM}`, stroke: "var(--ink)", "stroke-dasharray": "2 2" }), s("circle", { cx: x, cy: py(peak.bytes), r: 3, fill: "var(--panel)", stroke: "var(--ink)", "stroke-width": 1.5 }),
      s("text", { x: late ? x - 8 : x + 8, y: TOP + 10, "text-anchor": late ? "end" : "start" }, `Peak ${bytes(peak.bytes)}${who ? `: ${who}` : ""}`));
  }
  const drawing = s("svg", { class: "mplot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Live bytes over the run, at most ${bytes(peak?.bytes || 0)}` }, steps, bands, phases, ticks, mark);
  drawing.addEventListener("click", (event) => {
    const at = drawing.getBoundingClientRect();
    const x = first + (((event.clientX - at.left) - LEFT) / (width - LEFT - RIGHT)) * (last - first);
    const level = ((height - BOTTOM - (event.clientY - at.top)) / (height - TOP - BOTTOM)) * top;
    let i = 0, sum = 0;
    while (i + 1 < view.x.length && view.x[i + 1] <= x) i++;
    clicked(Math.round(x), shown.find((key) => (sum += view.series[key][i]) >= level) || null);
  });
  box.replaceChildren(drawing);
}
