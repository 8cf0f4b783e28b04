// The verbs, their keys, and what the bar says of the run.
import { $, prime, say } from "./dom.mjs";

const VERBS = ["continue", "pause", "next", "into", "over", "out", "step_back", "reverse_continue", "restart", "stop"];
const STEPS = new Set(["continue", "next", "into", "over", "out"]);
const ENDED = new Set(["finished", "failed", "killed", "stopped", "lost"]);
const TONES = { paused: "paused", running: "running", starting: "", finished: "", stopped: "", failed: "bad", killed: "bad", lost: "bad" };
const SAID = { starting: "Starting", running: "Running", finished: "Finished", failed: "Failed", killed: "Killed", stopped: "Stopped", lost: "Out of reach" };
const PHASES = ["forward", "backward", "optimizer"];

export class Toolbar {
  /** `on.verb(name)`, `on.level(level)` */
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.linked = false;
    for (const verb of VERBS) $(`btn-${verb}`).onclick = () => on.verb(verb);
    for (const button of $("trace-level").children) button.onclick = () => on.level(Number(button.dataset.value));
    addEventListener("keydown", (event) => this.key(event), true);
  }

  link(up) {
    this.linked = up;
    this.update();
  }

  can(verb) {
    const state = this.state.run?.state;
    if (!this.linked || !state) return false;
    if (this.state.run.moments) return verb === "continue" ? this.state.run.moment + 1 < this.state.run.moments.length : verb === "reverse_continue" && this.state.run.moment > 0;
    if (STEPS.has(verb)) return state === "paused";
    if (verb === "step_back" || verb === "reverse_continue") return state === "paused" || ENDED.has(state);
    if (this.state.run.recording) return false; // there is no program
    if (verb === "pause") return state === "running";
    if (verb === "stop") return !ENDED.has(state);
    return state !== "starting";
  }

  key(event) {
    const ctrl = event.ctrlKey || event.metaKey;
    const verb = {
      F8: event.shiftKey || ctrl ? null : this.state.paused ? "continue" : "pause",
      F10: ctrl ? null : event.shiftKey ? "over" : "next",
      F11: ctrl ? null : event.shiftKey ? "out" : "into",
      F7: ctrl ? null : event.shiftKey ? "reverse_continue" : "step_back",
      F5: event.shiftKey ? (ctrl ? "restart" : "stop") : null,
    }[event.key];
    if (!verb) return;
    event.preventDefault();
    event.stopPropagation();
    if (this.can(verb)) this.on.verb(verb);
  }

  /** Everything that follows from the latest state, settings and counts. */
  update() {
    const { state } = this;
    const { run } = state;
    const name = run?.state || "starting";
    const stop = run?.stop;
    for (const verb of VERBS) $(`btn-${verb}`).disabled = !this.can(verb);
    const mismatch = name === "paused" && stop?.error;
    const reason = name === "paused" ? (mismatch ? reasonOf(stop) : prime(stop?.text || "Paused")) : SAID[name] || name;
    for (const button of $("trace-level").children) button.disabled = Boolean(run?.recording);
    $("btn-edit").hidden = Boolean(run?.recording);
    $("state-chip").dataset.tone = mismatch || (name === "paused" && stop?.reason === "nan") ? "bad" : TONES[name] ?? "";
    if ($("run-state").textContent !== name) $("run-state").textContent = name;
    if ($("stop-reason").textContent !== reason) {
      $("stop-reason").textContent = reason;
      $("stop-reason").title = run?.message || reason;
    }
    const here = name === "paused" && stop ? this.here(stop) : "";
    if ($("current-node").textContent !== here) $("current-node").textContent = here;
    $("iteration").textContent = stop?.node ? String(stop.iteration) : state.lastIteration >= 0 ? String(state.lastIteration) : "-";
    PHASES.forEach((phase, i) => {
      const on = name === "paused" && stop?.node && stop.phase === i;
      const element = $(`phase-${phase}`);
      if (on) element.dataset.on = phase;
      else delete element.dataset.on;
      element.classList.toggle("wide", !on);
    });
    document.title = `${state.hello ? `${state.hello.script} \u00b7 ` : ""}${run?.recording ? "recording" : name} \u00b7 dsviz`;
  }

  here(stop) {
    if (!stop.node) return stop.module ? `module ${stop.module}` : stop.position === "end" ? "end of the program" : "";
    const op = `${prime(stop.op || "")}${stop.phase === 1 ? "\u2032" : ""}`;
    return `${op} #${stop.node}${stop.module ? ` in ${stop.module}` : ""}`;
  }

  settings() {
    const { level } = this.state.settings;
    for (const button of $("trace-level").children) button.setAttribute("aria-checked", String(Number(button.dataset.value) === level));
  }

  hello() {
    const { hello } = this.state;
    $("script-name").textContent = hello.script;
    $("script-args").textContent = hello.args.join(" ");
  }

  counts() {
    const { overhead } = this.state.counts;
    const known = overhead !== null && overhead !== undefined;
    const text = known ? `${overhead.toFixed(1)} %` : "";
    if ($("overhead").textContent !== text) $("overhead").textContent = text;
    if ($("btn-tracing").hidden === known) $("btn-tracing").hidden = !known;
  }

  announce() {
    const { run } = this.state;
    if (run && run.state !== "running") say(run.message || run.state);
  }
}

/** "Shape mismatch" of a stop whose reason is "shape mismatch". */
function reasonOf(stop) {
  return stop.reason.charAt(0).toUpperCase() + stop.reason.slice(1);
}
