// Dash loads this one file as a classic script; the page itself is made of the ES modules in `page/`.
import(new URL("page/main.mjs", document.currentScript.src));
