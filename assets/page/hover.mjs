// What a variable of the source is now, and the shapes it had: a tip at the pointer, or at the chosen line by the I key.
import { count, h, shapeText, sized, table, three } from "./dom.mjs";

const WAIT = 220; // milliseconds the pointer rests before the tip
const WORDS = new Set("and as assert async await break class continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass raise return True try while with yield self".split(" "));

/** The dotted name around `column` of `text`, up to the part that is pointed at: `self.head` in `self.head(x)`; null where there is none. */
export function nameAt(text, column) {
  const word = /[^\W\d]\w*(?:\.[^\W\d]\w*)*/gu;
  for (let match; (match = word.exec(text));) {
    if (match.index > column) break;
    if (column >= match.index + match[0].length) continue;
    const parts = match[0].split(".");
    let end = match.index, taken = [];
    for (const part of parts) {
      taken.push(part);
      end += part.length + (taken.length > 1 ? 1 : 0);
      if (column < end) break;
    }
    const name = taken.join(".");
    return WORDS.has(name) || text.slice(0, match.index).includes("#") ? null : name;
  }
  return null;
}

export class Hover {
  /** `pane` is the source: its `box` is pointed into, and `textOf(line)` is asked of it. */
  constructor(state, live, pane) {
    this.state = state;
    this.live = live;
    this.pane = pane;
    this.tip = h("div", { id: "hover-tip", role: "tooltip", hidden: true });
    document.body.append(this.tip);
    pane.box.addEventListener("pointermove", (event) => this.over(event));
    pane.box.addEventListener("pointerleave", () => this.close());
    pane.box.addEventListener("scroll", () => this.close(), { passive: true });
    addEventListener("keydown", (event) => { if (event.key !== "i") this.close(); }, true);
  }

  close() {
    clearTimeout(this.timer);
    this.asked = (this.asked || 0) + 1;
    this.at = null;
    this.tip.hidden = true;
  }

  over(event) {
    const box = event.target.closest?.(".tx");
    const line = box && Number(box.parentElement.dataset.line);
    const text = line ? this.pane.textOf(line) : "";
    const name = line ? nameAt(text, this.column(box, event.clientX)) : null;
    const key = name ? `${line} ${name}` : null;
    if (key === this.at) return;
    this.close();
    this.at = key;
    if (name) this.timer = setTimeout(() => this.show(line, name, event.clientX, event.clientY), WAIT);
  }

  column(box, x) {
    if (!this.wide) {
      const probe = h("span", {}, "0".repeat(100));
      box.append(probe);
      this.wide = probe.getBoundingClientRect().width / 100;
      probe.remove();
    }
    return Math.floor((x - box.getBoundingClientRect().left - 6) / this.wide);
  }

  /** The first name that the chosen line sets, by the keyboard. */
  line(line) {
    const text = this.pane.textOf(line);
    const column = text.search(/\S/);
    const name = column < 0 ? null : nameAt(text, column) || nameAt(text, text.search(/(?<=\s)[^\W\d]\w*/u));
    const row = this.pane.box.querySelector(`[data-line="${line}"] .tx`)?.getBoundingClientRect();
    if (name && row) this.show(line, name, row.left + 40, row.bottom - 4);
  }

  async show(line, name, x, y) {
    const mine = (this.asked = (this.asked || 0) + 1);
    const { file } = this.pane;
    const known = await this.live.ask("variable", { file, line, name }).catch(() => null);
    const now = known && mine === this.asked ? await this.now(file, known.scope, name) : null;
    if (mine !== this.asked || (!known?.shapes.length && !now)) return;
    this.tip.replaceChildren(...this.told(name, known, now));
    this.tip.hidden = false;
    const { width, height } = this.tip.getBoundingClientRect();
    this.tip.style.left = `${Math.max(4, Math.min(x + 8, innerWidth - width - 8))}px`;
    this.tip.style.top = `${y + 16 + height > innerHeight ? y - height - 10 : y + 16}px`;
  }

  /** Its value at the stop, where one of the paused functions is the one around the line. */
  async now(file, scope, name) {
    const stop = this.state.run?.stop;
    if (!this.state.paused || stop.past || this.state.run.recording) return null;
    const frame = (stop.frames || []).findIndex((one) => one.file === file && (scope ? one.line >= scope[0] && one.line <= scope[1] : one.function === "<module>"));
    if (frame < 0) return null;
    const [first] = name.split(".");
    const list = await this.live.ask("variables", { frame }).catch(() => []);
    const own = list.find((one) => one.name === first);
    if (!own) return null;
    if (first === name) return own;
    return this.live.ask("evaluate", { text: name, frame }).then((text) => ({ type: "", text: text.length > 160 ? `${text.slice(0, 160)}\u2026` : text }), () => null);
  }

  told(name, known, now) {
    const parts = [h("div", { class: "hv-h" }, h("b", { class: "mono" }, name), now?.type && h("span", { class: "dim" }, now.type))];
    if (now) {
      const text = now.shape ? [shapeText(now.shape), now.dtype, now.text].filter(Boolean).join("  ") : now.text || now.type;
      parts.push(h("div", { class: "hv-now" }, h("span", { class: "pill now" }, "now"), h("span", { class: "mono" }, text)));
    }
    if (known?.shapes.length) {
      const turns = (one) => (one.first === one.last ? `iteration ${one.last}` : `iterations ${one.first} to ${one.last}`);
      parts.push(table(["shapes it had", "times", ""], known.shapes.map((one) => [h("span", { class: "mono" }, shapeText(one.shape), " ", h("span", { class: "dim" }, one.dtype)), count(one.times), turns(one)])));
      if (known.more) parts.push(h("div", { class: "dim" }, `and ${known.more} other shapes`));
      const value = known.statistics;
      if (value) parts.push(h("div", { class: "dim mono" }, `${sized(known.shapes[known.shapes.length - 1].dtype, "")} ${three(value.minimum)} to ${three(value.maximum)}, mean ${three(value.mean)}`.trim()));
      parts.push(h("div", { class: "dim" }, `set in line ${known.line}`));
    }
    return parts;
  }
}
