// What is chosen in the graph, and what follows from that: paths, the chain of an answer, what is hidden or shown alone.
import { $, count, say } from "./dom.mjs";
import { describe } from "./describe.mjs";
import { nameOf } from "./hiding.mjs";
import { chainOf, pathOf } from "./paths.mjs";
import { Selection } from "./selection.mjs";

/** The part of the graph's pane that a person chooses with; the pane gives it `scene`, `painter`, `camera`, `bars` and `request`. */
export class Chosen {
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.selection = new Selection();
    this.unplaced = null; // the slot of a stop that has no place yet
    this.way = null; // of the path that is shown: "both", "up", "down", or the nodes of a chain
  }

  get selected() {
    return this.selection.first;
  }

  // ---- selection --------------------------------------------------------------------------------

  /** Choose one item or box, or none. `quiet`: because of a stop, not by hand; `add`: together with what is chosen. */
  select(key, options = {}) {
    if (options.quiet && key && this.selection.many) return; // what a person gathered outlives a step
    if (options.add && key) this.selection.toggle(key);
    else this.selection.set(key);
    this.chosen(options);
  }

  selectMany(keys) {
    this.selection.add(keys);
    this.chosen();
    say(`${count(this.selection.keys.size)} selected`);
  }

  /** The rubber band between two points of the graph, or none. */
  band(from, to) {
    this.painter.look.band = from && { x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), w: Math.abs(to.x - from.x), h: Math.abs(to.y - from.y) };
    this.request();
  }

  /** Choose what the rubber band touches, together with what is chosen. */
  chooseBand(from, to) {
    this.band(from, to);
    const { x, y, w, h: high } = this.painter.look.band;
    this.band(null);
    const { hiding, itemBands } = this.scene;
    const touched = [...itemBands.between(y, y + high)].filter((item) => item.x < x + w && item.x + item.w > x && item.y < y + high && item.y + item.h > y && hiding.shows(item));
    this.selectMany(touched.map((item) => item.key));
  }

  selectAll() {
    const { layout, hiding } = this.scene;
    this.selectMany([...layout.items.values()].filter((item) => hiding.shows(item)).map((item) => item.key));
  }

  chosen({ quiet = false } = {}) {
    const { look } = this.painter;
    look.chosen = this.selection.keys;
    look.byHand = !quiet;
    if (this.way && !Array.isArray(this.way)) this.showPath(this.way);
    const item = this.scene.layout.items.get(this.selected);
    if (!quiet) {
      if (item && !this.selection.many) {
        const [name, more] = describe(this.state, this.scene, item);
        say(`${name}, ${more}`);
      }
      this.on.select(item || null);
    }
    this.bars.update();
    this.request();
  }

  /** Select the place of a stop, now or when it is drawn. */
  selectWhenPlaced(slot) {
    const item = this.scene.layout.itemOf(this.state, slot);
    this.unplaced = item ? null : slot;
    this.select(item ? item.key : null, { quiet: true });
  }

  selectSlot(slot, options) {
    const item = this.scene.layout.itemOf(this.state, slot);
    if (!item) return;
    this.select(item.key, options);
    this.camera.show(item);
  }

  /** The groups and places that are chosen, as hiding names them. */
  get names() {
    const { layout } = this.scene;
    return [...this.selection.keys].map((key) => layout.items.get(key) || layout.boxes.get(Number(key.slice(1)))).filter(Boolean).map(nameOf);
  }

  /** The slots that stand behind what is chosen. */
  slots() {
    const { layout } = this.scene;
    const found = new Map();
    for (const key of this.selection.keys) {
      const item = layout.items.get(key);
      const inside = item ? this.scene.slotsOf(item) : this.scene.slotsIn(Number(key.slice(1)));
      for (const slot of inside) found.set(slot.id, slot);
    }
    return [...found.values()];
  }

  // ---- paths ------------------------------------------------------------------------------------

  /** Show the path of what is chosen: "up" what leads to it, "down" what it leads to, "both"; the same again takes it away. */
  togglePath(way = "both") {
    this.showPath(this.way === way ? null : way);
  }

  showPath(way) {
    this.way = way;
    const slots = way ? this.slots() : [];
    this.painter.look.path = slots.length ? pathOf(this.state, this.scene, slots, way) : null;
    this.pathShown();
  }

  /** Show the nodes of an answer's chain. */
  showChain(nodes) {
    const path = chainOf(this.state, this.scene.layout, nodes);
    if (!path.size) return false;
    this.way = nodes;
    this.painter.look.path = path;
    this.pathShown();
    return true;
  }

  pathShown() {
    const { path } = this.painter.look;
    $("btn-path").setAttribute("aria-pressed", String(Boolean(this.way)));
    if (path) say(`${count(path.size)} nodes on the path`);
    this.bars.update();
    this.request();
  }

  /** Ask why a node is as it is, and show the chain of the answer. */
  async why(question, node) {
    let answer;
    try {
      answer = await this.on.why(question, node);
    } catch (error) {
      this.on.tell(error.message, "bad");
      return;
    }
    this.showChain([node, ...answer.chain.map((step) => step.node)]);
    this.on.tell(answer.sentence, "info");
  }

  // ---- hiding -----------------------------------------------------------------------------------

  hide(names = this.names) {
    if (!names.length) return;
    this.scene.hiding.hide(names);
    this.hid();
  }

  isolate(names = this.names) {
    if (!names.length) return;
    this.scene.hiding.isolate(names);
    this.hid();
    this.following = false;
    const b = this.scene.shownBounds();
    if (b) this.camera.fitTo({ x: b.x - 40, y: b.y - 40, w: b.w + 80, h: b.h + 80 });
  }

  hid() {
    const { layout, hiding } = this.scene;
    this.selection.keep((key) => {
      const thing = layout.items.get(key) || layout.boxes.get(Number(key.slice(1)));
      return thing && hiding.shows(thing);
    });
    this.chosen({ quiet: true });
    say(`${count(hiding.count)} hidden. Shift and H shows all again`);
  }

  showAll() {
    this.scene.hiding.clear();
    this.bars.update();
    say("Everything is shown");
    this.request();
  }
}
