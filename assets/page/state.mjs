// What the page knows of the run: groups, slots, and which slot each node is bound to.

const MOST_NODES = 1 << 19; // nodes of which the page remembers where they stand; the server keeps fewer

/** A place for a node. Its fields are written out because that makes reading them several times as fast. */
class Slot {
  constructor(row) {
    this.take(row);
  }

  take(row) {
    this.id = row[0];
    this.group = row[1];
    this.node = row[2];
    this.op = row[3];
    this.label = row[4];
    this.family = row[5];
    this.phase = row[6];
    this.status = row[7];
    this.inputs = row[8];
    this.shape = row[9];
    this.dtype = row[10];
    this.file = row[11];
    this.line = row[12];
    this.twin = row[13];
    this.iteration = row[14];
    this.ns = row[15];
    this.nbytes = row[16];
    this.saved = row[17];
    this.role = row[18];
    this.name = row[19];
    this.module = row[20];
    this.turn = row[21];
    this.note = row[22];
    this.others = row[23];
  }
}

export class State {
  constructor() {
    this.clear();
  }

  clear() {
    this.hello = null;
    this.run = null; // the latest state message
    this.frame = 0; // the Python frame that variables, watches and the console speak of
    this.groups = new Map();
    this.slots = new Map();
    this.slotOf = new Int32Array(1024).fill(-1); // slot of each node, from node `firstNode` on
    this.firstNode = 0;
    this.lastNode = 0;
    this.lastIteration = -1;
    this.ran = false; // whether any node has run
    this.twinOf = new Map(); // forward slot -> its backward slot
    this.counts = { nodes: 0, events: 0, overhead: null, places: 0 };
    this.settings = { level: 1, breakpoints: [], switches: [] };
    this.watches = [];
    this.files = new Map();
  }

  get stop() {
    return this.run?.state === "paused" || this.run?.stop?.error ? this.run.stop : null;
  }

  get paused() {
    return this.run?.state === "paused";
  }

  /** Take one message; what kind of thing changed is its `t`. */
  take(message) {
    switch (message.t) {
      case "hello":
        this.clear();
        this.hello = message;
        this.settings.level = message.level;
        for (const file of message.files) this.files.set(file.id, file);
        break;
      case "process":
        Object.assign(this.hello, message, { t: "hello" });
        break;
      case "files":
        for (const file of message.items) this.files.set(file.id, file);
        break;
      case "state":
        this.run = message;
        this.frame = 0; // of a new stop the innermost frame is chosen
        if (message.stop?.node && message.stop.slot !== null && message.stop.slot !== undefined) {
          this.bind(message.stop.node, message.stop.slot);
        }
        break;
      case "groups":
        for (const group of message.items) this.groups.set(group.id, { ...this.groups.get(group.id), ...group });
        break;
      case "slots":
        for (const row of message.items) this.takeSlot(row);
        break;
      case "nodes":
        for (let i = 0; i < message.slots.length; i++) this.bind(message.first + i, message.slots[i]);
        break;
      case "count":
        Object.assign(this.counts, message);
        break;
      case "watches":
        this.watches = message.items;
        break;
      case "settings":
        Object.assign(this.settings, message);
        break;
      default:
    }
  }

  takeSlot(row) {
    let slot = this.slots.get(row[0]);
    if (slot) slot.take(row);
    else this.slots.set(row[0], (slot = new Slot(row)));
    if (!slot.role && slot.status !== "pending") this.ran = true;
    if (slot.iteration > this.lastIteration) this.lastIteration = slot.iteration;
    if (slot.phase === 1 && slot.twin) this.twinOf.set(slot.twin, slot.id);
    if (slot.node) this.bind(slot.node, slot.id);
  }

  bind(node, slot) {
    if (node > this.lastNode) this.lastNode = node;
    if (node < this.firstNode) return;
    if (node - this.firstNode >= this.slotOf.length) this.makeRoom(node);
    this.slotOf[node - this.firstNode] = slot ?? -1;
  }

  /** Room for a node: twice as much as before, and from MOST_NODES on by forgetting the older half. */
  makeRoom(node) {
    const keep = Math.min(this.slotOf.length, MOST_NODES / 2);
    const first = Math.max(this.firstNode, node >= this.firstNode + MOST_NODES ? node - keep : 0);
    const wider = new Int32Array(Math.min(MOST_NODES, Math.max(node - first + 1, this.slotOf.length * 2))).fill(-1);
    const old = this.slotOf.subarray(Math.min(first - this.firstNode, this.slotOf.length));
    wider.set(old.subarray(0, wider.length));
    this.slotOf = wider;
    this.firstNode = first;
  }

  slotOfNode(node) {
    const at = node - this.firstNode;
    const slot = node > 0 && at >= 0 && at < this.slotOf.length ? this.slotOf[at] : -1;
    return slot === -1 ? null : this.slots.get(slot) || null;
  }

  fileName(id) {
    return this.files.get(id)?.name || "";
  }

  place(file, line) {
    const name = this.fileName(file);
    return name && line ? `${name}:${line}` : name;
  }

  /** Groups around `group`, innermost first, itself included. */
  *around(group) {
    for (let g = this.groups.get(group); g; g = this.groups.get(g.parent)) yield g;
  }
}
