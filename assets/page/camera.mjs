// Where the view is on the graph: fitting, moving, zooming.
import { LANE, TWIN } from "./measures.mjs";

const LEAST = 0.02;
const MOST = 4;
const LEAST_FIT = 0.7; // no smaller to have both lanes in view
const BOTH = 2 * 422; // what they take
const BESIDE = 400; // what a card beside them takes
const SLIM = 246 + 280; // width of a pane beside whose lane a card has no room to be read
const LOW_FROM = 400; // height of a pane in which a card may lie below them

export class Camera {
  constructor(pane) {
    this.pane = pane;
    this.low = false; // whether the card lies below the graph rather than beside it
    this.grows = new ResizeObserver(() => this.makeRoom());
  }

  /** A stop card has come or gone. At a stop in the backward pass both lanes tell why: where they have no room beside it, it lies below them, as it does in a slim pane. */
  seat() {
    const { card, size, state, box } = this.pane;
    const stop = state.run?.stop;
    const crowded = stop?.phase === 1 && stop.position === "node" && size.w - BESIDE < BOTH * LEAST_FIT;
    this.low = Boolean(card) && (crowded || size.w < SLIM) && size.h > LOW_FROM && !box.hasAttribute("data-scrub");
    card?.classList.toggle("low", this.low);
    this.grows.disconnect();
    if (this.low) this.grows.observe(card);
    else box.style.removeProperty("--foot");
  }

  /** The card below the graph has its size: what stands at the foot of the graph moves up, and so does where execution is. */
  makeRoom() {
    const { pane } = this;
    if (!this.low || !pane.card) return;
    pane.box.style.setProperty("--foot", `${pane.card.offsetHeight + 8}px`);
    const here = pane.scene.layout.items.get(pane.painter.look.current || pane.painter.look.failed);
    if (here && pane.following) this.show(here);
  }

  get view() {
    return this.pane.painter.view;
  }

  /** The room beside a stop card, or above it. */
  get free() {
    const { card, size } = this.pane;
    if (this.low) return { w: size.w, h: size.h - card.offsetHeight - 16 };
    return { w: size.w - (card ? card.offsetWidth + 16 : 0), h: size.h };
  }

  /** The width of the lanes in view; beside a card only the forward lane, or the one execution is in. */
  fit() {
    const { view, pane } = this;
    const { layout } = pane.scene;
    const { look } = pane.painter;
    const b = layout.bounds();
    const { w, h } = this.free;
    const beside = pane.card && !this.low;
    const wide = beside ? 2 * LANE + 70 : Math.min(b.w, BOTH);
    const byWidth = (w - 8) / wide;
    const k = Math.min(Math.max(0.86, Math.min(1.15, h / b.h)), Math.max(LEAST_FIT, byWidth));
    view.k = k;
    const here = layout.items.get(look.current || look.failed);
    const x0 = beside ? (here?.lane === 1 ? 400 : 0) - LANE - 35 + (here ? layout.columns[here.frame.index].x : 0) : b.x;
    view.x = (w - wide * k) / 2 - x0 * k;
    view.y = b.h * k < h ? Math.min((h - b.h * k) / 2, 40) - b.y * k : 8 - b.y * k;
    if (here) this.show(here);
    pane.request();
  }

  /** Zoom out until all of it is in view. */
  fitAll() {
    this.fitTo(this.pane.scene.layout.bounds());
  }

  /** Have a rectangle {x, y, w, h} in view, as large as it goes. */
  fitTo(b) {
    const { view } = this;
    const { w, h } = this.free;
    view.k = Math.max(LEAST, Math.min(1.15, w / b.w, h / b.h));
    view.x = (w - b.w * view.k) / 2 - b.x * view.k;
    view.y = (h - b.h * view.k) / 2 - b.y * view.k;
    this.pane.request();
  }

  /** Whether all of the graph is in view. */
  get seesAll() {
    const { view } = this;
    const { w, h } = this.pane.size;
    const b = this.pane.scene.layout.bounds();
    return view.x + b.x * view.k >= -30 && view.y + b.y * view.k >= -30 && view.x + (b.x + b.w) * view.k <= w + 30 && view.y + (b.y + b.h) * view.k <= h + 60;
  }

  centre(x, y) {
    const { w, h } = this.free;
    this.view.x = w / 2 - x * this.view.k;
    this.view.y = h / 2 - y * this.view.k;
    this.pane.request();
  }

  /** Move as little as is needed to have an item well inside the view. */
  show(item) {
    const { view } = this;
    const { w, h } = this.free;
    const x = view.x + item.x * view.k, y = view.y + item.y * view.k;
    const right = x + item.w * view.k, bottom = y + item.h * view.k;
    if (y < 50) view.y += h * 0.35 - y;
    else if (bottom > h - 70) view.y += h * 0.6 - bottom;
    const aside = this.pane.card && !this.low && this.pane.painter.look.colour === "finite" ? 84 : 10; // room for "made here" beside a card
    if (x < 20 || right > w - aside) {
      // Both lanes of its column if they have room, else as little as is needed.
      const wide = 2 * (LANE + 30) + TWIN;
      const left = (this.pane.scene.layout.columns[item.frame.index].x - LANE - 30) * view.k;
      if (wide * view.k <= w + 30) view.x = (w - wide * view.k) / 2 - left;
      else view.x += x < 20 ? 40 - x : w - aside - 20 - right;
    }
    this.pane.request();
  }

  zoom(factor, x = this.free.w / 2, y = this.free.h / 2) {
    const { view } = this;
    const k = Math.max(LEAST, Math.min(MOST, view.k * factor));
    view.x = x - ((x - view.x) * k) / view.k;
    view.y = y - ((y - view.y) * k) / view.k;
    view.k = k;
    this.pane.request();
  }

  pan(dx, dy) {
    this.pane.following = false;
    this.view.x += dx;
    this.view.y += dy;
    this.pane.request();
  }

  /** A point of the pane in the graph. */
  toGraph(x, y) {
    const { view } = this;
    return { x: (x - view.x) / view.k, y: (y - view.y) / view.k };
  }
}
