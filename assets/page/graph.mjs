// The graph's pane: what arrives gets its place, what is chosen is told, and when to draw.
import { $, count, h, icon, openMenu, say } from "./dom.mjs";
import { Bars } from "./bars.mjs";
import { Camera } from "./camera.mjs";
import { Chosen } from "./chosen.mjs";
import { Colours } from "./colours.mjs";
import { Find } from "./find.mjs";
import { FOLDS, Folding } from "./folding.mjs";
import { interact } from "./interact.mjs";
import { Minimap } from "./minimap.mjs";
import { Painter } from "./paint.mjs";
import { saveMenu } from "./picture.mjs";
import { Scene } from "./scene.mjs";
import { Tip } from "./tip.mjs";
import { Turns } from "./turns.mjs";

const BUDGET = 12; // milliseconds of a frame that may go into placing what arrived
const PORTION = 50; // slots between two looks at the clock

export class GraphPane extends Chosen {
  /** `on.select(item)`, `on.dot()`, `on.marks()`, `on.parts()`, `on.turn(group, index)`, `on.why(question, node)`, `on.verb(name, more)`, `on.place(file, line)` and `on.tell(text)` ask or tell the rest of the page */
  constructor(state, on) {
    super(state, on);
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
    this.painter.look.chosen = this.selection.keys;
    this.queue = { groups: [], slots: [] };
    this.following = true;
    this.placed = false;
    this.empty = null;
    this.stopCard = null;
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
      this.camera.seat();
      if (this.following && this.placed) this.camera.fit();
      else this.request();
    }).observe(this.box);
  }

  /** The card of the stop, which takes room from the graph. */
  get card() {
    return this.stopCard;
  }

  set card(card) {
    if (card === this.stopCard) return;
    this.stopCard = card;
    this.camera.seat();
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
