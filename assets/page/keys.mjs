// The keys of the page: a list of them on "?", and arrows that move inside bars and groups of choices.
import { h } from "./dom.mjs";

const KEYS = [
  ["Running", [["F8", "Continue, or pause"], ["F10", "Next node"], ["F11", "Step into module"], ["Shift+F10", "Step over module"], ["Shift+F11", "Step out"], ["F7", "Step back"], ["Shift+F7", "Back to the stop before"], ["Ctrl+Shift+F5", "Restart"], ["Shift+F5", "Stop"]]],
  ["Finding", [["Ctrl+K", "Search nodes, files and commands"], ["/", "Find a node"], [".", "Go to where execution is"], ["Esc", "Close the card, menu or list"], ["?", "This list"]]],
  ["Graph", [["Arrows", "Walk along edges"], ["Enter", "Fold or unfold"], ["0  9", "Fit; show all"], ["+  \u2212", "Zoom"], ["P", "Path of the selection"], ["1 to 8", "Colour by"]]],
  ["Source", [["\u2191 \u2193", "Choose a line"], ["Enter", "Its nodes"], ["B", "Breakpoint"], ["Shift+B", "Breakpoint with a condition"], ["I", "What the line's variable is and was"], ["Ctrl+S", "Save, while editing"], ["Ctrl+Enter", "Save and rerun, while editing"]]],
  ["Console", [["Tab", "Complete"], ["\u2191 \u2193", "Earlier expressions"]]],
];

export function showKeys() {
  const back = document.activeElement;
  const close = () => { veil.remove(); back?.focus?.(); };
  const veil = h("div", { class: "veil", onpointerdown: (event) => { if (event.target === veil) close(); } },
    h("div", { class: "pal keys", role: "dialog", "aria-modal": "true", "aria-label": "Keys", tabindex: -1, onkeydown: (event) => {
      if (event.key !== "Escape" && event.key !== "?") return;
      event.preventDefault();
      event.stopPropagation();
      close();
    } }, KEYS.map(([title, list]) => h("section", {}, h("h3", {}, title), h("dl", {}, list.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]))))));
  document.body.append(veil);
  veil.firstChild.focus();
}

/** Arrow keys move the focus inside a bar; in a group of choices they choose. */
export function arrows() {
  addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const group = by && event.target.closest?.('[role="radiogroup"], #toolbar, #source-tabs, #graph > .bar, #graph > .strip');
    if (!group || event.target.tagName === "INPUT") return;
    const buttons = [...group.querySelectorAll("button")].filter((button) => !button.disabled && button.offsetParent);
    const next = buttons[(buttons.indexOf(event.target) + by + buttons.length) % buttons.length];
    if (!next) return;
    event.preventDefault();
    next.focus();
    if (group.getAttribute("role") === "radiogroup") next.click();
  });
}

const BARS = "#toolbar, #source-tabs, #bottom-tabs, #graph > .bar, #graph > .strip, [role=\"radiogroup\"]";

/** A bar is one stop of Tab: where the focus was last, else what is chosen, else its first button. Looked up when Tab is pressed. */
export function stops() {
  const last = new Map(); // bar -> the button that had the focus
  addEventListener("focusin", (event) => {
    const bar = event.target.closest?.(BARS);
    if (bar) last.set(bar.id || bar, event.target);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    for (const bar of document.querySelectorAll(BARS)) {
      if (bar.parentElement.closest(BARS)) continue; // part of a bar
      const buttons = [...bar.querySelectorAll("button")].filter((button) => !button.disabled && button.offsetParent);
      const kept = [document.activeElement, last.get(bar.id || bar)].find((one) => buttons.includes(one))
        || buttons.find((button) => ["aria-checked", "aria-selected"].some((name) => button.getAttribute(name) === "true") && bar.id !== "toolbar") || buttons[0];
      for (const button of buttons) button.tabIndex = button === kept ? 0 : -1;
    }
  }, true);
}
