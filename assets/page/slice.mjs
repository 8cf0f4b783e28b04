// A part of an array, made small enough to look at, for a run that is in the page: what `dsviz.debuggee.view.look` gives.

const SIDE = 64, MAPS = 16, MAP_SIDE = 32, HEADS = 12, HEAD_SIDE = 48, IMAGE_SIDE = 128, BINS = 32;
const PART = /^\s*(?:(-?\d+)|(-?\d+)?\s*:\s*(-?\d+)?(?:\s*:\s*(-?\d+)?)?)\s*$/;
const KINDS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array };

const product = (sizes) => sizes.reduce((all, size) => all * size, 1);

/** The numbers of a packed array: {shape, dtype, kind: "f4", "f8" or "u1", data in base64}. */
export function unpack({ shape, dtype, kind, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return { shape, dtype, numbers: new KINDS[kind](bytes.buffer) };
}

/** What a person wrote between the brackets: for each dimension its entries, and whether it stays one. Throws a sentence. */
export function parse(text, shape) {
  const parts = text.trim() ? text.split(",") : [];
  if (parts.length > shape.length) throw new Error(`[${text}] has ${parts.length} entries, but the value has ${shape.length} dimensions.`);
  return shape.map((size, dim) => {
    if (dim >= parts.length) return { at: [...Array(size).keys()], keeps: true };
    const match = PART.exec(parts[dim]);
    if (!match) throw new Error(`[${text}]: '${parts[dim].trim()}' is no index; write a number or first:last.`);
    if (match[1] !== undefined) {
      const number = Number(match[1]);
      if (number < -size || number >= size) throw new Error(`[${text}]: dimension ${dim} has ${size} entries, so ${number} is outside.`);
      return { at: [number < 0 ? number + size : number], keeps: false };
    }
    const [first, last, by] = match.slice(2).map((bound) => (bound === undefined ? null : Number(bound)));
    if (by === 0) throw new Error(`[${text}]: a step of 0 leads nowhere.`);
    return { at: range(first, last, by ?? 1, size), keeps: true };
  });
}

/** The entries of a Python slice. */
function range(first, last, by, size) {
  const inside = (bound, low, high) => Math.min(Math.max(bound < 0 ? bound + size : bound, low), high);
  const start = by > 0 ? (first === null ? 0 : inside(first, 0, size)) : first === null ? size - 1 : inside(first, -1, size - 1);
  const end = by > 0 ? (last === null ? size : inside(last, 0, size)) : last === null ? -1 : inside(last, -1, size - 1);
  const found = [];
  for (let i = start; by > 0 ? i < end : i > end; i += by) found.push(i);
  return found;
}

/** The part of an array that an index names. */
function taken({ shape, dtype, numbers }, index) {
  const strides = shape.map((_, dim) => product(shape.slice(dim + 1)));
  let offsets = [0];
  index.forEach(({ at }, dim) => { offsets = offsets.flatMap((offset) => at.map((entry) => offset + entry * strides[dim])); });
  return { shape: index.filter((one) => one.keeps).map((one) => one.at.length), dtype, numbers: offsets.map((offset) => numbers[offset]) };
}

const isFloat = (dtype) => /^(b?float)/.test(dtype);
const plain = (value, dtype) => (dtype === "bool" ? Boolean(value) : Number.isFinite(value) ? (isFloat(dtype) ? Number(value.toPrecision(5)) : value) : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");

function bounds(numbers) {
  let low = Infinity, high = -Infinity;
  for (const value of numbers) if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  return low <= high ? [low, high] : [null, null];
}

function histogram(numbers, [low, high]) {
  if (low === null || !Number.isFinite(high - low)) return [];
  const bins = Array(BINS).fill(0), wide = (high > low ? high - low : 1) / BINS;
  for (const value of numbers) if (Number.isFinite(value)) bins[Math.min(BINS - 1, Math.floor((value - low) / wide))]++;
  return bins;
}

/** Every n-th row and column of a matrix, so that none has more than `side`. */
function small({ shape: [rows, columns], dtype, numbers }, side) {
  const every = [rows, columns].map((size) => Math.max(1, Math.ceil(size / side)));
  const found = [];
  for (let y = 0; y < rows; y += every[0]) {
    const row = [];
    for (let x = 0; x < columns; x += every[1]) row.push(plain(numbers[y * columns + x], dtype));
    found.push(row);
  }
  return [found, every];
}

const channelsFirst = ([channels, high, wide]) => [1, 3, 4].includes(channels) && Math.min(high, wide) >= 8;

function isImage({ shape, dtype, numbers }) {
  if (!numbers.length) return false;
  if (shape.length === 2) return (isFloat(dtype) || dtype.startsWith("uint")) && Math.min(...shape) >= 8;
  const last = shape.slice(-3);
  return shape.length > 2 && (channelsFirst(last) || ([1, 3, 4].includes(last[2]) && Math.min(last[0], last[1]) >= 8));
}

function isAttention({ shape, dtype, numbers }) {
  const wide = shape[shape.length - 1];
  if (shape.length < 2 || !isFloat(dtype) || wide < 2 || !numbers.length) return false;
  for (let row = 0; row < Math.min(SIDE, numbers.length / wide); row++) {
    let sum = 0;
    for (let i = row * wide; i < (row + 1) * wide; i++) {
      if (!(numbers[i] >= 0)) return false;
      sum += numbers[i];
    }
    if (Math.abs(sum - 1) > 1e-2 + 1e-5) return false;
  }
  return true;
}

/** The first image of a part: three bytes a pixel in base64, stretched to 0 to 255. */
function image({ shape, dtype, numbers }) {
  const last = shape.length === 2 ? [1, ...shape] : shape.slice(-3);
  const first = channelsFirst(last) || shape.length === 2;
  const [channels, high, wide] = first ? last : [last[2], last[0], last[1]];
  const at = (c, y, x) => { const value = numbers[first ? (c * high + y) * wide + x : (y * wide + x) * channels + c]; return Number.isFinite(value) ? value : 0; };
  const every = Math.max(1, Math.ceil(Math.max(high, wide) / IMAGE_SIDE));
  const values = [];
  for (let y = 0; y < high; y += every) for (let x = 0; x < wide; x += every) for (let c = 0; c < 3; c++) values.push(at(channels >= 3 ? c : 0, y, x));
  const [low, top] = dtype === "uint8" ? [0, 255] : bounds(values);
  const data = btoa(values.map((value) => String.fromCharCode(Math.floor((value - low) * (255 / (top - low || 1))))).join(""));
  return { width: Math.ceil(wide / every), height: Math.ceil(high / every), data };
}

/** What the server would answer to `look`. Throws a sentence where the index does not fit. */
export function look(array, text, kind) {
  const part = taken(array, parse(text, array.shape));
  const range = bounds(part.numbers);
  const answer = { shape: array.shape, dtype: array.dtype, part: part.shape, range, histogram: histogram(part.numbers, range),
    kinds: array.shape.length > 2 ? [["image", isImage], ["attention", isAttention]].filter(([, fits]) => fits(part)).map(([name]) => name) : [] };
  if (kind === "image" && answer.kinds.includes("image")) answer.image = image(part);
  let matrix = part.shape.length < 2 ? { ...part, shape: [1, part.numbers.length] } : part;
  if (part.shape.length > 2) {
    const size = part.shape.slice(-2), each = product(size);
    const one = (i) => ({ shape: size, dtype: part.dtype, numbers: part.numbers.slice(i * each, (i + 1) * each) });
    const [most, side] = kind === "attention" ? [HEADS, HEAD_SIDE] : [MAPS, MAP_SIDE];
    answer.count = product(part.shape.slice(0, -2));
    answer.maps = Array.from({ length: Math.min(most, answer.count) }, (_, i) => small(one(i), side)[0]);
    matrix = answer.count ? one(0) : { ...part, shape: [0, 0] };
  }
  [answer.rows, answer.every] = small(matrix, SIDE);
  return answer;
}
