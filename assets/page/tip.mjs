// What the pointer is on, told beside it.
import { describe } from "./describe.mjs";
import { h, prime } from "./dom.mjs";

export class Tip {
  constructor(pane) {
    this.pane = pane;
    this.box = h("div", { id: "tip", hidden: true });
    pane.box.append(this.box);
  }

  /** An item, or a box by its header; none takes the tip away. */
  tell(hit, x, y) {
    if (!hit) {
      this.box.hidden = true;
      return;
    }
    const { state, scene, size } = this.pane;
    let name, more;
    if (hit.item) [name, more] = describe(state, scene, hit.item);
    else {
      const group = state.groups.get(hit.box.id);
      [name, more] = [prime(group.label), [group.note, state.place(group.file, group.line), "double click folds it"].filter(Boolean).join(", ")];
    }
    this.box.replaceChildren(h("div", { class: "b" }, name), h("div", { class: "dim" }, more));
    this.box.hidden = false;
    this.box.style.left = `${Math.min(x + 14, size.w - this.box.offsetWidth - 8)}px`;
    this.box.style.top = `${Math.min(y + 14, size.h - this.box.offsetHeight - 8)}px`;
  }
}
