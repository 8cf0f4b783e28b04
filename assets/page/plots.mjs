// Dash, which draws the plots: its scripts lie in the page's template and start when a plot is wanted, so that the
// page can be used before they have run. (In a page with the run inside it there is no Dash.)

const LOOK = 20; // milliseconds between two looks whether Dash is there

let coming = null;

/** Resolves with Dash's way to set properties from outside, once Dash has drawn its part of the page. */
export function plots() {
  coming ||= begin().catch((error) => { coming = null; throw error; }); // the next who asks tries again
  return coming;
}

async function begin() {
  await new Promise((done) => { requestIdleCallback(done, { timeout: 1000 }); }); // whoever clicks at once comes first
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
