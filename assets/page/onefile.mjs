// Begins the page of a run that is in the page itself.
import { start } from "./main.mjs";
import { Offline } from "./offline.mjs";

/** The data: JSON, packed with gzip, as base64 in a script element that is no script. */
async function unpacked() {
  const text = atob(document.getElementById("run").textContent);
  const packed = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

unpacked().then((data) => start((take, linked) => new Offline(data, take, linked)));
