// Which turn of a loop is shown: one back, one on, any by its number, or the one the program is in.
import { count, h } from "./dom.mjs";

export class Turns {
  constructor(pane) {
    this.pane = pane;
    this.box = null;
  }

  /** The loop that is chosen, or the innermost one around what is chosen or where execution is. */
  loop() {
    const { state, scene, painter, selected } = this.pane;
    const key = selected || painter.look.current || painter.look.failed;
    const item = scene.layout.items.get(key);
    const start = item ? item.group ?? state.slots.get(item.slot)?.group : key ? Number(key.slice(1)) : null;
    for (const group of state.around(start)) if (group.kind === "loop" && group.turns) return group;
    return null;
  }

  /** Show the turn `by` on from the one shown. */
  step(group, by) {
    const last = (group.turns || 1) - 1;
    this.go(group, Math.max(0, Math.min(last, (group.turn ?? last) + by)));
  }

  go(group, index) {
    this.pane.on.turn(group.id, index);
  }

  /** A small panel at a point of the pane, to pick any turn. */
  open(group, x, y) {
    this.close();
    const last = (group.turns || 1) - 1;
    const at = group.turn ?? last;
    const range = h("input", { type: "range", min: 0, max: last, value: at, "aria-label": "Turn" });
    const number = h("input", { type: "number", min: 0, max: last, value: at, "aria-label": "Number of the turn", id: "turn-number" });
    const go = (from, to) => {
      const index = Math.max(0, Math.min(last, Math.round(Number(from.value) || 0)));
      from.value = to.value = String(index);
      this.go(group, index);
    };
    range.oninput = () => go(range, number);
    number.onchange = () => go(number, range);
    this.box = h("div", { class: "turnpick over", id: "turn-picker", role: "dialog", "aria-label": `Turn of ${group.label}` },
      h("div", { class: "mono ell", title: group.label }, group.label),
      h("div", { class: "line" }, "Turn", number, h("span", { class: "dim" }, `of 0 to ${count(last)}`)), range,
      h("div", { class: "line" }, h("button", { class: "btn small", type: "button", onclick: () => { this.go(group, null); this.close(true); } }, "Follow the program"),
        h("span", { class: "grow" }), h("button", { class: "btn small", type: "button", onclick: () => this.close(true) }, "Close")));
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && event.target === number)) {
        if (event.key === "Enter") go(number, range);
        this.close(true);
        event.preventDefault();
      }
      event.stopPropagation();
    });
    this.pane.box.append(this.box);
    this.box.style.left = `${Math.max(8, Math.min(x, this.pane.size.w - this.box.offsetWidth - 8))}px`;
    this.box.style.top = `${Math.max(8, Math.min(y, this.pane.size.h - this.box.offsetHeight - 8))}px`;
    number.focus();
    number.select();
  }

  close(back = false) {
    this.box?.remove();
    this.box = null;
    if (back) this.pane.box.focus();
  }
}
