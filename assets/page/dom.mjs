// Building blocks of the page. Text is only ever set as text: names and messages come from the program.
import { ICONS, KINDS } from "./glyphs.mjs";

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

// Marks that turn the direction of what follows: shown as Python writes them, so that no name disguises another.
const TURNING = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const visible = (text) => text.replace(TURNING, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);

function put(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child.nodeType ? child : document.createTextNode(visible(String(child))));
  }
  return element;
}

/** An HTML element: tag, attributes (on... are listeners), children (nodes or text). */
export const h = (tag, properties, ...children) => put(document.createElement(tag), properties, children);

/** An SVG element. */
export const s = (tag, properties, ...children) => put(document.createElementNS(SVG, tag), properties, children);

export function icon(name, extra = "") {
  const paths = ICONS[name].map((d) => (Array.isArray(d) ? s("path", { class: "f", d: d[0] }) : s("path", { d })));
  return s("svg", { class: `i ${extra}`.trim(), viewBox: "0 0 16 16", "aria-hidden": "true" }, paths);
}

/** The small coloured square that says of which kind an op is. */
export function kindChip(kind, small = false) {
  const sign = KINDS[kind][1].map((d) =>
    Array.isArray(d)
      ? s("path", { d: d[0], fill: "currentColor" })
      : s("path", { d, fill: "none", stroke: "currentColor", "stroke-width": 1.7, "stroke-linecap": "round", "stroke-linejoin": "round" }),
  );
  const tag = small ? "i" : "span";
  const chip = h(tag, { class: small ? "" : "kchip", title: KINDS[kind][0] },
    s("svg", { viewBox: "0 0 12 12", "aria-hidden": "true", ...(small ? { width: 9, height: 9 } : {}) }, sign));
  chip.style.background = `color-mix(in srgb, var(--k-${kind}) 15%, transparent)`;
  chip.style.color = `var(--k-${kind})`;
  return chip;
}

export function brand() {
  return s("svg", { viewBox: "0 0 18 18", "aria-hidden": "true" },
    s("path", { d: "M5 4v4.5C5 11 13 9 13 13.5", fill: "none", stroke: "var(--accent)", "stroke-width": 2 }),
    s("circle", { cx: 5, cy: 3.5, r: 2.5, fill: "var(--accent)" }),
    s("circle", { cx: 13, cy: 14.5, r: 2.5, fill: "var(--now)" }),
    s("circle", { cx: 13, cy: 4.5, r: 2, fill: "none", stroke: "var(--bwd)", "stroke-width": 1.6 }));
}

/** Icons where the server's layout asks for one. */
export function drawIcons(root) {
  for (const place of root.querySelectorAll("[data-icon]")) {
    const name = place.dataset.icon;
    place.prepend(name === "brand" ? brand() : icon(name, name === "chev" ? "chev" : ""));
  }
}

export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

let sayTimer = 0;

/** Tell a screen reader, without moving the focus. */
export function say(text) {
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => { $("say").textContent = text; }, 30);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
  } catch {
    say("The browser did not let the page copy; select the text instead");
  }
}

/** A table: heads, then rows of cells (text or nodes); every column but the first is right-aligned. */
export function table(heads, rows, options = {}) {
  const number = (i) => (options.left?.includes(i) || i === 0 ? "" : "num");
  const cell = (tag) => (content, i) => h(tag, { class: number(i), ...(tag === "th" ? { scope: "col" } : {}) }, content);
  return h("table", {},
    heads && h("thead", {}, h("tr", {}, heads.map(cell("th")))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell("td"))))));
}

const POWERS = [[2 ** 40, "TB"], [2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "KB"]];

export function bytes(n) {
  if (n === null || n === undefined) return "-";
  for (const [size, unit] of POWERS) if (Math.abs(n) >= size) return `${three(n / size)} ${unit}`;
  return `${n} B`;
}

export function duration(ns) {
  if (ns === null || ns === undefined) return "-";
  if (ns >= 1e9) return `${three(ns / 1e9)} s`;
  if (ns >= 1e6) return `${three(ns / 1e6)} ms`;
  if (ns >= 1e3) return `${three(ns / 1e3)} \u00b5s`;
  return `${Math.round(ns)} ns`;
}

/** Three significant digits, no exponent for everyday sizes. */
export function three(x) {
  if (typeof x === "string") return { nan: "NaN", inf: "Inf", "-inf": "\u2212Inf" }[x] || x;
  if (x === null || x === undefined || Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "Inf" : "\u2212Inf";
  const size = Math.abs(x);
  if (size && (size < 1e-3 || size >= 1e6)) return x.toExponential(2).replace("e+", "e").replaceAll("-", "\u2212");
  return String(+x.toPrecision(size >= 1000 ? 4 : 3)).replace("-", "\u2212");
}

/** How the statistics of numbers of `dtype` are named: those of complex ones are their magnitudes'. */
export const sized = (dtype, name) => (/^complex/.test(dtype || "") ? `${name} |z|` : name);

export const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** (32, 128) as on an edge: 32×128. */
export const shapeText = (shape) => (!shape ? "" : shape.length ? shape.join("\u00d7") : "scalar");

/** (32, 128) as Python writes it. */
export const tupleText = (shape) => (!shape ? "?" : shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`);

/** How ops are shown: backward's apostrophe as a true prime. */
export const prime = (label) => String(label ?? "").replace(/'/g, "\u2032");

/** A menu under a button, or at a point {left, bottom}: items are [text, key, chosen, action]; `chosen` undefined where nothing is chosen by it. */
export function openMenu(button, items, point = null) {
  const old = document.querySelector(".menu");
  if (old) {
    old.remove();
    if (old.dataset.of === button.id && !point) return;
  }
  const at = point || button.getBoundingClientRect();
  const close = (event) => {
    if (event && menu.contains(event.target)) return;
    menu.remove();
    removeEventListener("pointerdown", close, true);
  };
  const menu = h("div", { class: "menu", role: "menu", "data-of": button.id, onkeydown: keys },
    items.map(([text, key, chosen, action]) =>
      h("button", { type: "button", ...(chosen === undefined ? { role: "menuitem" } : { role: "menuitemradio", "aria-checked": String(Boolean(chosen)) }), onclick: () => { close(); button.focus(); action(); } },
        h("span", { class: "cl" }, chosen ? icon("check") : ""), h("span", { class: "grow" }, text), key && h("kbd", {}, key))));
  function keys(event) {
    const buttons = [...menu.querySelectorAll("button")];
    const here = buttons.indexOf(document.activeElement);
    if (event.key === "ArrowDown") buttons[(here + 1) % buttons.length].focus();
    else if (event.key === "ArrowUp") buttons[(here - 1 + buttons.length) % buttons.length].focus();
    else if (event.key === "Escape") { close(); button.focus(); } else return;
    event.preventDefault();
    event.stopPropagation();
  }
  document.body.append(menu);
  menu.style.left = `${Math.max(4, Math.min(at.left, innerWidth - menu.offsetWidth - 4))}px`;
  menu.style.top = `${Math.max(4, Math.min(at.bottom + 2, innerHeight - menu.offsetHeight - 4))}px`;
  addEventListener("pointerdown", close, true);
  menu.querySelector("button").focus();
}
