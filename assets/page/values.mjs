// The numbers of a node at a stop: sliced over any dimension, as heatmap, maps, image, attention, histogram, or written out.
import { h, prime, s, shapeText, sized, three } from "./dom.mjs";
import { heatmap, picture } from "./heat.mjs";

const PATIENCE = 400; // milliseconds for which the value of the node before may stay
const TITLES = { heat: "Heatmap", maps: "Maps", image: "Image", attention: "Attention", histogram: "Histogram", numbers: "Numbers" };

/** The entries of an index as one writes it, one for each dimension: "0, 2:8" of three dimensions is 0, 2:8 and ":". */
export function entries(text, dims) {
  const parts = text.trim() ? text.split(",").map((part) => part.trim()) : [];
  return Array.from({ length: dims }, (_, i) => parts[i] || ":");
}

/** Entries as text again, without those at the end that take all. */
export function written(parts) {
  let last = parts.length;
  while (last && parts[last - 1] === ":") last--;
  return parts.slice(0, last).join(", ");
}

export class Values {
  /** `targets`: [{name, node, shape}], at most two are shown side by side; `ask(node, index, kind)`, `set(node, index, value)` where `may()`. */
  constructor(ask, set, may) {
    this.may = may;
    this.ask = ask;
    this.write = set;
    this.writing = false;
    this.index = new Map(); // shape -> what the person wrote between the brackets, kept from stop to stop
    this.kind = new Map(); // shape -> how it is shown
    this.box = h("div", { class: "values" });
  }

  async show(targets) {
    const mine = (this.asked = (this.asked || 0) + 1);
    this.targets = targets;
    const key = String(targets[0].shape);
    const index = this.index.get(key) || "";
    const kind = this.kind.get(key) || "";
    // What is drawn may be of another node, and an answer can take long: it does not stay meanwhile.
    const nodes = targets.map((target) => target.node).join();
    clearTimeout(this.waits);
    if (nodes !== this.nodes) this.waits = setTimeout(() => this.box.replaceChildren(h("div", { class: "dim" }, "Being looked up\u2026")), PATIENCE);
    this.nodes = nodes;
    const looks = await Promise.all(targets.map((target) =>
      this.ask(target.node, String(target.shape) === key ? index : "", kind).catch((error) => ({ problem: error.message }))));
    if (mine !== this.asked) return;
    clearTimeout(this.waits);
    this.draw(looks, key);
  }

  /** How a part can be shown, the usual way first. */
  kinds(look) {
    if (!look.part?.length) return ["numbers"];
    const found = look.kinds?.includes("attention") ? ["attention"] : [];
    if (look.maps?.length > 1) found.push("maps");
    found.push("heat");
    if (look.kinds?.includes("image")) found.push("image");
    return [...found, "histogram", "numbers"];
  }

  set(key, index) {
    this.index.set(key, index);
    this.show(this.targets);
  }

  draw(looks, key) {
    const { targets } = this;
    const shown = looks.map((look, i) => [targets[i], look]).filter(([, look]) => !look.problem || looks.length === 1 || looks.every((other) => other.problem));
    if (!shown.length) return;
    const { shape, name } = targets[0];
    const text = this.index.get(key) || "";
    // An answer may come while a person writes another slice: what is written stays, and so does the cursor.
    const before = this.box.querySelector("input.slice");
    const writes = before && before === document.activeElement && before.dataset.key === key;
    const input = h("input", { class: "slice mono", value: writes ? before.value : text, "data-key": key, placeholder: shape.map(() => ":").join(", "), spellcheck: "false",
      "aria-label": `Slice of ${name}, such as 0, 2:8`, title: "A number or first:last for each dimension, such as 0, 2:8; Enter applies it" });
    input.onkeydown = (event) => { if (event.key === "Enter") this.set(key, input.value.trim()); };
    const [, look] = shown[0];
    const { problem } = look;
    const kinds = problem ? [] : this.kinds(look);
    const kind = kinds.includes(this.kind.get(key)) ? this.kind.get(key) : kinds[0];
    this.box.replaceChildren(
      shape.length && !(problem && !text) ? h("div", { class: "row slicing" }, h("span", { class: "mono ell" }, `${prime(name)}[`), input, h("span", { class: "mono" }, "]"),
        problem || !this.may() ? "" : h("button", { class: "btn small plain", type: "button", "aria-expanded": String(this.writing), title: "Write another value to this part, before the program goes on", onclick: () => { this.writing = !this.writing; this.draw(looks, key); this.box.querySelector(".writing input")?.focus(); } }, "Set")) : "",
      this.writing && !problem && this.may() ? this.setting(targets[0], text) : "",
      shape.length > 1 && !(problem && !text) ? this.dims(shape, text, key) : "",
      kinds.length > 1 ? h("div", { class: "seg low kinds", role: "radiogroup", "aria-label": "How the value is shown" }, kinds.map((one) => h("button", { type: "button", role: "radio", "aria-checked": String(one === kind), onclick: () => {
        this.kind.set(key, one);
        this.show(targets);
      } }, TITLES[one]))) : "",
      problem ? h("div", { class: "dim" }, problem) : h("div", { class: "tiles", "data-n": shown.length, "data-kind": kind }, shown.map(([target, one]) => this.tile(target, one, this.kinds(one).includes(kind) ? kind : this.kinds(one)[0]))));
    if (writes) input.focus();
  }

  /** A line that writes an expression's value to the part shown. */
  setting(target, text) {
    const told = h("div", { class: "brk-problem", role: "alert" });
    const input = h("input", { class: "mono", "aria-label": `New value of ${target.name}`, placeholder: "0, or an expression of the paused frame", spellcheck: "false" });
    const apply = async () => {
      try {
        await this.write(target.node, text, input.value.trim());
        this.writing = false;
        this.show(this.targets);
      } catch (error) {
        told.textContent = error.message;
      }
    };
    input.onkeydown = (event) => {
      if (event.key === "Enter" && input.value.trim()) apply();
      else if (event.key === "Escape") { this.writing = false; this.show(this.targets); } else return;
      event.preventDefault();
      event.stopPropagation();
    };
    return h("div", { class: "writing" }, h("div", { class: "row slicing" }, h("span", { class: "mono" }, "="), input, h("button", { class: "btn small", type: "button", onclick: apply }, "Write")), told);
  }

  /** For each dimension a step back and on; the middle switches between all of it and one entry. */
  dims(shape, text, key) {
    const parts = entries(text, shape.length);
    const go = (dim, entry) => this.set(key, written(parts.map((part, i) => (i === dim ? String(entry) : part))));
    return h("div", { class: "dims" }, shape.map((size, dim) => {
      const at = /^-?\d+$/.test(parts[dim]) ? Number(parts[dim]) : null;
      const label = at !== null ? `${at} of ${size}` : parts[dim] === ":" ? `all ${size}` : parts[dim];
      const step = (by, sign) => h("button", { type: "button", "aria-label": `Dimension ${dim}: ${by > 0 ? "next" : "previous"} entry`, disabled: at !== null && (at + by < 0 || at + by >= size), onclick: () => go(dim, at === null ? (by > 0 ? 0 : size - 1) : at + by) }, sign);
      return h("span", { class: `dimstep${at === null ? "" : " on"}` }, step(-1, "\u2039"),
        h("button", { type: "button", class: "num", title: `Dimension ${dim}: ${at === null ? "show one entry" : "show all"}`, "aria-label": `Dimension ${dim}, ${label}`, onclick: () => go(dim, at === null ? 0 : ":") }, label), step(1, "\u203a"));
    }));
  }

  tile(target, look, kind) {
    const [low, high] = look.range;
    const told = low === null ? "" : `${sized(look.dtype, "")} ${low === high ? three(low) : `${three(low)} to ${three(high)}`}`.trim();
    const under = h("span", { class: "dim mono ell", title: told }, told);
    const caption = h("div", { class: "cap" }, h("b", { class: "ell" }, prime(target.name)), under);
    const label = `${target.name}, ${shapeText(look.part)}, ${sized(look.dtype, "from")} ${three(low)} to ${three(high)}`;
    const point = (text) => { under.textContent = text || told; };
    const skipped = kind === "heat" && look.every?.some((n) => n > 1) ? `every ${look.every.join(" by ")}`
      : (kind === "maps" || kind === "attention") && look.count > look.maps.length ? `${look.maps.length} of ${look.count} maps; step through a dimension for others` : "";
    return h("div", { class: "tile" }, caption, this.body(look, kind, label, point), look.how === "recomputed" ? h("div", { class: "dim note2" }, "recomputed") : "", skipped ? h("div", { class: "dim note2" }, skipped) : "");
  }

  body(look, kind, label, point) {
    if (kind === "numbers") return this.written(look);
    if (kind === "histogram") return this.histogram(look);
    if (kind === "image" && look.image) return picture(look.image, label);
    if (kind === "maps") return h("div", { class: "maps" }, look.maps.map((map, i) => heatmap(map, look.range, `${label}, map ${i}`, point)));
    if (kind === "attention") return this.attention(look, label, point);
    return heatmap(look.rows, look.range, label, point, look.every, look.texts);
  }

  /** Rows are the asking positions, columns those they look at; each row adds up to 1. */
  attention(look, label, point) {
    const maps = look.maps || [look.rows];
    return h("div", { class: "heads", "data-n": maps.length }, maps.map((map, i) => h("figure", {}, h("figcaption", { class: "dim" }, maps.length > 1 ? `head ${i}` : "", h("span", { class: "grow" }), "key \u2192"),
      heatmap(map, [0, look.range[1] || 1], `${label}, attention ${i}: rows ask, columns answer`, point))), h("div", { class: "dim note2" }, "query \u2193, rows add up to 1"));
  }

  histogram(look) {
    const bars = look.histogram || [];
    const top = Math.max(...bars, 1), w = 136 / (bars.length || 1), [low, high] = look.range;
    return h("div", {}, s("svg", { class: "hist", viewBox: "0 0 136 66", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram from ${three(low)} to ${three(high)}` },
      bars.map((n, i) => s("rect", { x: i * w + 0.3, y: 66 - (n ? Math.max(1, 64 * Math.sqrt(n / top)) : 0), width: Math.max(0.4, w - 0.6), height: n ? Math.max(1, 64 * Math.sqrt(n / top)) : 0, fill: "var(--k-activation)", opacity: 0.8 }, s("title", {}, String(n)))),
      s("path", { d: "M0 65.5h136", stroke: "var(--line2)" })), h("div", { class: "row num dim" }, three(low), h("span", { class: "grow" }), three(high)));
  }

  written(look) {
    const rows = (look.texts || look.rows).slice(0, 16).map((row) => row.slice(0, 8));
    const cut = look.rows.length > 16 || (look.rows[0]?.length || 0) > 8;
    return h("div", { class: "written" }, h("table", {}, h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value) => h("td", { class: "num" }, typeof value === "number" ? three(value) : String(value))))))),
      cut ? h("div", { class: "dim" }, "The first 16 rows and 8 columns; slice to see others.") : "");
  }
}
