// The part of a canvas context that the painter uses, writing SVG instead of pixels.

const clean = (text) => String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd").replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
  .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
const n = (x) => String(Math.round(x * 100) / 100);

export class SvgContext {
  /** `ruler`: a real context, for the width of texts. */
  constructor(ruler) {
    this.ruler = ruler;
    this.out = [];
    this.path = [];
    this.states = [];
    this.move = "";
    this.dash = [];
    Object.assign(this, { fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, globalAlpha: 1, font: "10px sans-serif", textAlign: "left", lineCap: "butt", lineJoin: "miter" });
  }

  setTransform() { this.move = ""; }

  clearRect() {}

  save() {
    this.states.push([this.move, this.fillStyle, this.strokeStyle, this.lineWidth, this.globalAlpha]);
  }

  restore() {
    [this.move, this.fillStyle, this.strokeStyle, this.lineWidth, this.globalAlpha] = this.states.pop();
  }

  translate(x, y) { this.move += `translate(${n(x)} ${n(y)})`; }

  scale(x, y) { this.move += `scale(${n(x)} ${n(y)})`; }

  setLineDash(dash) { this.dash = dash; }

  measureText(text) {
    this.ruler.font = this.font;
    return this.ruler.measureText(text);
  }

  beginPath() { this.path = []; }

  closePath() { this.path.push("Z"); }

  moveTo(x, y) { this.path.push(`M${n(x)} ${n(y)}`); }

  lineTo(x, y) { this.path.push(`L${n(x)} ${n(y)}`); }

  bezierCurveTo(...q) { this.path.push(`C${q.map(n).join(" ")}`); }

  rect(x, y, w, h) { this.path.push(`M${n(x)} ${n(y)}h${n(w)}v${n(h)}h${n(-w)}Z`); }

  roundRect(x, y, w, h, r) {
    this.path.push(`M${n(x + r)} ${n(y)}h${n(w - 2 * r)}a${r} ${r} 0 0 1 ${r} ${r}v${n(h - 2 * r)}a${r} ${r} 0 0 1 ${-r} ${r}h${n(2 * r - w)}a${r} ${r} 0 0 1 ${-r} ${-r}v${n(2 * r - h)}a${r} ${r} 0 0 1 ${r} ${-r}Z`);
  }

  fillRect(x, y, w, h) {
    this.out.push(`<rect x="${n(x)}" y="${n(y)}" width="${n(w)}" height="${n(h)}" fill="${clean(this.fillStyle)}"${this.rest()}/>`);
  }

  rest() {
    return (this.globalAlpha < 1 ? ` opacity="${n(this.globalAlpha)}"` : "") + (this.move ? ` transform="${this.move}"` : "");
  }

  fill(path) {
    const d = path ? path.d : this.path.join("");
    if (d) this.out.push(`<path d="${d}" fill="${clean(this.fillStyle)}"${this.rest()}/>`);
  }

  stroke(path) {
    const d = path ? path.d : this.path.join("");
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    if (d) this.out.push(`<path d="${d}" fill="none" stroke="${clean(this.strokeStyle)}" stroke-width="${n(this.lineWidth)}" stroke-linecap="${this.lineCap}" stroke-linejoin="${this.lineJoin}"${dash}${this.rest()}/>`);
  }

  text(text, x, y, paint) {
    const anchor = this.textAlign === "right" ? ` text-anchor="end"` : this.textAlign === "center" ? ` text-anchor="middle"` : "";
    this.out.push(`<text x="${n(x)}" y="${n(y)}" style="font:${clean(this.font)}"${anchor} ${paint}${this.rest()} xml:space="preserve">${clean(text)}</text>`);
  }

  fillText(text, x, y) { this.text(text, x, y, `fill="${clean(this.fillStyle)}"`); }

  strokeText(text, x, y) {
    this.text(text, x, y, `fill="none" stroke="${clean(this.strokeStyle)}" stroke-width="${n(this.lineWidth)}" stroke-linejoin="round"`);
  }

  /** The document, for the rectangle {x, y, w, h} on `ground`. */
  document({ x, y, w, h }, ground) {
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${n(x)} ${n(y)} ${n(w)} ${n(h)}" width="${n(w)}" height="${n(h)}">\n<rect x="${n(x)}" y="${n(y)}" width="${n(w)}" height="${n(h)}" fill="${ground}"/>\n${this.out.join("\n")}\n</svg>\n`;
  }
}
