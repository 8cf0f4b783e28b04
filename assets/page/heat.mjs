// Pictures of numbers: heatmaps, one pixel a number, and images.
import { h, three, token } from "./dom.mjs";

// Dark to yellow with even steps of lightness, for data of one sign.
const RAMP = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const BLUE = [31, 104, 190], ORANGE = [200, 96, 20];

const mix = (a, b, t) => a.map((value, i) => Math.round(value + (b[i] - value) * t));
const rgb = (text) => {
  const hex = text.replace("#", "");
  return (hex.length === 3 ? [...hex].map((d) => d + d) : hex.match(/../g)).map((d) => parseInt(d, 16));
};

/** The colour of a number: a ramp for one sign, blue to orange around the ground for both, red where not finite. */
export function colours([low, high], ground, red) {
  const signed = low < 0 && high > 0;
  const most = Math.max(-low, high) || 1;
  return (value) => {
    if (typeof value !== "number") return typeof value === "boolean" ? (value ? RAMP[8] : RAMP[0]) : red;
    if (signed) return mix(ground, value < 0 ? BLUE : ORANGE, Math.min(1, Math.abs(value) / most) ** 0.7);
    const t = high > low ? ((value - low) / (high - low)) * (RAMP.length - 1) : 4;
    const i = Math.max(0, Math.min(RAMP.length - 2, Math.floor(t)));
    return mix(RAMP[i], RAMP[i + 1], Math.max(0, Math.min(1, t - i)));
  };
}

/** A picture of rows of numbers, scaled up without blurring; `point(text)` is told which number the pointer is on (in the words of
 * `texts`, where there are some), "" for none. */
export function heatmap(rows, range, label, point = null, every = [1, 1], texts = null) {
  const canvas = h("canvas", { class: "heat", role: "img", "aria-label": label });
  canvas.width = Math.max(1, rows[0]?.length || 0);
  canvas.height = Math.max(1, rows.length);
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(canvas.width, canvas.height);
  const colour = colours([range[0] ?? 0, range[1] ?? 0], rgb(token("--sunk")), rgb(token("--red")));
  rows.forEach((row, y) => row.forEach((value, x) => {
    const at = (y * canvas.width + x) * 4;
    [image.data[at], image.data[at + 1], image.data[at + 2]] = colour(value);
    image.data[at + 3] = 255;
  }));
  ctx.putImageData(image, 0, 0);
  if (point) {
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const y = Math.floor(((event.clientY - box.top) / box.height) * canvas.height), x = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
      const value = (texts || rows)[y]?.[x];
      point(value === undefined ? "" : `[${y * every[0]}, ${x * every[1]}] ${typeof value === "number" ? three(value) : value}`);
    });
    canvas.addEventListener("pointerleave", () => point(""));
  }
  return canvas;
}

/** An image of `width` by `height` with three bytes a pixel, in base64. */
export function picture({ width, height, data }, label) {
  const canvas = h("canvas", { class: "image", role: "img", "aria-label": `${label}, as an image` });
  canvas.width = width;
  canvas.height = height;
  const bytes = atob(data);
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(width, height);
  for (let i = 0, j = 0; i < width * height * 3; i += 3, j += 4) {
    for (let c = 0; c < 3; c++) image.data[j + c] = bytes.charCodeAt(i + c);
    image.data[j + 3] = 255;
  }
  ctx.putImageData(image, 0, 0);
  return canvas;
}
