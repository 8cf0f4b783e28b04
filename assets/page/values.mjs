// The numbers of a node at a stop: sliced over any dimension, as a heatmap, as maps, or written out.
import { h, prime, shapeText, three, token } from "./dom.mjs";

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

/** A picture of rows of numbers, one pixel a number, scaled up without blurring. */
export function heatmap(rows, range, label) {
  const canvas = h("canvas", { class: "heat", role: "img", "aria-label": label });
  canvas.width = Math.max(1, rows[0]?.length || 0);
  canvas.height = Math.max(1, rows.length);
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(canvas.width, canvas.height);
  const colour = colours([range[0] ?? 0, range[1] ?? 0], rgb(token("--sunk")), rgb(token("--red")));
  rows.forEach((row, y) => row.forEach((value, x) => {
    const at = (y * canvas.width + x) * 4;
    const [r, g, b] = colour(value);
    image.data[at] = r;
    image.data[at + 1] = g;
    image.data[at + 2] = b;
    image.data[at + 3] = 255;
  }));
  ctx.putImageData(image, 0, 0);
  return canvas;
}

export class Values {
  /** `targets`: [{name, node, shape}], at most two are shown side by side; `ask(node, index)`. */
  constructor(ask) {
    this.ask = ask;
    this.index = new Map(); // shape -> what the person wrote between the brackets, kept from stop to stop
    this.numbers = false;
    this.box = h("div", { class: "values" });
  }

  async show(targets) {
    const mine = (this.asked = (this.asked || 0) + 1);
    this.targets = targets;
    const key = String(targets[0].shape);
    const index = this.index.get(key) || "";
    const looks = await Promise.all(targets.map((target) =>
      this.ask(target.node, String(target.shape) === key ? index : "").catch((error) => ({ problem: error.message }))));
    if (mine === this.asked) this.draw(looks, key);
  }

  draw(looks, key) {
    const { targets } = this;
    const shown = looks.map((look, i) => [targets[i], look]).filter(([, look]) => !look.problem || looks.length === 1 || looks.every((other) => other.problem));
    if (!shown.length) return;
    const input = h("input", { class: "slice mono", value: this.index.get(key) || "", placeholder: targets[0].shape.map(() => ":").join(", "), spellcheck: "false",
      "aria-label": `Slice of ${targets[0].name}, such as 0, 2:8`, title: "A number or first:last for each dimension, such as 0, 2:8; Enter applies it" });
    input.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      this.index.set(key, input.value.trim());
      this.show(this.targets);
    };
    const problem = shown.length && shown[0][1].problem;
    const toggle = h("button", { class: "btn small", type: "button", "aria-pressed": String(this.numbers), onclick: () => { this.numbers = !this.numbers; this.draw(looks, key); } }, this.numbers ? "Picture" : "Numbers");
    this.box.replaceChildren(
      targets[0].shape.length ? h("div", { class: "row slicing" }, h("span", { class: "mono ell" }, `${prime(targets[0].name)}[`), input, h("span", { class: "mono" }, "]"), h("span", { class: "grow" }), problem ? "" : toggle) : "",
      problem ? h("div", { class: "dim" }, problem) : h("div", { class: "tiles", "data-n": shown.length }, shown.map(([target, look]) => this.tile(target, look))));
  }

  tile(target, look) {
    const [low, high] = look.range;
    const caption = h("div", { class: "cap" }, h("b", { class: "ell" }, prime(target.name)), h("span", { class: "dim mono ell" }, low === null ? "" : low === high ? three(low) : `${three(low)} to ${three(high)}`));
    const label = `${target.name}, ${shapeText(look.part)}, from ${three(low)} to ${three(high)}`;
    const body = this.numbers || !look.part.length ? this.written(look) : look.maps?.length > 1
      ? h("div", { class: "maps" }, look.maps.map((map, i) => heatmap(map, look.range, `${label}, map ${i}`)))
      : heatmap(look.rows, look.range, label);
    const skipped = look.every?.some((n) => n > 1) ? `every ${look.every.join(" by ")}` : look.maps && look.count > look.maps.length ? `${look.maps.length} of ${look.count} maps` : "";
    const how = look.how === "recomputed" ? h("div", { class: "dim note2" }, "recomputed") : "";
    return h("div", { class: "tile" }, caption, body, how, skipped ? h("div", { class: "dim note2" }, skipped) : "");
  }

  written(look) {
    const rows = look.rows.slice(0, 16).map((row) => row.slice(0, 8));
    const cut = look.rows.length > 16 || (look.rows[0]?.length || 0) > 8;
    return h("div", { class: "written" }, h("table", {}, h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value) => h("td", { class: "num" }, typeof value === "number" ? three(value) : String(value))))))),
      cut ? h("div", { class: "dim" }, "The first 16 rows and 8 columns; slice to see others.") : "");
  }
}
