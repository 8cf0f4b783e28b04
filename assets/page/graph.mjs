// The graph's pane: what is selected, where the view is, and when to draw.
import { $, count, h, icon, openMenu, prime, say } from "./dom.mjs";
import { COLOURINGS, MARKED, legend, refreshTops } from "./colouring.mjs";
import { download, png, svg } from "./picture.mjs";
import { Painter, describe } from "./paint.mjs";
import { Minimap } from "./minimap.mjs";
import { Scene } from "./scene.mjs";
import { interact } from "./interact.mjs";
import { LANE, TWIN } from "./layout.mjs";

const BUDGET = 14; // milliseconds of a frame that may go into placing what arrived
const FOLDS = [
  ["layers", "Layers"], ["none", "Nothing"], ["inner", "Innermost modules"], ["loops", "Loops"], ["1", "To depth 1"], ["2", "To depth 2"], ["3", "To depth 3"],
];
const MANY = 600; // from so many slots on, new modules deeper than this arrive folded
const DEEP = 3;

export class GraphPane {
  /** `on.select(item)`, `on.dot()` and `on.marks()` ask the server */
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.box = $("canvas");
    const canvas = h("canvas", { "aria-hidden": "true" });
    this.box.append(canvas);
    this.tip = h("div", { id: "tip", hidden: true });
    this.mini = h("div", { id: "mini", title: "Overview: drag to move", "aria-hidden": "true", hidden: true });
    this.box.append(this.mini, this.tip);
    this.scene = new Scene(state);
    this.painter = new Painter(canvas, this.scene);
    this.scene.layout.measure = this.painter.measurer();
    this.minimap = new Minimap(this.mini, this);
    this.queue = { groups: [], slots: [] };
    this.selected = null; // item key
    this.following = true;
    this.pathOn = false;
    this.foldTo = "layers";
    this.placed = false;
    this.scene.layout.foldRule = (group) => this.foldsAway(group);
    this.empty = null;
    interact(this);
    this.controls();
    // Sizes are kept: to ask for one in the middle of a step would lay the whole page out.
    this.size = { w: this.box.clientWidth, h: this.box.clientHeight };
    this.painter.size = this.size;
    new ResizeObserver(() => {
      this.size.w = this.box.clientWidth;
      this.size.h = this.box.clientHeight;
      if (this.following && this.placed) this.fit();
      else this.request();
    }).observe(this.box);
  }

  // ---- what arrives -----------------------------------------------------------------------------

  clear() {
    this.scene.clear();
    this.queue = { groups: [], slots: [] };
    this.select(null, { quiet: true });
    this.placed = false;
    this.following = true;
    this.painter.look.current = this.painter.look.failed = this.painter.look.twin = null;
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
    const groups = queue.groups.splice(0);
    let first = true;
    let grew = false;
    while (first || queue.slots.length) {
      grew = this.scene.take(first ? groups : [], queue.slots.splice(0, 100)) || grew;
      first = false;
      if (performance.now() > end) break;
    }
    if (grew) this.afterGrowth();
    if (queue.slots.length) this.request();
  }

  afterGrowth() {
    if (!this.placed && this.scene.layout.items.size) {
      this.placed = true;
      this.fit();
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
    if (here && this.following) this.show(here);
    if (MARKED.has(look.colour) && this.state.run && this.state.run.state !== "running") this.lookAtValues();
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
    if (this.painter.look.colour !== "kind") refreshTops(this.state.slots, now);
    this.painter.paint();
    this.minimap.paint(now);
    this.facts(now);
  }

  facts(now) {
    const text = this.scene.visible && this.state.counts.nodes ? `${count(this.scene.layout.items.size)} shown of ${count(this.state.counts.nodes)}` : "";
    if (text !== this.factsText && (now - (this.factsAt || 0) > 60 || this.state.run?.state !== "running")) {
      this.factsText = text;
      this.factsAt = now;
      $("shown").textContent = text;
    } else if (text !== this.factsText) this.request();
    const zoom = `${Math.round(this.painter.view.k * 100)} %`;
    if (zoom !== this.zoomText) $("zoom").textContent = this.zoomText = zoom;
  }

  // ---- the view ---------------------------------------------------------------------------------

  get free() {
    const card = this.card;
    return { w: this.size.w - (card ? card.offsetWidth + 16 : 0), h: this.size.h };
  }

  /** The width of the lanes in view; beside a card only the forward lane, or the one execution is in. */
  fit() {
    const { view } = this.painter;
    const b = this.scene.layout.bounds();
    const { w, h: height } = this.free;
    const wide = this.card ? 2 * LANE + 70 : Math.min(b.w, 2 * 422);
    const byWidth = (w - 8) / wide;
    const k = Math.min(Math.max(0.86, Math.min(1.15, height / b.h)), Math.max(0.7, byWidth));
    view.k = k;
    const here = this.scene.layout.items.get(this.painter.look.current || this.painter.look.failed);
    const x0 = this.card ? (here?.lane === 1 ? 400 : 0) - LANE - 35 + (here ? this.scene.layout.columns[here.frame.index].x : 0) : b.x;
    view.x = (w - wide * k) / 2 - x0 * k;
    view.y = b.h * k < height ? Math.min((height - b.h * k) / 2, 40) - b.y * k : 8 - b.y * k;
    if (here) this.show(here);
    this.request();
  }

  /** Zoom out until all of it is in view. */
  fitAll() {
    const { view } = this.painter;
    const b = this.scene.layout.bounds();
    const { w, h: height } = this.free;
    view.k = Math.max(0.02, Math.min(1.15, w / b.w, height / b.h));
    view.x = (w - b.w * view.k) / 2 - b.x * view.k;
    view.y = (height - b.h * view.k) / 2 - b.y * view.k;
    this.request();
  }

  inView() {
    const { view, width, height } = this.painter;
    const b = this.scene.layout.bounds();
    return view.x + b.x * view.k >= -30 && view.y + b.y * view.k >= -30 && view.x + (b.x + b.w) * view.k <= width + 30 && view.y + (b.y + b.h) * view.k <= height + 60;
  }

  centre(x, y) {
    const { view } = this.painter;
    const { w, h: height } = this.free;
    view.x = w / 2 - x * view.k;
    view.y = height / 2 - y * view.k;
    this.request();
  }

  /** Move as little as is needed to have an item well inside the view. */
  show(item) {
    const { view } = this.painter;
    const { w, h: height } = this.free;
    const x = view.x + item.x * view.k, y = view.y + item.y * view.k;
    const right = x + item.w * view.k, bottom = y + item.h * view.k;
    if (y < 50) view.y += height * 0.35 - y;
    else if (bottom > height - 70) view.y += height * 0.6 - bottom;
    if (x < 20 || right > w - 10) {
      // Both lanes of its column if they have room, else as little as is needed.
      const wide = 2 * (LANE + 30) + TWIN;
      const left = (this.scene.layout.columns[item.frame.index].x - LANE - 30) * view.k;
      if (wide * view.k <= w + 30) view.x = (w - wide * view.k) / 2 - left;
      else view.x += x < 20 ? 40 - x : w - 30 - right;
    }
    this.request();
  }

  followTail() {
    const item = this.scene.itemOfNode(this.state.lastNode);
    if (item) this.show(item);
  }

  zoom(factor, x = this.free.w / 2, y = this.free.h / 2) {
    const { view } = this.painter;
    const k = Math.max(0.02, Math.min(4, view.k * factor));
    view.x = x - ((x - view.x) * k) / view.k;
    view.y = y - ((y - view.y) * k) / view.k;
    view.k = k;
    this.request();
  }

  pan(dx, dy) {
    this.following = false;
    this.painter.view.x += dx;
    this.painter.view.y += dy;
    this.request();
  }

  // ---- selection --------------------------------------------------------------------------------

  select(key, options = {}) {
    this.selected = key;
    this.painter.look.selected = key;
    this.painter.look.byHand = !options.quiet;
    this.painter.look.path = this.pathOn && key ? this.pathOf(key) : null;
    const item = this.scene.layout.items.get(key);
    if (item && !options.quiet) {
      const [name, more] = describe(this.state, this.scene, item);
      say(`${name}, ${more}`);
    }
    if (!options.quiet) this.on.select(item || null);
    this.request();
  }

  selectSlot(slot, options) {
    const item = this.scene.layout.itemOf(this.state, slot);
    if (!item) return;
    this.select(item.key, options);
    this.show(item);
  }

  /** Everything that leads to an item and that it leads to, along drawn edges. */
  pathOf(key) {
    const found = new Set([key]);
    for (const forwards of [true, false]) {
      const todo = [key];
      const seen = new Set(todo);
      while (todo.length) {
        for (const edge of this.scene.edges.ofItem.get(todo.pop()) || []) {
          if (edge.kind !== "flow" || !edge.live) continue;
          const [here, there] = forwards ? [edge.a.key, edge.b.key] : [edge.b.key, edge.a.key];
          if (!seen.has(here) || seen.has(there)) continue;
          seen.add(there);
          found.add(there);
          todo.push(there);
        }
      }
    }
    return found;
  }

  togglePath() {
    this.pathOn = !this.pathOn;
    $("btn-path").setAttribute("aria-pressed", String(this.pathOn));
    this.select(this.selected, { quiet: true });
  }

  // ---- folding ----------------------------------------------------------------------------------

  foldsAway(group) {
    if (group.kind !== "module" && group.kind !== "loop") return false;
    const around = [...this.state.around(group.id)];
    const depth = around.filter((g) => g.kind === "module").length;
    if (this.foldTo === "none") return group.kind === "module" && depth > DEEP && this.arrivedFolded(group);
    if (this.foldTo === "layers" && (group.kind !== "module" || group.layer)) return Boolean(group.layer);
    if (this.foldTo === "layers") return depth > DEEP && this.arrivedFolded(group);
    if (this.foldTo === "inner") return group.kind === "module" && !this.hasInnerGroups(group);
    if (this.foldTo === "loops") return group.kind === "loop" && around.some((g) => g.kind === "module");
    return group.kind === "module" ? depth > Number(this.foldTo) : false;
  }

  /** Decided once, when a group first arrives, so that nothing folds under the person's eyes. */
  arrivedFolded(group) {
    if (group.arrivedFolded === undefined) group.arrivedFolded = this.state.slots.size > MANY;
    return group.arrivedFolded;
  }

  hasInnerGroups(group) {
    for (const other of this.state.groups.values()) if (other.parent === group.id) return true;
    return false;
  }

  toggleFold(group) {
    this.flush();
    this.scene.fold(group, !this.scene.layout.isFolded(this.state.groups.get(group)));
    this.following = false;
    this.stopped();
    this.select(null, { quiet: true });
  }

  setFolds(value) {
    this.flush();
    this.foldTo = value;
    this.scene.layout.folded.clear();
    this.scene.layout.opened.clear();
    this.scene.again();
    this.labels();
    this.stopped();
    this.fit();
  }

  // ---- controls ---------------------------------------------------------------------------------

  controls() {
    $("btn-zoom-in").onclick = () => this.zoom(1.2);
    $("btn-zoom-out").onclick = () => this.zoom(1 / 1.2);
    $("btn-fit").onclick = () => { this.following = true; this.fit(); };
    $("btn-here").onclick = () => this.goToCurrent();
    $("btn-path").onclick = () => this.togglePath();
    $("btn-save-picture").onclick = () => this.saveMenu();
    $("colour-by").onclick = () => openMenu($("colour-by"), COLOURINGS.map(([value, text], i) => [text, String(i + 1), value === this.painter.look.colour, () => this.colourBy(value)]));
    $("fold-to").onclick = () => openMenu($("fold-to"), FOLDS.map(([value, text]) => [text, "", value === this.foldTo, () => this.setFolds(value)]));
    this.labels();
  }

  goToCurrent() {
    this.following = true;
    const item = this.scene.layout.items.get(this.painter.look.current || this.painter.look.failed);
    if (item) this.centre(item.x + item.w / 2, item.y + item.h / 2);
  }

  colourBy(value) {
    this.painter.look.colour = value;
    if (MARKED.has(value)) this.lookAtValues();
    refreshTops(this.state.slots, Infinity);
    this.labels();
    this.request();
  }

  /** Ask which values are finite and how large the gradients are; at stops only. */
  async lookAtValues() {
    const { look } = this.painter;
    const { slots } = await this.on.marks();
    look.marks = new Map(slots.map(([slot, bad, made, norm]) => [slot, { bad, made, norm }]));
    const norms = slots.filter(([slot]) => this.state.slots.get(slot)?.phase === 1).map((row) => row[3]).filter((norm) => typeof norm === "number" && norm > 0);
    look.norms = [Math.min(...norms), Math.max(...norms)];
    this.labels();
    this.request();
  }

  /** Colour by what differs between two iterations; `differs`: slot -> "a" or "b". */
  difference(differs) {
    this.painter.look.differs = differs;
    this.colourBy("difference");
  }

  labels() {
    const colour = COLOURINGS.find(([value]) => value === this.painter.look.colour)[1];
    const folds = FOLDS.find(([value]) => value === this.foldTo)[1];
    $("colour-by").replaceChildren(h("span", { class: "dim wide" }, "Colour by"), colour, icon("chev"));
    $("fold-to").replaceChildren(h("span", { class: "dim wide" }, "Fold"), folds, icon("chev"));
    $("legend").replaceChildren(...legend(this.painter.look.colour, this.painter.look));
  }

  saveMenu() {
    const name = (this.state.hello?.script || "graph").replace(/\.py$/, "").replace(/[^\w.-]+/g, "_") || "graph";
    openMenu($("btn-save-picture"), [
      ["PNG of what is in view", "", false, async () => download(`${name}.png`, await png(this.painter))],
      ["SVG of the whole graph", "", false, () => download(`${name}.svg`, new Blob([svg(this.painter)], { type: "image/svg+xml" }))],
      ["DOT for graphviz", "", false, () => this.on.dot().then(({ text }) => download(`${name}.dot`, new Blob([text], { type: "text/vnd.graphviz" })))],
    ]);
  }

  /** The item under the pointer, or about the pointer, told in a tip. */
  tell(hit, x, y) {
    if (!hit) {
      this.tip.hidden = true;
      return;
    }
    let name, more;
    if (hit.item) [name, more] = describe(this.state, this.scene, hit.item);
    else {
      const group = this.state.groups.get(hit.box.id);
      [name, more] = [prime(group.label), [group.note, this.state.place(group.file, group.line), "double click folds it"].filter(Boolean).join(", ")];
    }
    this.tip.replaceChildren(h("div", { class: "b" }, name), h("div", { class: "dim" }, more));
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(x + 14, this.box.clientWidth - this.tip.offsetWidth - 8)}px`;
    this.tip.style.top = `${Math.min(y + 14, this.box.clientHeight - this.tip.offsetHeight - 8)}px`;
  }

  themeChanged() {
    this.painter.theme();
    this.labels();
    this.request();
  }
}
