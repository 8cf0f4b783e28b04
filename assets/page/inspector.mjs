// What is known of the chosen node or module, with its trace switches.
import { $, bytes, count, duration, h, icon, kindChip, prime, s, shapeText, sized, table, three } from "./dom.mjs";
import { kindOf } from "./glyphs.mjs";
import { short } from "./parameters.mjs";
import { Values } from "./values.mjs";

const PHASE = ["forward", "backward", "optimizer"];
const STATUS = {
  pending: ["about to run", "now"], running: ["running", "now"], failed: ["failed", "bad"], unreached: ["not run in this turn", ""],
  nottaken: ["not taken", ""], skipped: ["tracing is off", ""], unrun: ["not run", ""],
};
const LULL = 400; // milliseconds of running after which what is shown of a node is looked at again

/** A folding section; `more` stands at its right. */
export function section(title, more, ...body) {
  const inside = h("div", { class: "sb" }, body);
  const head = h("button", { class: "fold", type: "button", "aria-expanded": "true" }, icon("chev", "chev"), title);
  head.onclick = () => {
    inside.hidden = !inside.hidden;
    head.setAttribute("aria-expanded", String(!inside.hidden));
  };
  return h("div", { class: "sec" }, h("div", { class: "sh" }, head, more && h("span", { class: "right mono" }, more)), inside);
}

const statistics = (data) => {
  const value = data?.statistics || data?.value?.summary;
  return value && typeof value === "object" && (value.minimum ?? value.min) !== undefined ? value : null;
};

/** Lines over the runs on one scale; `around` draws a band of so much above and below. */
function course(lines, label) {
  const all = lines.flatMap(({ values, around }) => values.flatMap((value, i) => [value - (around?.[i] || 0), value + (around?.[i] || 0)])).filter(Number.isFinite);
  const low = Math.min(...all), size = Math.max(...all) - low || 1;
  const at = (value, i, n) => `${((i / (n - 1)) * 270).toFixed(1)},${(28 - ((value - low) / size) * 26).toFixed(1)}`;
  return s("svg", { class: "spark", viewBox: "0 0 270 30", preserveAspectRatio: "none", role: "img", "aria-label": label }, lines.map(({ values, colour, around }) => [
    around && s("polygon", { points: [...values.map((value, i) => at(value + around[i], i, values.length)), ...values.map((value, i) => at(value - around[i], i, values.length)).reverse()].join(" "), fill: `var(${colour})`, opacity: 0.16 }),
    s("polyline", { points: values.map((value, i) => at(value, i, values.length)).join(" "), fill: "none", stroke: `var(${colour})`, "stroke-width": 1.4, "vector-effect": "non-scaling-stroke" })]));
}

export class Inspector {
  /** `on.place(file, line)`, `on.slot(slot)`, `on.problem(text)` */
  constructor(state, live, on) {
    this.state = state;
    this.live = live;
    this.on = on;
    this.box = $("inspector");
    this.target = null; // {slot} or {group}
    this.look = new Values((node, index, kind) => live.ask("look", { node, index, kind }), (node, index, value) => live.ask("set_value", { node, index, value }), () => state.paused && !state.run.stop?.past && !state.run.recording);
    this.nothing();
  }

  nothing() {
    this.target = null;
    const ran = this.state.slots.size > 0;
    this.box.replaceChildren(h("div", { class: "nothing" }, h("h3", {}, "No node selected"),
      ran ? "Click a node in the graph, or a line of the source, to see shapes, bytes, time and values." : "Run a node, then click it to see its values, gradients, memory and time."));
  }

  /** One word for a slot; what a stopped program was about to do, a running one does and an ended one never did. */
  status({ status }) {
    if (status !== "pending" || this.state.paused) return status;
    return this.state.run?.state === "running" ? "running" : "unrun";
  }

  /** While the program runs: what is shown as about to run, or has run again, does not stay so; but nothing is redrawn under the pointer. */
  running() {
    if (this.due || !this.target?.slot) return;
    this.due = setTimeout(() => {
      this.due = null;
      const slot = this.state.run?.state === "running" && this.state.slots.get(this.target?.slot);
      const again = slot && slot.node !== this.target.node && !this.box.matches(":hover, :focus-within");
      if (slot && (again || this.status(slot) !== this.shown)) this.slot(slot);
    }, LULL);
  }

  /** Show a slot; `soon`: what the server knows of it may come a moment later. */
  async slot(slot, { soon = false } = {}) {
    const { node } = slot;
    this.target = { slot: slot.id, node };
    const mine = (this.asked = (this.asked || 0) + 1);
    this.draw(slot, null);
    if (!node) return;
    const at = this.state.run?.stop?.number;
    if (soon) await new Promise((done) => { setTimeout(done, 90); });
    if (mine !== this.asked || (soon && at !== this.state.run?.stop?.number)) return; // someone steps quickly: only the last is asked for
    try {
      const data = await this.live.ask("node", { node });
      const gradient = this.gradientOf(slot, data);
      if (gradient && data.shape) data.slope = await this.live.ask("node", { node: gradient }).catch(() => null);
      if (mine === this.asked && this.target?.slot === slot.id) this.draw(this.state.slots.get(slot.id) || slot, data);
    } catch (error) {
      if (mine === this.asked && this.target?.slot === slot.id) this.draw(slot, { problem: error.message });
    }
  }

  group(group) {
    this.target = { group: group.id };
    this.asked = (this.asked || 0) + 1;
    const inside = [...this.state.slots.values()].filter((slot) => [...this.state.around(slot.group)].some((g) => g.id === group.id));
    const sum = (key) => inside.reduce((total, slot) => total + (slot[key] || 0), 0);
    const path = this.modulePath(group, inside);
    this.box.replaceChildren(
      this.head("linear", group.label, group.kind, path || "", group.file, group.line, [
        ["Ops", inside.filter((slot) => !slot.role).length], ["Time", duration(sum("ns"))], ["Makes", bytes(sum("nbytes"))], ["Saves", bytes(sum("saved"))],
        ...(group.kind === "loop" ? [["Turns", group.turns]] : []),
      ], this.switches(path, null, null)),
      group.kind === "loop" ? this.turns(group) : "",
      this.parameters(group));
  }

  modulePath(group, inside) {
    if (group.kind !== "module") return null;
    const first = inside.find((slot) => slot.group === group.id && slot.module);
    if (first) return first.module;
    return [...this.state.around(group.id)].filter((g) => g.kind === "module").map((g) => g.label).reverse().join(".");
  }

  parameters(group) {
    const inside = [...this.state.slots.values()].filter((slot) => slot.role === "parameter" && [...this.state.around(slot.group)].some((g) => g.id === group.id));
    if (!inside.length) return "";
    const mine = new Set(inside.map((slot) => slot.id));
    const list = h("div", {});
    this.live.ask("parameters").then(({ rows }) => list.replaceChildren(short(rows.filter((row) => mine.has(row.slot)), rows.some((row) => row.op), { slot: (id) => this.on.slot(this.state.slots.get(id)) })), (error) => list.replaceChildren(error.message));
    return section("Parameters", count(inside.length), list);
  }

  turns(group) {
    const last = (group.turns || 1) - 1;
    const go = (index) => this.live.ask("turn", { group: group.id, index }).catch((error) => this.on.problem(error.message));
    const at = group.turn ?? last;
    const step = (by, label, name) => h("button", { class: "btn small", type: "button", disabled: at + by < 0 || at + by > last, "aria-label": label, onclick: () => go(at + by) }, name);
    return section("Turn shown", `${at} of 0 to ${last}`, h("div", { class: "row" }, step(-1, "Earlier turn", "\u2039 earlier"), step(1, "Later turn", "later \u203a"),
      h("button", { class: "btn small", type: "button", onclick: () => go(null) }, "Follow the program")));
  }

  head(kind, title, note, path, file, line, facts, switches) {
    const [tone, text] = Array.isArray(note) ? [note[1], note[0]] : ["", note];
    const place = this.state.place(file, line);
    return h("div", { class: "insp-h" },
      h("div", { class: "t" }, kindChip(kind), h("span", { class: "ell", title: prime(title) }, prime(title)), h("span", { class: "grow" }), text && h("span", { class: `pill ${tone}` }, text)),
      h("div", { class: "where" }, h("span", { class: "mono mid ell", title: path }, path || "\u00a0"), h("span", { class: "grow" }),
        place && h("button", { class: "link mono", type: "button", onclick: () => this.on.place(file, line) }, place)),
      h("div", { class: "facts" }, facts.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) =>
        h("span", {}, h("span", { class: "dim" }, name), h("span", { class: "mono" }, value)))),
      switches);
  }

  /** Switches for the module, the op kind and this one place in the source. */
  switches(module, op, place) {
    const on = (target, name) => !this.state.settings.switches.some((w) => w.target === target && w.name === name && !w.on);
    const rows = [];
    const row = (target, name, label, more = {}) => {
      const value = on(target, name);
      const button = h("button", { class: "sw", type: "button", role: "switch", "aria-checked": String(value), "aria-label": label, "data-target": target, "data-name": name,
        onclick: () => {
          button.setAttribute("aria-checked", String(!value));
          this.live.ask("switch", { target, name, ...more, on: !value }).catch((error) => {
            button.setAttribute("aria-checked", String(value));
            this.on.problem(error.message);
          });
        } });
      rows.push(h("label", { title: "Off: not recorded from now on" }, h("span", { class: "ell" }, label), button));
    };
    if (place) row("place", place.name, "Trace this line", { file: place.file, line: place.line });
    if (op) row("op", op, `Trace every ${op}`);
    if (module) row("module", module, `Trace module ${module}`);
    return rows.length ? h("div", { class: "switches" }, rows) : "";
  }

  draw(slot, data) {
    const { state } = this;
    const ran = slot.status === "done" || slot.status === "unreached" || slot.status === "nottaken";
    const twin = slot.phase === 1 && slot.twin ? state.slots.get(slot.twin) : null;
    const status = this.shown = this.status(slot);
    const note = STATUS[status] || (twin ? [`backward of ${prime(twin.label)}`, "bwd"] : slot.phase === 2 ? ["optimizer", "opt"] : slot.role ? [slot.role, ""] : "");
    const path = state.files.get(slot.file)?.path;
    const facts = slot.role
      ? [["Bytes", bytes(slot.nbytes)]]
      : [["Time", ran ? duration(slot.ns) : status === "skipped" ? "not traced" : status === "running" ? "running" : "not run"], ["Makes", ran ? bytes(slot.nbytes) : null], ["Saves", ran && slot.saved ? bytes(slot.saved) : null], ["Iteration", slot.iteration], ["Phase", PHASE[slot.phase]]];
    const parts = [this.head(kindOf(slot), slot.label, note, [slot.module, slot.turn !== null && slot.turn !== undefined && slot.turn >= 0 ? `turn ${slot.turn}` : ""].filter(Boolean).join(", "), slot.file, slot.line, facts,
      slot.role ? "" : this.switches(slot.module, slot.op, path && slot.line ? { name: `${path}:${slot.line}`, file: slot.file, line: slot.line } : null))];
    if (data?.problem) parts.push(h("div", { class: "hint" }, data.problem));
    if (data) parts.push(this.numbers(slot, data));
    parts.push(this.ports(slot, data));
    if (data) parts.push(...this.values(data), this.history(data), this.attributes(data));
    this.box.replaceChildren(...parts.filter(Boolean));
  }

  /** The node whose result is the gradient of a slot's value. */
  gradientOf(slot, data) {
    const found = data.gradient?.node || this.state.slots.get(this.state.twinOf.get(slot.id))?.inputs?.[0];
    return Array.isArray(found) ? this.state.slots.get(found[0])?.node : found;
  }

  /** What can be looked at: of a node that ran its value and the gradient beside it, of one about to run its inputs. */
  targets(slot, data) {
    if (!data.shape || slot.status === "pending" || slot.status === "failed") {
      const twin = slot.phase === 1 && this.state.slots.get(slot.twin);
      const made = twin?.node && twin.shape ? [{ name: twin.label, node: twin.node, shape: twin.shape }] : [];
      return [...made, ...(data.inputs || [])].filter((input) => input.node && input.shape).slice(0, 2).map(({ name, node, shape }) => ({ name: name || "input", node, shape }));
    }
    const value = { name: slot.role ? slot.name || slot.label : "out", node: data.node, shape: data.shape };
    const source = this.gradientOf(slot, data);
    return source ? [value, { name: "gradient", node: source, shape: data.shape }] : [value];
  }

  numbers(slot, data) {
    if (["running", "starting"].includes(this.state.run?.state) || data.problem) return "";
    const targets = this.targets(slot, data);
    if (!targets.length) return "";
    this.look.show(targets);
    return section(targets.length > 1 && targets[1].name === "gradient" ? "Value and gradient" : data.shape && slot.status !== "pending" ? (this.state.paused ? "Value now" : "Value") : "Goes in", shapeText(targets[0].shape), this.look.box);
  }

  /** Time and statistics of the same place over the iterations. */
  history(data) {
    const rows = data.history || [];
    if (rows.length < 3) return "";
    const known = rows.filter((row) => typeof row.mean === "number");
    const times = rows.map((row) => row.ns);
    const line = (title, text, ...drawn) => [h("div", { class: "row2" }, h("span", { class: "dim" }, title), h("span", { class: "num" }, text)), course(drawn, `${title} over ${rows.length} runs: ${text}`)];
    const span = (values) => `${three(Math.min(...values))} to ${three(Math.max(...values))}`;
    const means = known.map((row) => row.mean);
    const bad = known.filter((row) => row.bad).length;
    return section("Over the runs", `last ${rows.length}`, line("time", `${duration(Math.min(...times))} to ${duration(Math.max(...times))}`, { values: times, colour: "--fwd" }),
      known.length > 2 ? [
        line(sized(data.dtype, "mean, \u00b1 std"), span(means), { values: means, colour: "--k-activation", around: known.map((row) => row.std || 0) }),
        line(sized(data.dtype, "min and max"), span(known.flatMap((row) => [row.minimum, row.maximum])), { values: known.map((row) => row.maximum), colour: "--only-a" }, { values: known.map((row) => row.minimum), colour: "--only-b" }),
        bad ? h("div", { class: "red" }, `not finite in ${count(bad)} of ${count(known.length)}`) : ""] : "");
  }

  ports(slot, data) {
    const failed = slot.status === "failed" || this.state.run?.stop?.node === slot.node ? this.state.run?.stop?.error : null;
    const named = data?.inputs?.length ? data.inputs : null;
    const rows = named
      ? named.map((input, i) => {
        const source = input.slot ? this.state.slots.get(input.slot) : input.node ? this.state.slotOfNode(input.node) : null;
        const clash = failed?.operands?.[i]?.clash || [];
        return [input.name || `argument ${i + 1}`, this.shape(input.shape, clash), input.dtype || source?.dtype || "", this.from(source, input)];
      })
      : (slot.inputs || []).map(([id, carried, shape], i) => {
        const source = this.state.slots.get(id);
        return [source?.name || `argument ${i + 1}`, shapeText(shape), source?.dtype || "", this.from(source, carried ? { text: "earlier turn" } : {})];
      });
    if (slot.shape) rows.push([h("b", {}, "\u2192 out"), shapeText(slot.shape), slot.dtype || "", ""]);
    else for (const [shape, dtype] of data?.outputs || []) rows.push([h("b", {}, "\u2192 out"), shapeText(shape), dtype || "", ""]);
    if (!rows.length) return "";
    return section("Inputs and output", slot.dtype || "", table(["", "Shape", "Dtype", "From"], rows));
  }

  shape(shape, clash) {
    if (!shape) return "?";
    if (!clash.length) return shapeText(shape);
    return h("span", {}, "(", shape.map((size, i) => [i ? ", " : "", clash.includes(i) ? h("b", { class: "red" }, size) : size]), ")");
  }

  from(source, input) {
    if (!source) return input.text || "";
    return h("button", { class: "link mono", type: "button", onclick: () => this.on.slot(source) }, prime(source.role === "parameter" ? source.name || source.label : source.label));
  }

  values(data) {
    const value = statistics(data);
    if (!value) {
      return [this.state.settings.level < 2 && !data.problem && !this.state.run?.recording
        ? h("div", { class: "hint" }, "Set Trace to 2 to have statistics and a histogram of every value from then on. ",
          h("button", { class: "link", type: "button", onclick: () => this.live.ask("level", { level: 2 }).catch((error) => this.on.problem(error.message)) }, "Set it now")) : ""];
    }
    const slope = statistics(data.slope);
    const both = slope ? [value, slope] : [value];
    const bad = (one) => (one.nans || 0) + (one.infs || 0);
    const rows = [
      ["min", (one) => three(one.minimum ?? one.min)], ["max", (one) => three(one.maximum ?? one.max)], ["mean", (one) => three(one.mean)], ["std", (one) => three(one.std)],
      ["norm", (one) => three(Math.sqrt(Math.max(0, (one.mean ** 2 + one.std ** 2) * ((one.count || 0) - bad(one)))))],
      ["zeros", (one) => (one.zeros === undefined ? "" : `${count(one.zeros)}${one.count ? ` of ${count(one.count)}` : ""}`)],
      ["NaN, Inf", (one) => (bad(one) ? h("b", { class: "red" }, `${count(one.nans || 0)}, ${count(one.infs || 0)}`) : "0, 0")],
    ].map(([name, tell], i) => [i < 4 ? sized(data.dtype, name) : name, ...both.map(tell)]);
    const drawn = both.map((one, i) => (one.histogram?.length ? h("div", {}, slope && h("div", { class: "cap" }, h("b", {}, i ? "Gradient" : "Value")), this.histogram(one, i ? "--bwd" : "--k-activation")) : ""));
    return [section(slope ? "Value and gradient, in numbers" : "Value", value.sampled && value.count && value.sampled < value.count ? `histogram of ${count(value.sampled)} samples` : "",
      h("div", { class: "tiles", "data-n": both.length }, drawn), table(slope ? ["", "Value", "Gradient"] : null, rows))];
  }

  histogram(value, colour) {
    const bars = value.histogram;
    const top = Math.max(...bars, 1);
    const w = 136 / bars.length;
    const edges = value.edges || [];
    return h("div", {},
      s("svg", { class: "hist", viewBox: "0 0 136 44", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram from ${three(edges[0])} to ${three(edges[1])}` },
        bars.map((n, i) => {
          const height = n ? Math.max(1, 42 * Math.sqrt(n / top)) : 0;
          return s("rect", { x: i * w + 0.3, y: 44 - height, width: Math.max(0.4, w - 0.6), height, fill: `var(${colour})`, opacity: 0.8 });
        }), s("path", { d: "M0 43.5h136", stroke: "var(--line2)" })),
      h("div", { class: "row num dim" }, three(edges[0]), h("span", { class: "grow" }), three(edges[1])));
  }

  attributes(data) {
    const facts = Object.entries(data.attrs || {});
    if (!facts.length) return "";
    return section("Attributes", "", table(null, facts.map(([name, value]) => [name, h("span", { class: "mono" }, typeof value === "string" ? value : JSON.stringify(value))])));
  }

  /** After a stop or a change of settings: what is shown may have changed. */
  refresh() {
    if (!this.target) return this.nothing();
    if (this.target.group) {
      const group = this.state.groups.get(this.target.group);
      return group ? this.group(group) : this.nothing();
    }
    const slot = this.state.slots.get(this.target.slot);
    return slot ? this.slot(slot, { soon: true }) : this.nothing();
  }
}

