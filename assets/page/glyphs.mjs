// Path data of the icons (16 x 16) and of the op kinds' signs (12 x 12). A path in an array is filled.

export const ICONS = {
  cont: ["M3.5 3.5v9", ["M6.5 3.5l7 4.5-7 4.5z"]],
  pause: [["M4 3.5h2.6v9H4z"], ["M9.4 3.5H12v9H9.4z"]],
  next: ["M8 2.5v4M5.6 4.6L8 7l2.4-2.4", "M3 13.5h10", ["M8 8.6a1.8 1.8 0 1 0 .01 0z"]],
  over: ["M2.5 8.5a5.5 5.5 0 0 1 10.4-2.3M13.4 3v3.5H9.9", ["M8 10.4a1.8 1.8 0 1 0 .01 0z"]],
  into: ["M8 1.8v6.7M4.8 5.6L8 8.8l3.2-3.2", ["M8 10.9a1.8 1.8 0 1 0 .01 0z"]],
  out: ["M8 9V2.2M4.8 5.2L8 2l3.2 3.2", ["M8 10.9a1.8 1.8 0 1 0 .01 0z"]],
  back: ["M13.5 8H7.4M10 5.2L7.2 8l2.8 2.8", ["M3.6 6.2a1.8 1.8 0 1 0 .01 0z"]],
  reverse: ["M12.5 3.5v9", ["M9.5 3.5l-7 4.5 7 4.5z"]],
  restart: ["M13 8a5 5 0 1 1-1.5-3.6M13.2 1.9v3h-3"],
  stop: [["M4 4h8v8H4z"]],
  find: ["M7 2.5a4.5 4.5 0 1 0 .01 0zM10.4 10.4L14 14"],
  moon: ["M13 9.6A5.5 5.5 0 1 1 6.4 3a4.4 4.4 0 0 0 6.6 6.6z"],
  sun: ["M8 5.2a2.8 2.8 0 1 0 .01 0zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9"],
  chev: ["M4 6l4 4 4-4"],
  plus: ["M8 3.5v9M3.5 8h9"],
  minus: ["M3.5 8h9"],
  fit: ["M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10"],
  here: ["M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3", ["M8 6a2 2 0 1 0 .01 0z"]],
  rec: ["M8 2a6 6 0 1 0 .01 0z", ["M8 5a3 3 0 1 0 .01 0z"]],
  dots: [["M3.5 6.8a1.2 1.2 0 1 0 .01 0z"], ["M8 6.8a1.2 1.2 0 1 0 .01 0z"], ["M12.5 6.8a1.2 1.2 0 1 0 .01 0z"]],
  x: ["M4 4l8 8M12 4l-8 8"],
  check: ["M3 8.5l3.4 3.4L13 5"],
  warn: ["M8 2.2l6.3 11.3H1.7zM8 6.6v3.2M8 11.7v.1"],
  copy: ["M5.5 5.5h8v8h-8zM10.5 5.3V2.5h-8v8h2.8"],
  info: ["M8 1.8a6.2 6.2 0 1 0 .01 0zM8 7.3v3.8M8 4.9v.1"],
  edit: ["M3 13l.6-2.9L10.9 2.8l2.3 2.3-7.3 7.3z"],
  pathi: ["M3 3.2a1.4 1.4 0 1 0 .01 0zM13 10.2a1.4 1.4 0 1 0 .01 0zM4.5 4.5C9 4.5 4 11.6 11.4 11.6"],
  save: ["M8 2v7.5M4.8 6.6L8 9.8l3.2-3.2M2.5 13.5h11"],
  eye: ["M2 8c2.6-4.4 9.4-4.4 12 0-2.6 4.4-9.4 4.4-12 0zM3 13.5L13 2.5"],
  alone: ["M2.5 5V2.5H5M11 2.5h2.5V5M13.5 11v2.5H11M5 13.5H2.5V11", ["M5.5 6h5v4h-5z"]],
  tree: ["M3 3.5h4M3 3.5v9M3 8h4M3 12.5h4M9.5 3.5h4M9.5 8h4M9.5 12.5h4"],
};

export const KINDS = {
  linear: ["Linear algebra", [["M1 1h4v4H1zM7 1h4v4H7zM1 7h4v4H1zM7 7h4v4H7z"]]],
  elementwise: ["Elementwise", ["M6 1.4a4.6 4.6 0 1 0 .01 0z", ["M6 4.6a1.4 1.4 0 1 0 .01 0z"]]],
  activation: ["Activation", ["M1 10.2C6.4 10.2 5.6 1.8 11 1.8"]],
  shape: ["Shape", ["M1.5 1.5L6 6l4.5-4.5M6 6v5"]],
  reduce: ["Reduce, loss", ["M10 1.5H2.2L6.3 6l-4.1 4.5H10"]],
  random: ["Random", [[
    "M2.6 1.2a1.5 1.5 0 1 0 .01 0zM9.4 1.2a1.5 1.5 0 1 0 .01 0zM6 4.5a1.5 1.5 0 1 0 .01 0zM2.6 7.8a1.5 1.5 0 1 0 .01 0zM9.4 7.8a1.5 1.5 0 1 0 .01 0z",
  ]]],
  other: ["Other", ["M6 1.5L10.5 6 6 10.5 1.5 6z"]],
};

/** The kind shown for a slot: its op's family, or for a leaf what it holds. */
export function kindOf(slot) {
  return KINDS[slot.family] ? slot.family : slot.role ? "shape" : "other";
}
