// The frame around the panels: theme, resizing, folding sections, tabs, banner.
import { $, copy, h, icon } from "./dom.mjs";

const STEP = 16;
const LEAST = 120;

export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`dsviz.${name}`);
    else localStorage.setItem(`dsviz.${name}`, value);
  } catch {
    return; // a browser that keeps nothing still works
  }
}

export function remembered(name) {
  try {
    return localStorage.getItem(`dsviz.${name}`);
  } catch {
    return null;
  }
}

/** The system's theme until the person chooses one. */
export function theme(changed) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const name = remembered("theme") || (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = name;
    $("btn-theme").replaceChildren(icon(name === "dark" ? "sun" : "moon"));
    changed();
  };
  $("btn-theme").onclick = () => {
    remember("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  };
  dark.addEventListener("change", apply);
  apply();
}

/** Edges drag, arrow keys move them, double click resets; the sizes are kept. */
export function grips() {
  for (const grip of document.querySelectorAll(".grip")) {
    const { variable, grows } = grip.dataset;
    const upright = grip.classList.contains("v");
    const root = document.documentElement.style;
    const set = (size) => {
      const most = (upright ? innerWidth : innerHeight) * 0.6;
      const value = `${Math.round(Math.max(LEAST, Math.min(most, size)))}px`;
      root.setProperty(variable, value);
      grip.parentElement.dataset.sized = "";
      remember(`size${variable}`, value);
    };
    const kept = remembered(`size${variable}`);
    if (kept) {
      root.setProperty(variable, kept);
      grip.parentElement.dataset.sized = "";
    }
    const size = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue(variable)) || grip.parentElement.getBoundingClientRect()[upright ? "width" : "height"];
    grip.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      grip.classList.add("on");
      const from = upright ? event.clientX : event.clientY;
      const start = size();
      const move = (e) => set(start + ((upright ? e.clientX : e.clientY) - from) * Number(grows));
      grip.addEventListener("pointermove", move);
      grip.addEventListener("lostpointercapture", () => {
        grip.removeEventListener("pointermove", move);
        grip.classList.remove("on");
      }, { once: true });
    });
    grip.addEventListener("dblclick", () => {
      root.removeProperty(variable);
      delete grip.parentElement.dataset.sized;
      remember(`size${variable}`, null);
    });
    grip.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -STEP, ArrowRight: STEP, ArrowUp: -STEP, ArrowDown: STEP }[event.key];
      if (!by) return;
      event.preventDefault();
      set(size() + by * Number(grows));
    });
  }
}

/** Sections of the side panel fold. */
export function folds() {
  for (const head of document.querySelectorAll("#lower .fold")) {
    const body = $(head.getAttribute("aria-controls"));
    const fold = (hidden) => {
      body.hidden = hidden;
      head.setAttribute("aria-expanded", String(!hidden));
    };
    fold(remembered(`fold.${body.id}`) === "yes");
    head.onclick = () => {
      fold(!body.hidden);
      remember(`fold.${body.id}`, body.hidden ? "yes" : null);
    };
  }
}

/** The bottom tabs; `shown(name)` when one is chosen. Arrows move between them. */
export class Tabs {
  constructor(names, shown) {
    this.names = names;
    this.shown = shown;
    for (const name of names) {
      $(`tab-${name}`).onclick = () => this.open(name);
      $(`tab-${name}`).onkeydown = (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        const next = names[(names.indexOf(name) + by + names.length) % names.length];
        this.open(next);
        $(`tab-${next}`).focus();
      };
    }
    this.open(names[0]);
  }

  open(name) {
    this.current = name;
    for (const other of this.names) {
      $(`tab-${other}`).setAttribute("aria-selected", String(other === name));
      $(`tab-${other}`).tabIndex = other === name ? 0 : -1;
      $(`panel-${other}`).hidden = other !== name;
    }
    this.shown(name);
  }
}

/** One sentence across the page, with Copy and, where it makes sense, a button. */
export function banner(text, { tone = "bad", button = null, action = null, close = true } = {}) {
  const box = $("banner");
  if (!text) {
    box.hidden = true;
    box.replaceChildren();
    return;
  }
  box.dataset.tone = tone;
  box.replaceChildren(icon("info"), h("span", { class: "msg grow" }, text),
    ...(button ? [h("button", { class: "btn small", type: "button", onclick: action }, button)] : []),
    h("button", { class: "ib small", type: "button", "aria-label": "Copy this message", title: "Copy this message", onclick: () => copy(text) }, icon("copy")),
    ...(close ? [h("button", { class: "ib small", type: "button", "aria-label": "Close", title: "Close", onclick: () => banner("") }, icon("x"))] : []));
  box.hidden = false;
}
