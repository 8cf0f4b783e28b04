// By what the nodes are coloured now, and what that has to ask the server.
import { COLOURINGS, MARKED, legend, refreshTops } from "./colouring.mjs";
import { $, h, icon } from "./dom.mjs";

export class Colours {
  constructor(pane) {
    this.pane = pane;
  }

  get look() {
    return this.pane.painter.look;
  }

  by(value) {
    this.look.colour = value;
    if (MARKED.has(value)) this.lookAtValues();
    refreshTops(this.pane.state.slots, Infinity);
    this.labels();
    this.pane.request();
  }

  /** Ask which values are finite and how large the gradients are; at stops only. */
  async lookAtValues() {
    const { look } = this;
    const { slots } = await this.pane.on.marks();
    look.marks = new Map(slots.map(([slot, bad, made, norm]) => [slot, { bad, made, norm }]));
    let low = Infinity, high = -Infinity;
    for (const [slot, , , norm] of slots) {
      if (typeof norm !== "number" || norm <= 0 || this.pane.state.slots.get(slot)?.phase !== 1) continue;
      low = Math.min(low, norm);
      high = Math.max(high, norm);
    }
    look.norms = [low, high];
    this.labels();
    this.pane.request();
  }

  labels() {
    const name = COLOURINGS.find(([value]) => value === this.look.colour)[1];
    $("colour-by").replaceChildren(h("span", { class: "dim wide" }, "Colour by"), name, icon("chev"));
    $("legend").replaceChildren(...legend(this.look.colour, this.look));
  }
}
