// The page, put together: one state, one connection, and panels that each look after themselves.
import { $, count, drawIcons, h, say } from "./dom.mjs";
import { banner, folds, grips, Tabs, theme } from "./frame.mjs";
import { AfterPaint } from "./afterpaint.mjs";
import { api } from "./api.mjs";
import { Breakpoints } from "./breakpoints.mjs";
import { Events } from "./lists.mjs";
import { Stack } from "./stack.mjs";
import { Variables } from "./variables.mjs";
import { Iterations } from "./iterations.mjs";
import { Console } from "./console.mjs";
import { Editor } from "./edit.mjs";
import { Engine } from "./engine.mjs";
import { GraphPane } from "./graph.mjs";
import { Inspector } from "./inspector.mjs";
import { arrows, showKeys, stops } from "./keys.mjs";
import { Live } from "./live.mjs";
import { Memory } from "./memory.mjs";
import { Notice } from "./notice.mjs";
import { Parameters } from "./parameters.mjs";
import { Palette } from "./palette.mjs";
import { SourcePane } from "./source.mjs";
import { State } from "./state.mjs";
import { StopCard } from "./stopcard.mjs";
import { Scrub } from "./scrub.mjs";
import { Tracing } from "./tracing.mjs";
import { Toolbar } from "./toolbar.mjs";
import { Watches } from "./watches.mjs";

const LULL = 400; // milliseconds without places of nodes, after which no more are expected
const SLICE = 12; // milliseconds that placing what arrived may take before a stop is shown

const scheme = () => (location.protocol === "https:" ? "wss:" : "ws:");
const server = (take, linked) => new Live(`${scheme()}//${location.host}${$("app").dataset.live}`, take, linked);

/** `connect(take, linked)` gives what answers: the server's socket, or a run that is in the page itself. */
export function start(connect) {
  drawIcons(document.body);
  const state = new State();
  const live = connect(take, linked);
  const problem = (text) => banner(text);
  const source = new SourcePane(state, live, {
    breakpoint: (file, line) => breakpoints.toggleLine(file, line), condition: (file, line) => breakpoints.editLine(file, line), line: chooseLine,
  });
  const editor = new Editor(state, live, source, { verb: (name) => verb(name), problem, say: (text) => info(text) });
  const place = (file, line) => { if (file) source.pointTo(file, line); };
  // What is folded away in the graph is chosen as its module; the inspector shows it itself.
  const show = (slot) => {
    if (!slot) return;
    awaited = pointed = null;
    graph.selectSlot(slot, { quiet: true });
    inspector.slot(slot);
    place(slot.file, slot.line);
  };
  const showNode = (node) => show(state.slotOfNode(node));
  const showSlot = (id) => show(state.slots.get(id));
  const graph = new GraphPane(state, {
    select: chosen,
    dot: () => live.ask("dot").catch((error) => { problem(error.message); throw error; }),
    parts: () => live.ask("engine", { view: "partitions" }).then(({ told }) => told, () => null),
    marks: () => live.ask("marks").catch(() => ({ slots: [] })),
    turn: (group, index) => live.ask("turn", { group, index }).catch((error) => problem(error.message)),
    why: (question, node) => live.ask("why", { question, node }),
    tell: (text, tone) => banner(text, { tone }),
    place: (file, line) => place(file, line),
  });
  const inspector = new Inspector(state, live, { place, slot: show, problem });
  const card = new StopCard(state, live, { place, node: showNode, edit: (file, line) => editor.open(file, line), path: () => graph.togglePath(), verb, changed: () => { graph.card = card.card; } });
  const scrub = new Scrub(state, graph.box, {
    go: (node) => live.ask("go_to", { node, at: state.run?.stop?.number }).catch((error) => { problem(error.message); scrub.update(); }),
    present: () => verb("present"),
  });
  const toolbar = new Toolbar(state, { verb, level: (level) => live.ask("level", { level }).catch((e) => problem(e.message)) });
  const notice = new Notice(state, live, { problem });
  const tracing = new Tracing(state, live, { problem, configuration: () => { tabs.open("engine"); engine.choose("configuration"); } });
  const log = new Console(state, live);
  const info = (text) => banner(text, { tone: "info" });
  const breakpoints = new Breakpoints(state, live, { place, problem, say: info });
  const watches = new Watches(state, live, { node: showNode });
  const variables = new Variables(state, live, { node: showNode, evaluate: (name) => { tabs.open("console"); log.evaluate(name); } });
  const stack = new Stack(state, { place, frame: () => { variables.update(); watches.update(); log.update(); } });
  const memory = new Memory(state, live, { place, node: showNode, problem, streams });
  const iterations = new Iterations(state, live, { compared: (differs) => graph.colours.difference(differs), problem, node: showSlot });
  const parameters = new Parameters(state, live, { slot: showSlot, why: (row) => whyNoGradient(row), level: (level) => live.ask("level", { level }).catch((e) => problem(e.message)) });
  const engine = new Engine(state, live, { node: showSlot, place, parts: (index) => graph.colours.parts(index), dtype: () => graph.colours.by("dtype"), level: (level) => live.ask("level", { level }).catch((e) => problem(e.message)) });
  const events = new Events(state, live, { node: showNode, moment: (node) => live.ask("go_to", { node, at: state.run?.stop?.number }).catch((error) => problem(error.message)) });
  const panels = { memory, iterations, parameters, engine, events, console: log };
  const tabs = new Tabs(Object.keys(panels), (name) => {
    for (const [other, panel] of Object.entries(panels)) panel.show(other === name);
    if ($("memory-axis")) $("memory-axis").hidden = name !== "memory";
  });
  const palette = new Palette(state, commands, { slot: show, file: (file) => source.open(file) });
  let arrived = -Infinity; // when places of nodes last came
  let awaited = null; // the node of a stop that the page has not been told of yet
  let pointed = null; // the place of a stop that the inspector is about to show
  const news = new Set(); // what the panels beside the graph have not been told of yet
  const beside = new AfterPaint(panelsBeside);
  axisButtons(memory);
  arrows();
  stops();
  grips();
  folds();
  theme(() => { graph.themeChanged(); memory.refresh(); });
  $("btn-search").onclick = () => palette.open();
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName || "");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") palette.open();
    else if (event.key === "/" && !typing) graph.find.open();
    else if (event.key === "?" && !typing) showKeys();
    else if (event.key === "Escape" && card.card && !palette.veil) card.close();
    else return;
    event.preventDefault();
  });
  window.dsviz = {
    graph: api(state, graph),
    live,
    get state() { return state.run?.state; },
    get pid() { return state.hello?.pid; },
    get events() { return state.counts.events; },
    /** A name for what the program stands at: it differs after every move. */
    get stops() { return `${state.hello?.run ?? 0}.${state.run?.state}.${state.run?.stop?.number ?? 0}`; },
    /** Whether every panel has been told of what arrived: those beside the graph are a frame later. */
    get settled() { return !beside.waits && !pointed; },
  };

  // ---- what arrives -------------------------------------------------------------------------------

  function take(messages) {
    const seen = new Set();
    for (const message of messages) {
      seen.add(message.t);
      state.take(message);
      if (message.t === "hello") begin();
      else if (message.t === "process") toolbar.hello();
      else if (message.t === "groups" || message.t === "slots") {
        graph.take(message);
        arrived = performance.now();
      }
      else if (message.t === "output") log.output(message);
    }
    if (seen.has("state")) stopped();
    else if (seen.has("slots")) {
      if (awaited) pointAt();
      graph.request();
      if (state.run?.state === "running") {
        inspector.running();
        source.running();
      }
    }
    if (seen.has("files")) source.files();
    if (seen.has("settings")) {
      toolbar.settings();
      tracing.update();
      breakpoints.update();
      source.draw(true);
    }
    if (seen.has("watches")) watches.update();
    if (seen.has("memory") || seen.has("state")) memory.refresh();
    for (const kind of ["state", "count"]) if (seen.has(kind)) news.add(kind);
    if (news.size || pointed) beside.soon(seen.has("state"));
    empty();
  }

  function begin() {
    graph.clear();
    source.clear();
    inspector.nothing();
    log.clear();
    memory.clear();
    card.key = null;
    engine.clear();
    events.clear();
    toolbar.hello();
    toolbar.settings();
    source.files();
  }

  /** Where execution is, at once: in the bar, the graph and the source. What is told beside them follows a frame later. */
  function stopped() {
    graph.flush(SLICE);
    toolbar.update();
    scrub.update();
    graph.card = card.update();
    graph.stopped();
    variables.update(); // it asks a moment later
    awaited = pointed = null;
    if (state.run.state === "running") {
      inspector.running();
      source.running();
      return;
    }
    source.stopped();
    awaited = state.run.stop?.node || null;
    const failed = state.run.state === "failed" ? card.failed() : null;
    if (!awaited && failed?.file && !state.run.stop?.line) source.pointTo(failed.file, failed.line);
    pointAt(failed);
  }

  function panelsBeside() {
    const told = new Set(news);
    news.clear();
    if (told.has("state")) {
      notice.update();
      stack.draw();
      breakpoints.update();
      log.update();
      watches.update();
      if (state.run.state !== "running") {
        if (!pointed) inspector.refresh();
        if (state.run.state === "failed" || state.run.state === "killed") tabs.open("console");
        toolbar.announce();
      }
    }
    if (pointed) inspector.slot(pointed, { soon: true });
    pointed = null;
    if (told.has("count")) {
      toolbar.counts();
      tracing.update();
      $("count-events").textContent = short(state.counts.events);
      parameters.refresh();
      events.refresh();
    }
    engine.refresh();
    iterations.refresh();
  }

  /** Select the node of the stop, as soon as it is known: of a large graph it comes a few batches later. */
  function pointAt(otherwise = null) {
    const slot = awaited ? state.slotOfNode(awaited) : otherwise;
    if (!slot) return false;
    awaited = null;
    graph.selectWhenPlaced(slot);
    pointed = slot;
    return true;
  }

  /** Whether the program runs, or what it did is still coming: a large graph comes in many batches. */
  function streams() {
    return state.run?.state === "running" || graph.queue.slots.length > 0 || (state.slots.size < state.counts.places && performance.now() - arrived < LULL);
  }

  function linked(up, reason) {
    toolbar.link(up);
    if (up) banner("");
    else {
      banner(reason || "The connection to dsviz is lost. What is drawn stays readable; the page connects again by itself as soon as dsviz answers.",
        { button: "Reconnect", action: () => live.open(), close: false });
    }
  }

  // ---- what the person does -----------------------------------------------------------------------

  function verb(name) {
    if (name === "next" || name === "into" || name === "over" || name === "out") graph.following = true;
    const at = name === "pause" || name === "restart" || name === "stop" ? {} : { at: state.run?.stop?.number };
    live.ask(name, at).catch((error) => problem(error.message));
  }

  function chosen(item) {
    pointed = null;
    if (!item) {
      const group = graph.selected?.startsWith?.("g") ? state.groups.get(Number(graph.selected.slice(1))) : null;
      if (group) inspector.group(group);
      else inspector.nothing();
      return;
    }
    if (item.folded && !item.slot) {
      const group = state.groups.get(item.group);
      inspector.group(group);
      if (group.file && group.line) source.pointTo(group.file, group.line);
      return;
    }
    const slot = state.slots.get(item.slot);
    inspector.slot(slot);
    if (slot.file && slot.line) source.pointTo(slot.file, slot.line);
  }

  /** Why a parameter has no gradient, as a sentence across the page. */
  function whyNoGradient(row) {
    live.ask("why", { question: "no_grad", node: row.node }).then((answer) => {
      info(`${[row.module, row.name].filter(Boolean).join(".")}: ${answer.sentence}.`);
      const step = answer.decided;
      const file = step && [...state.files.values()].find((one) => one.path === step.file);
      if (file) place(file.id, step.line);
    }, (error) => problem(error.message));
  }

  /** The nodes of a line: the first, and on each further click the next one. */
  function chooseLine(file, line) {
    const all = [...state.slots.values()].filter((slot) => slot.file === file && slot.line === line && !slot.role).sort((a, b) => a.phase - b.phase || a.id - b.id);
    const at = all.findIndex((slot) => slot.id === inspector.target?.slot);
    const best = all[(at + 1) % (all.length || 1)];
    if (!best) return;
    awaited = pointed = null;
    graph.selectSlot(best, { quiet: true });
    inspector.slot(best);
    if (all.length > 1) say(`${best.label}, ${all.indexOf(best) + 1} of ${all.length} nodes of line ${line}`);
  }

  function commands() {
    const run = ["continue", "pause", "next", "into", "over", "out", "step_back", "reverse_continue", "restart", "stop"].filter((name) => toolbar.can(name)).map((name) => {
      const button = $(`btn-${name}`);
      return [button.getAttribute("aria-label"), (button.title.split("  ")[1] || ""), () => verb(name)];
    });
    return [
      ...run,
      ["Go to where execution is", ".", () => graph.goToCurrent()],
      ["Find in the graph", "/", () => graph.find.open()],
      ["Fit the graph", "0", () => graph.fit()],
      ["Show all of the graph", "9", () => graph.camera.fitAll()],
      ["Hide the selection", "H", () => graph.hide()],
      ["Isolate the selection", "I", () => graph.isolate()],
      ["Show all that is hidden", "Shift+H", () => graph.showAll()],
      ...[0, 1, 2].map((level) => [`Trace level ${level}`, "", () => live.ask("level", { level }).catch((e) => problem(e.message))]),
      ["Tracing: levels, samples, switches, configuration", "", () => tracing.open()],
      ["Save the run as one HTML file", "", () => notice.save()],
      ["Keys", "?", showKeys],
      ["Light or dark", "", () => $("btn-theme").click()],
      ...Object.keys(panels).map((name) => [`Show ${name}`, "", () => tabs.open(name)]),
    ];
  }

  // ---- empty states -------------------------------------------------------------------------------

  function empty() {
    const bare = !state.ran && state.run && state.run.state !== "running";
    if (!bare) {
      graph.empty?.remove();
      graph.empty = null;
      return;
    }
    const key = `${state.run.state}|${state.run.message}`;
    if (graph.empty?.dataset.key === key) return;
    graph.empty?.remove();
    const past = Boolean(state.run.stop?.past);
    const paused = state.paused && !past;
    const name = state.hello?.script || "The program";
    const button = (id, text, keys, kind, action) => h("button", { class: `btn ${kind}`, type: "button", onclick: action }, text, h("span", {}, keys));
    graph.empty = h("div", { class: "empty", "data-key": key }, h("div", {},
      h("h2", {}, paused ? "Nothing has run yet" : past ? "Nothing had run yet" : state.run.state === "starting" ? "Starting" : "No node ran"),
      h("p", {}, paused ? `${name} is paused before its first node. Run one node to see the graph begin, or run until something stops it.` : past ? `This is the moment before the first node of ${name}. Go on to see the graph grow.` : state.run.message || ""),
      paused ? h("div", { class: "two-buttons" }, button("", "Run one node", "F10", "primary", () => verb("next")), button("", "Run to the first stop", "F8", "", () => verb("continue"))) : null,
      paused ? h("p", { class: "more" }, "It will stop by itself at a shape mismatch or an exception. Click a line number to stop there too.") : null));
    graph.box.append(graph.empty);
  }
}

function axisButtons(memory) {
  const set = (axis) => {
    memory.axis = axis;
    for (const button of box.children) button.setAttribute("aria-checked", String(button.dataset.value === axis));
    memory.refresh();
  };
  const box = h("span", { class: "seg low", role: "radiogroup", "aria-label": "Axis of the memory timeline", id: "memory-axis" },
    ["time", "events"].map((axis) => h("button", { type: "button", role: "radio", "data-value": axis, "aria-checked": String(axis === "time"), onclick: () => set(axis) }, axis)));
  $("bottom-tools").append(box);
}

const short = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${Math.round(n / 1e3)}k` : n ? count(n) : "");

if (!$("run")) start(server); // a page with the run inside it starts itself
