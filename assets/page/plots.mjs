// Dash, which draws the plots: its scripts lie in the page's template, so that the page can be used before they have run.
// Plotly's is one task that takes a browser most of a second the first time. So they start when the program stands and
// nobody does anything, or when somebody takes hold of a plot. (In a page with the run inside it there is no Dash.)

const LOOK = 20; // milliseconds between two looks whether Dash is there
const CALM = 1200; // milliseconds without a click or a key, after which a person is looking rather than stepping
const AGAIN = 150; // milliseconds between two looks whether it is calm

let coming = null;
let set = null;
let hurry = false;
let touched = performance.now();
for (const kind of ["click", "pointerdown", "keydown", "wheel"]) addEventListener(kind, () => { touched = performance.now(); }, { capture: true, passive: true });

/** Dash's way to set properties from outside, null as long as Dash is not there. */
export const dash = () => set;

/** Resolves with `dash()` once Dash has drawn its part of the page, for which it waits until `stands()`; with `now` it does not. */
export function plots(stands, now = false) {
  hurry ||= now;
  coming ||= begin(stands).then((found) => (set = found), (error) => { coming = null; throw error; }); // the next who asks tries again
  return coming;
}

async function begin(stands) {
  while (!hurry && !(stands() && performance.now() - touched > CALM)) await new Promise((done) => { setTimeout(done, AGAIN); });
  await new Promise((done) => { requestIdleCallback(done, { timeout: 1000 }); });
  const parts = document.getElementById("dash").content;
  const scripts = [...parts.querySelectorAll("script[src]")];
  for (const part of [...parts.children]) if (part.type === "application/json") document.body.append(part);
  await Promise.all(scripts.map(run)); // fetched together, run in their order
  run(parts.querySelector("#_dash-renderer"));
  while (!document.getElementById("memory-figure")?.matches(".dash-graph") || !window.dash_clientside?.set_props) {
    await new Promise((done) => { setTimeout(done, LOOK); });
  }
  return window.dash_clientside.set_props;
}

/** A script of the template is inert for good; one like it runs. */
function run({ src, id, textContent }) {
  const script = document.createElement("script");
  script.async = false;
  script.id = id;
  const done = src ? new Promise((loaded, failed) => { script.onload = loaded; script.onerror = () => failed(new Error(`${src} did not load.`)); }) : null;
  if (src) script.src = src;
  else script.textContent = textContent;
  document.body.append(script);
  return done;
}
