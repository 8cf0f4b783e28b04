// By what the nodes are coloured now, and what that has to ask the server.
import { COLOURINGS, MARKED, legend } from "./colouring.mjs";
import { $, h, icon, openMenu } from "./dom.mjs";
import { AGAIN, Tally } from "./tally.mjs";

export class Colours {
  constructor(pane) {
    this.pane = pane;
    this.look.tally = new Tally(pane.state, pane.scene);
    this.partition = null; // which partition is shown; null: the latest
    $("colour-by").onclick = () => this.menu();
  }

  get look() {
    return this.pane.painter.look;
  }

  menu() {
    openMenu($("colour-by"), COLOURINGS.map(([value, text], i) => [text, String(i + 1), value === this.look.colour, () => this.by(value)]));
  }

  by(value) {
    this.look.colour = value;
    if (value !== "kind") this.again();
    this.labels();
    this.pane.request();
    return this.ask();
  }

  /** What a colouring knows is made anew: the program stopped, or a fold or a difference changed. */
  again() {
    const { look } = this;
    if (look.colour === "kind") return;
    look.tally.forget();
    look.tally.refresh(look, performance.now());
  }

  /** Ask for what the nodes themselves do not say; at stops only. */
  ask() {
    if (MARKED.has(this.look.colour)) return this.lookAtValues();
    if (this.look.colour === "part") return this.lookAtParts();
    return undefined;
  }

  /** Before each drawing. */
  refresh(now) {
    const { look } = this;
    if (look.colour === "kind") return;
    if (look.tally.refresh(look, now)) this.labels();
    else this.soon ||= setTimeout(() => { this.soon = 0; this.pane.request(); }, AGAIN); // what changed meanwhile
  }

  /** Ask which values are finite and how large the gradients are. */
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
    this.drawn();
    const here = this.pane.scene.layout.items.get(look.current || look.failed);
    if (here && this.pane.following) this.pane.camera.show(here); // a badge may have come to it
  }

  /** Ask for the parts of a partition, and which edges they cut. */
  async lookAtParts() {
    const found = await this.pane.on.parts();
    if (!found) return; // the program runs: what was told stays
    const view = found[Math.min(this.partition ?? Infinity, found.length - 1)];
    this.look.parts = view ? { ...view, of: new Map(view.slots) } : null;
    this.drawn();
  }

  drawn() {
    this.again();
    this.labels();
    this.pane.request();
  }

  /** Colour by what differs between two iterations; `differs`: slot -> "a", "b" or "c" (in both, but otherwise). */
  difference(differs) {
    this.look.differs = differs;
    this.by("difference");
  }

  /** Colour by the parts of partition number `index`. */
  parts(index) {
    this.partition = index;
    return this.by("part");
  }

  labels() {
    const name = COLOURINGS.find(([value]) => value === this.look.colour)[1];
    $("colour-by").replaceChildren(h("span", { class: "dim wide" }, "Colour by"), name, icon("chev"));
    $("colour-by").setAttribute("aria-label", `Colour by ${name}`);
    $("legend").replaceChildren(...legend(this.look.colour, this.look));
  }
}
