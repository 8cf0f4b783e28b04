// The program's files as a virtualised list: only the lines in view are in the document.
import { $, bytes, duration, h, icon, prime, shapeText } from "./dom.mjs";
import { Hover } from "./hover.mjs";

const LINE = 19;
const TOP = 4;
const SPARE = 12;
const LULL = 600; // milliseconds of running after which the lines are drawn anew ...
const FACTS = 2000; // ... and after which what is known of them is asked for

/** Make `wanted` the children of a box, touching only those that are new, gone or elsewhere. */
function place(box, wanted) {
  const kept = new Set(wanted);
  for (const child of [...box.childNodes]) if (!kept.has(child)) child.remove();
  let at = box.firstChild;
  for (const child of wanted) {
    if (child === at) at = at.nextSibling;
    else box.insertBefore(child, at);
  }
}

export class SourcePane {
  /** `on.breakpoint(file, line)` toggles one, `on.condition(file, line)` opens its form, `on.line(file, line)` chooses the nodes of a line. */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.box = $("source-lines");
    this.roll = h("div", { class: "run-of-lines", role: "presentation" });
    this.box.append(this.roll);
    this.texts = new Map(); // file -> {lines, tokens} or {error}
    this.notes = new Map(); // file -> Map(line -> facts)
    this.file = null;
    this.chosenLine = null;
    this.origins = new Set();
    this.heat = "ns";
    this.drawn = new Map();
    this.box.addEventListener("scroll", () => {
      this.scroll = this.box.scrollTop;
      this.draw();
    }, { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.height = 0; // kept, and the scroll with it: to ask in the middle of a step would lay the page out
    this.scroll = 0;
    new ResizeObserver(() => {
      const line = this.now?.line;
      const inView = line && TOP + line * LINE <= this.scroll + this.height;
      this.height = this.box.clientHeight;
      if (inView) this.reveal(line); // a smaller window still shows where execution is
      this.draw();
    }).observe(this.box);
    this.hover = new Hover(state, live, this);
    for (const button of $("heat").children) {
      button.onclick = () => {
        this.heat = button.dataset.value;
        for (const other of $("heat").children) other.setAttribute("aria-checked", String(other === button));
        this.draw(true);
      };
    }
  }

  clear() {
    this.texts.clear();
    this.notes.clear();
    this.wanted = this.file; // a run that begins anew shows the file that was open
    this.file = null;
    this.origins.clear();
    this.chosenLine = null;
    this.draw(true);
  }

  /** Files of the run; the first one is shown until something points elsewhere. */
  files() {
    const tabs = [...this.state.files.values()].filter((file) => file.shown !== false);
    const stop = this.state.run?.stop;
    const shown = JSON.stringify([tabs, this.file, stop?.error ? stop.file : null]);
    if (shown === this.shown) return;
    this.shown = shown;
    $("source-tabs").replaceChildren(...tabs.map((file) => {
      const bad = stop?.error && stop.file === file.id;
      return h("button", {
        class: "tab", role: "tab", type: "button", title: file.path, "aria-selected": String(file.id === this.file), "aria-controls": "source-lines",
        onclick: () => this.open(file.id),
      }, file.name, bad && h("span", { class: "count red" }, "!"));
    }));
    if (this.file === null && tabs.length) this.open((this.state.files.get(this.wanted) || tabs[0]).id);
  }

  async load(file) {
    const known = this.texts.get(file);
    if (known) return known;
    let text;
    try {
      text = await this.live.ask("source", { file });
    } catch (error) {
      text = { lines: [], tokens: [], error: error.message };
    }
    this.texts.set(file, text);
    return text;
  }

  async open(file, line = null) {
    if (!this.state.files.has(file)) return;
    const other = file !== this.file;
    this.file = file;
    if (other) this.files();
    const loaded = this.texts.has(file);
    if (!loaded) await this.load(file);
    if (this.file !== file) return;
    if (other) this.scroll = this.box.scrollTop = 0;
    if (line) this.reveal(line);
    this.draw(true);
    if (other || !loaded) this.refresh();
  }

  /** The text again, from disk: it was saved, or changed there. */
  reload() {
    const { file } = this;
    this.texts.delete(file);
    return this.load(file).then(() => this.draw(true));
  }

  reveal(line) {
    const y = TOP + (line - 1) * LINE;
    if (y < this.scroll + LINE || y + 2 * LINE > this.scroll + this.height) {
      // The list must be as tall as the file before it can be scrolled there.
      this.size();
      this.box.scrollTop = Math.max(0, y - this.height * 0.4);
      this.scroll = this.box.scrollTop;
    }
  }

  /** Ask for what is known of each line: shapes, times, bytes. Soon, and not between two quick steps. */
  refresh() {
    const now = performance.now();
    if (this.timer && now - this.since > 2000) return;
    if (this.timer) clearTimeout(this.timer);
    else this.since = now;
    this.timer = setTimeout(() => {
      this.timer = 0;
      const { file } = this;
      if (file === null) return;
      this.told = performance.now();
      this.live.ask("lines", { file }).then((data) => {
        const facts = new Map();
        for (const [line, fact] of Object.entries(data.lines)) facts.set(Number(line), fact);
        this.notes.set(file, facts);
        this.draw(true);
      }, () => undefined); // a page that lost its connection asks again at the next stop
    }, 120);
  }

  /** While the program runs: it stands at no line, and turns and times go on. */
  running() {
    this.soon ||= setTimeout(() => {
      this.soon = null;
      if (this.state.run?.state !== "running") return;
      this.draw(true);
      if (performance.now() - (this.told || 0) > FACTS) this.refresh();
    }, LULL);
  }

  /** A new stop: show its line. */
  stopped() {
    const stop = this.state.run?.stop;
    this.origins.clear();
    for (const operand of stop?.error?.operands || []) {
      for (const origin of operand.origins || []) this.origins.add(`${origin.file}:${origin.line}`);
    }
    this.files();
    if (stop?.file && stop.line) {
      if (stop.number !== this.stopNumber) this.chosenLine = null; // the node of the stop is the chosen one now
      this.stopNumber = stop.number;
      this.open(stop.file, stop.line);
    }
    else this.draw(true);
    this.refresh();
  }

  size() {
    const lines = this.texts.get(this.file)?.lines || [];
    if (lines !== this.sized) this.roll.style.height = `${lines.length * LINE + 2 * TOP + 60}px`;
    this.sized = lines;
    return lines;
  }

  draw(all = false) {
    const text = this.texts.get(this.file);
    if (!text) {
      this.drawn.clear();
      this.roll.replaceChildren(this.file === null ? h("div", { class: "hint" }, "The program's files are listed here as soon as it has started.") : "");
      return;
    }
    if (text.error) {
      this.drawn.clear();
      this.roll.replaceChildren(h("div", { class: "hint" }, text.error));
      return;
    }
    const lines = this.size();
    const first = Math.max(0, Math.floor((this.scroll - TOP) / LINE) - SPARE);
    const last = Math.min(lines.length - 1, Math.ceil((this.scroll + this.height) / LINE) + SPARE);
    if (all) this.prepare();
    const rows = new Map();
    for (let i = first; i <= last; i++) {
      const old = this.drawn.get(i);
      const looks = all || !old ? this.looks(i + 1, text) : old.looks;
      rows.set(i, old?.looks === looks ? old : Object.assign(this.row(i + 1, text), { looks }));
    }
    this.drawn = rows;
    place(this.roll, this.lens ? [...rows.values(), this.lens] : [...rows.values()]);
  }

  /** All that a row shows beside its text, as one text: a row that looks the same is kept, for a step changes two of them. */
  looks(number, text) {
    if (!this.marks) this.prepare();
    const fact = this.notes.get(this.file)?.get(number);
    const now = this.now?.line === number ? [this.now.error ? 2 : 1, this.state.run.state, this.now.reason, this.now.phase] : 0;
    const breakpoint = this.breaks.get(number);
    const path = this.isChosen(number) || this.origins.has(`${this.file}:${number}`);
    return JSON.stringify([this.file, text.lines[number - 1], Boolean(text.tokens), text.lines.length > 999, now, path, breakpoint, fact, fact ? this.top : 0, this.heat, this.marks.get(number)]);
  }

  /** What the notes of all lines need, looked up once a drawing. */
  prepare() {
    const { state, file } = this;
    this.marks = new Map();
    const turns = new Map(); // of a loop that stands in several places of the graph, the most
    for (const group of state.groups.values()) {
      if (group.file !== file || !group.line) continue;
      if (group.kind === "loop" && group.turns > (turns.get(group.line) || 0)) turns.set(group.line, group.turns);
      if (group.kind === "branch" && group.taken !== null && group.arm !== "else") this.mark(group.line, group.taken ? ["yes", "taken"] : ["no", "not taken"]);
    }
    for (const [line, times] of turns) this.mark(line, ["", `\u00d7${times}`]);
    this.breaks = new Map();
    const path = state.files.get(file)?.path;
    for (const breakpoint of state.settings.breakpoints) {
      if (breakpoint.kind === "line" && breakpoint.file === path) this.breaks.set(breakpoint.line, breakpoint);
    }
    const facts = this.notes.get(file);
    this.top = 1;
    for (const fact of facts?.values() || []) this.top = Math.max(this.top, fact[this.heat] || 0);
    const stop = state.run?.stop;
    this.now = stop?.file === file && state.run.state !== "running" ? stop : null;
    this.lens = null;
    if (this.now?.error && this.now.line) {
      this.lens = h("div", { class: "lens" }, icon("warn"), h("span", {}, this.now.error.sentence || this.now.error.message));
      this.lens.style.top = `${TOP + this.now.line * LINE + 2}px`;
    }
  }

  mark(line, pill) {
    const list = this.marks.get(line) || [];
    if (!list.some((p) => p[1] === pill[1])) list.push(pill);
    this.marks.set(line, list);
  }

  row(number, text) {
    if (!this.marks) this.prepare();
    const fact = this.notes.get(this.file)?.get(number);
    const now = this.now?.line === number;
    const bad = now && (this.now.error || this.state.run.state === "failed");
    const breakpoint = this.breaks.get(number);
    const told = breakpoint?.label;
    const classes = ["ln"];
    if (text.lines.length > 999) classes.push("wide-no");
    if (bad) classes.push("bad");
    else if (now) classes.push("now");
    else if (this.isChosen(number) || this.origins.has(`${this.file}:${number}`)) classes.push("path");
    const heat = h("span", { class: "ht" });
    const warm = fact?.[this.heat] ? fact[this.heat] / this.top : 0;
    if (warm) {
      heat.style.background = `rgba(var(--heat), ${0.18 + 0.82 * warm})`;
      heat.title = this.heat === "ns" ? duration(fact.ns) : bytes(fact.bytes);
    }
    const row = h("div", { class: classes.join(" "), role: "listitem", "data-line": number, "aria-current": now ? "step" : null },
      h("button", {
        class: `bp${breakpoint && !breakpoint.enabled ? " off" : ""}${breakpoint?.log ? " log" : breakpoint?.condition || breakpoint?.hit ? " if" : ""}`, type: "button", tabindex: -1, "aria-pressed": String(Boolean(breakpoint)),
        "aria-label": `Breakpoint on line ${number}`, title: `${told || `Toggle a breakpoint on line ${number}`}; right click for a condition or log text`, onclick: () => this.on.breakpoint(this.file, number),
        oncontextmenu: (event) => { event.preventDefault(); this.on.condition(this.file, number); },
      }),
      h("span", { class: "no", onclick: () => this.on.breakpoint(this.file, number), oncontextmenu: (event) => { event.preventDefault(); this.on.condition(this.file, number); } }, number),
      heat,
      h("span", { class: "tx", onclick: () => this.choose(number) }, this.tokens(text, number - 1)),
      this.ghost(number, fact, now));
    row.style.top = `${TOP + (number - 1) * LINE}px`;
    return row;
  }

  tokens(text, index) {
    const tokens = text.tokens?.[index];
    if (!tokens) return text.lines[index];
    return tokens.map(([kind, part]) => (kind ? h("span", { class: kind }, part) : part));
  }

  ghost(number, fact, now) {
    const parts = [];
    const run = this.state.run;
    if (now && run?.state === "paused" && this.now.reason === "entry") parts.push("starts here");
    if (now && this.now.phase === 1) parts.push(h("span", { class: "pill bwd" }, "backward"));
    if (now && this.now.phase === 2) parts.push(h("span", { class: "pill opt" }, "optimizer"));
    for (const [kind, text] of this.marks.get(number) || []) parts.push(h("span", { class: `pill ${kind}` }, text));
    const shapes = fact?.shapes || (fact?.shape ? [fact.shape] : []);
    const shown = fact?.note || [...new Set(shapes.map((shape) => (Array.isArray(shape) ? shapeText(shape) : String(shape))))].slice(0, 2).join("  ");
    if (shown) parts.push(h("span", { class: "ell" }, prime(shown)));
    return parts.length ? h("span", { class: "ghost" }, parts) : null;
  }

  textOf(line) {
    return this.texts.get(this.file)?.lines?.[line - 1] || "";
  }

  isChosen(line) {
    return line === this.chosenLine && this.file === this.chosenFile;
  }

  choose(line) {
    this.chosenLine = line;
    this.chosenFile = this.file;
    this.draw(true);
    this.on.line(this.file, line);
  }

  /** The line of a chosen node. */
  pointTo(file, line) {
    this.chosenLine = line;
    this.chosenFile = file || this.file;
    if (file) this.open(file, line);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    const lines = this.texts.get(this.file)?.lines.length || 0;
    const chosen = this.chosenFile === this.file && this.chosenLine;
    const here = chosen || this.now?.line;
    if (step && lines) {
      const line = Math.max(1, Math.min(lines, (here || 1) + step));
      this.chosenLine = line;
      this.chosenFile = this.file;
      this.reveal(line);
      this.draw(true);
    } else if (!here || event.ctrlKey) return;
    else if (event.key === "Enter") this.on.line(this.file, here);
    else if (event.key === "i") this.hover.line(here);
    else if (event.key === "B" && event.shiftKey) this.on.condition(this.file, here);
    else if (event.key === "b" || event.key === "B") this.on.breakpoint(this.file, here);
    else return;
    event.preventDefault();
  }
}
