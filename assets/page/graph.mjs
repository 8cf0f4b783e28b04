// The graph's pane: what arrives gets its place, what is chosen is told, and when to draw.
import { $, count, h, icon, openMenu, say } from "./dom.mjs";
import { Bars } from "./bars.mjs";
import { Camera } from "./camera.mjs";
import { Colours } from "./colours.mjs";
import { describe } from "./describe.mjs";
import { Find } from "./find.mjs";
import { FOLDS, Folding } from "./folding.mjs";
import { nameOf } from "./hiding.mjs";
import { interact } from "./interact.mjs";
import { Minimap } from "./minimap.mjs";
import { Painter } from "./paint.mjs";
import { chainOf, pathOf } from "./paths.mjs";
import { saveMenu } from "./picture.mjs";
import { Scene } from "./scene.mjs";
import { Selection } from "./selection.mjs";
import { Tip } from "./tip.mjs";
import { Turns } from "./turns.mjs";

const BUDGET = 12; // milliseconds of a frame that may go into placing what arrived
const PORTION = 50; // slots between two looks at the clock

export class GraphPane {
  /** `on.select(item)`, `on.dot()`, `on.marks()`, `on.parts()`, `on.turn(group, index)`, `on.why(question, node)`, `on.verb(name, more)`, `on.place(file, line)` and `on.tell(text)` ask or tell the rest of the page */
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.box = $("canvas");
    const canvas = h("canvas", { "aria-hidden": "true" });
    this.box.append(canvas);
    this.mini = h("div", { id: "mini", class: "over", title: "Overview: drag to move", "aria-hidden": "true", hidden: true });
    this.box.append(this.mini);
    this.tip = new Tip(this);
    this.scene = new Scene(state);
    this.painter = new Painter(canvas, this.scene);
    this.scene.layout.measure = this.painter.measurer();
    this.camera = new Camera(this);
    this.minimap = new Minimap(this.mini, this);
    this.folding = new Folding(state);
    this.scene.layout.foldRule = (group) => this.folding.folds(group);
    this.colours = new Colours(this);
    this.selection = new Selection();
    this.painter.look.chosen = this.selection.keys;
    this.queue = { groups: [], slots: [] };
    this.unplaced = null; // the slot of a stop that has no place yet
    this.following = true;
    this.way = null; // of the path that is shown: "both", "up", "down", or the nodes of a chain
    this.placed = false;
    this.empty = null;
    this.bars = new Bars(this);
    this.find = new Find(this);
    this.turns = new Turns(this);
    interact(this);
    this.controls();
    // Sizes are kept: to ask for one in the middle of a step would lay the whole page out.
    this.size = { w: this.box.clientWidth, h: this.box.clientHeight };
    this.painter.size = this.size;
    new ResizeObserver(() => {
      this.size.w = this.box.clientWidth;
      this.size.h = this.box.clientHeight;
      if (this.following && this.placed) this.camera.fit();
      else this.request();
    }).observe(this.box);
  }

  get selected() {
    return this.selection.first;
  }

  // ---- what arrives -----------------------------------------------------------------------------

  clear() {
    this.scene.clear();
    this.queue = { groups: [], slots: [] };
    this.unplaced = null;
    this.way = this.painter.look.path = null;
    this.select(null, { quiet: true });
    this.placed = false;
    this.following = true;
    this.painter.look.current = this.painter.look.failed = this.painter.look.twin = null;
    this.find.close();
    this.turns.close();
    this.bars.update();
    this.request();
  }

  take(message) {
    if (message.t === "groups") for (const group of message.items) this.queue.groups.push(this.state.groups.get(group.id));
    else if (message.t === "slots") for (const row of message.items) this.queue.slots.push(this.state.slots.get(row[0]));
    this.request();
  }

  /** Give everything that has arrived its place, or as much as fits into `budget` milliseconds. */
  flush(budget = Infinity) {
    const { queue } = this;
    if (!queue.groups.length && !queue.slots.length) return;
    const end = performance.now() + budget;
    let groups = queue.groups;
    queue.groups = [];
    let at = 0;
    let grew = false;
    do {
      grew = this.scene.take(groups, queue.slots.slice(at, at + PORTION)) || grew;
      groups = [];
      at += PORTION;
    } while (at < queue.slots.length && performance.now() < end);
    queue.slots = queue.slots.slice(at);
    if (grew) this.afterGrowth();
    if (queue.slots.length) this.request();
  }

  afterGrowth() {
    if (this.unplaced) this.selectWhenPlaced(this.unplaced);
    if (!this.placed && this.scene.layout.items.size) {
      this.placed = true;
      this.camera.fit();
    }
    this.stopped();
  }

  /** Mark where execution is. */
  stopped() {
    const { look } = this.painter;
    const stop = this.state.run?.stop;
    const here = this.state.run && this.state.run.state !== "running" && stop?.node ? this.scene.itemOfNode(stop.node) : null;
    look.current = here && this.state.paused ? here.key : null;
    look.failed = here && stop.error ? here.key : null;
    const slot = here && !here.folded ? this.state.slots.get(here.slot) : null;
    const twin = slot?.phase === 1 && slot.twin ? this.scene.layout.itemOf(this.state, this.state.slots.get(slot.twin) || {}) : null;
    look.twin = twin ? twin.key : null;
    if (here && this.following) this.camera.show(here);
    if (this.state.run && this.state.run.state !== "running") this.colours.ask();
    this.request();
  }

  // ---- drawing ----------------------------------------------------------------------------------

  request() {
    if (this.frame) return;
    this.frame = requestAnimationFrame((now) => {
      this.frame = 0;
      this.draw(now);
    });
  }

  draw(now) {
    this.flush(BUDGET);
    if (this.state.run?.state === "running" && this.following) this.followTail();
    this.colours.refresh(now);
    this.painter.paint();
    this.minimap.paint(now);
    this.facts(now);
  }

  facts(now) {
    const shown = this.scene.layout.items.size - this.scene.hiding.count, { nodes } = this.state.counts;
    // Inputs are drawn too and are no nodes: where all of it is shown, more is.
    const text = !this.scene.visible || !nodes ? "" : shown < nodes ? `${count(shown)} shown of ${count(nodes)}` : `${count(nodes)} node${nodes === 1 ? "" : "s"}`;
    if (text !== this.factsText && (now - (this.factsAt || 0) > 60 || this.state.run?.state !== "running")) {
      this.factsText = text;
      this.factsAt = now;
      $("shown").textContent = text;
      if (this.scene.hiding.on) this.bars.update();
    } else if (text !== this.factsText) this.request();
    const zoom = `${Math.round(this.painter.view.k * 100)} %`;
    if (zoom !== this.zoomText) $("zoom").textContent = this.zoomText = zoom;
  }

  followTail() {
    const item = this.scene.itemOfNode(this.state.lastNode);
    if (item) this.camera.show(item);
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

  // ---- folding ----------------------------------------------------------------------------------

  toggleFold(group) {
    this.flush();
    const folded = this.scene.layout.isFolded(this.state.groups.get(group));
    this.scene.fold(group, !folded);
    this.following = false;
    this.refold();
    this.select(`g${group}`, { quiet: true });
    say(`${this.state.groups.get(group).label} ${folded ? "unfolded" : "folded"}`);
  }

  setFolds(value) {
    this.flush();
    this.folding.rule = value;
    this.scene.layout.folded.clear();
    this.scene.layout.opened.clear();
    this.scene.again();
    this.labels();
    this.refold();
    this.camera.fit();
  }

  /** After a new layout: keys of items are others now. */
  refold() {
    const { layout } = this.scene;
    this.selection.keep((key) => layout.items.has(key) || layout.boxes.has(Number(key.slice(1))));
    if (Array.isArray(this.way)) this.showChain(this.way);
    else if (this.way) this.showPath(this.way);
    this.find.again();
    this.colours.again();
    this.stopped();
  }

  // ---- controls ---------------------------------------------------------------------------------

  controls() {
    $("btn-zoom-in").onclick = () => this.camera.zoom(1.2);
    $("btn-zoom-out").onclick = () => this.camera.zoom(1 / 1.2);
    $("btn-fit").onclick = () => this.fit();
    $("btn-here").onclick = () => this.goToCurrent();
    $("btn-find").onclick = () => this.find.open();
    $("btn-path").onclick = () => (this.way ? this.showPath(null) : this.togglePath());
    $("btn-hide").onclick = () => this.hide();
    $("btn-isolate").onclick = () => this.isolate();
    $("btn-show-all").onclick = () => this.showAll();
    $("btn-save-picture").onclick = () => saveMenu(this);
    $("fold-to").onclick = () => openMenu($("fold-to"), FOLDS.map(([value, text]) => [text, "", value === this.folding.rule, () => this.setFolds(value)]));
    this.labels();
    this.bars.update();
  }

  fit() {
    this.following = true;
    this.camera.fit();
  }

  goToCurrent() {
    this.following = true;
    const item = this.scene.layout.items.get(this.painter.look.current || this.painter.look.failed);
    if (item) this.camera.centre(item.x + item.w / 2, item.y + item.h / 2);
  }

  labels() {
    const folds = FOLDS.find(([value]) => value === this.folding.rule)[1];
    $("fold-to").replaceChildren(h("span", { class: "dim wide" }, "Fold"), folds, icon("chev"));
    $("fold-to").setAttribute("aria-label", `Fold: ${folds}`);
    this.colours.labels();
  }

  themeChanged() {
    this.painter.theme();
    this.labels();
    this.request();
  }
}
