// The whole graph in a corner; press or drag in it to go there.

const MOST = 3000; // items drawn

export class Minimap {
  constructor(box, pane) {
    this.box = box;
    this.pane = pane;
    this.canvas = document.createElement("canvas");
    this.still = document.createElement("canvas"); // nodes only; the frame of the view is drawn over it
    box.append(this.canvas);
    this.key = "";
    const go = (event) => {
      const r = box.getBoundingClientRect();
      const b = this.bounds;
      if (!b) return;
      pane.following = false;
      pane.camera.centre(b.x + (event.clientX - r.left - b.ox) / b.sx, b.y + (event.clientY - r.top - b.oy) / b.sy);
    };
    box.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      box.setPointerCapture(event.pointerId);
      go(event);
      box.onpointermove = go;
    });
    box.addEventListener("pointerup", () => { box.onpointermove = null; });
  }

  paint(now) {
    const { pane } = this;
    const { layout } = pane.scene;
    const items = layout.items.size;
    const hidden = items < 4 || Boolean(pane.card) || pane.camera.seesAll;
    if (this.box.hidden !== hidden) this.box.hidden = hidden;
    if (hidden) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const w = this.box.clientWidth, h = this.box.clientHeight;
    const b = layout.bounds();
    const s = Math.min(w / b.w, Math.max(h / b.h, 0.02));
    const sx = Math.min(w / b.w, s * 4), sy = Math.min(h / b.h, s);
    this.bounds = { x: b.x, y: b.y, sx, sy, ox: (w - b.w * sx) / 2, oy: (h - b.h * sy) / 2 };
    const key = `${pane.scene.hiding.count}|${layout.version}|${layout.grown}|${pane.painter.look.current}|${pane.painter.c.fwd}|${w}x${h}`;
    if (key !== this.key && (now - (this.at || 0) > 200 || items < 500)) {
      this.key = key;
      this.at = now;
      this.drawStill(w, h, ratio);
    } else if (key !== this.key) pane.request();
    const ctx = this.canvas.getContext("2d");
    this.canvas.width = w * ratio;
    this.canvas.height = h * ratio;
    ctx.drawImage(this.still, 0, 0);
    ctx.scale(ratio, ratio);
    const { k, x, y } = pane.painter.view;
    const m = this.bounds;
    ctx.strokeStyle = pane.painter.c.accent;
    ctx.lineWidth = 1;
    ctx.strokeRect(m.ox + (-x / k - m.x) * sx, m.oy + (-y / k - m.y) * sy, (pane.painter.width / k) * sx, Math.max(3, (pane.painter.height / k) * sy));
  }

  drawStill(w, h, ratio) {
    const { layout, hiding } = this.pane.scene;
    const { c, look } = this.pane.painter;
    const { x, y, sx, sy, ox, oy } = this.bounds;
    this.still.width = w * ratio;
    this.still.height = h * ratio;
    const ctx = this.still.getContext("2d");
    ctx.scale(ratio, ratio);
    ctx.strokeStyle = c.groupLine;
    ctx.fillStyle = c.group;
    for (const box of layout.boxes.values()) {
      if (box.h * sy < 2) continue;
      ctx.fillRect(ox + (box.x - x) * sx, oy + (box.y - y) * sy, box.w * sx, box.h * sy);
      ctx.strokeRect(ox + (box.x - x) * sx, oy + (box.y - y) * sy, box.w * sx, box.h * sy);
    }
    const colours = [c.fwd, c.bwd, c.green];
    // More items than there are pixels: every so manieth says as much.
    const every = Math.ceil(layout.items.size / MOST);
    for (const lane of [0, 1, 2]) {
      ctx.fillStyle = colours[lane];
      ctx.beginPath();
      let i = 0;
      for (const item of layout.items.values()) {
        if (i++ % every === 0 && item.lane === lane && hiding.shows(item)) ctx.rect(ox + (item.x - x) * sx, oy + (item.y - y) * sy, Math.max(1.5, item.w * sx), Math.max(0.7, item.h * sy));
      }
      ctx.globalAlpha = 0.7;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
    const now = layout.items.get(look.current);
    if (now) {
      ctx.fillStyle = c.now;
      ctx.fillRect(ox + (now.x - x) * sx - 1, oy + (now.y - y) * sy - 1, Math.max(4, now.w * sx + 2), Math.max(3, now.h * sy + 2));
    }
  }
}
