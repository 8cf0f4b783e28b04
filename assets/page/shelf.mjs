// Rectangles by height.
const BUCKET = 32;

/** Rectangles by height, to ask quickly what stands in the way. */
export class Shelf {
  constructor() {
    this.rows = new Map();
  }

  add(rect) {
    for (let b = Math.floor(rect.y / BUCKET); b <= Math.floor((rect.y + rect.h) / BUCKET); b++) {
      const row = this.rows.get(b);
      if (row) row.push(rect);
      else this.rows.set(b, [rect]);
    }
  }

  /** The first rectangle that touches the given one, apart from those kept for `owner`. */
  hit(x0, y0, x1, y1, owner = null) {
    for (let b = Math.floor(y0 / BUCKET); b <= Math.floor(y1 / BUCKET); b++) {
      for (const r of this.rows.get(b) || []) {
        if (r.x < x1 && r.x + r.w > x0 && r.y < y1 && r.y + r.h > y0 && r.owner !== owner) return r;
      }
    }
    return null;
  }
}
