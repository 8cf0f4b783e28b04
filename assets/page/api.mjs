// What tests and scripts may ask of the page.
import { svg } from "./picture.mjs";

/** `window.dsviz.graph`, for tests and scripts. Nodes are named by their number. */
export function api(state, graph) {
  return {
    get count() { return state.counts.nodes; },
    get visible() { return graph.scene.visible; },
    /** How many places for nodes the page knows, and how many of them still wait to be drawn. */
    get known() { return state.slots.size; },
    /** How many there are in all: `known` is on its way there while a large graph comes. */
    get expected() { return state.counts.places; },
    get waiting() { return graph.queue.slots.length; },
    get current() { return state.paused && state.run.stop?.node ? state.run.stop.node : null; },
    position(node) {
      graph.flush();
      const item = graph.scene.itemOfNode(node);
      return item ? { x: item.x, y: item.y, width: item.w, height: item.h } : null;
    },
    /** Where everything drawn stands, by the name of its place or group. */
    places() {
      const found = {};
      for (const item of graph.scene.layout.items.values()) found[item.key] = `${item.x},${item.y}`;
      return found;
    },
    /** Fold as the menu does: "layers", "none", "inner", "loops", "1" ... */
    fold(choice) { graph.setFolds(choice); },
    /** Fold or unfold the innermost module around what is in the middle of the view. */
    toggle() {
      const { view, width, height } = graph.painter;
      const x = (width / 2 - view.x) / view.k, y = (height / 2 - view.y) / view.k;
      let box = null;
      for (const other of graph.scene.layout.boxes.values()) {
        if (y >= other.y && y <= other.y + other.h && x >= other.x && x <= other.x + other.w && (!box || other.depth > box.depth)) box = other;
      }
      if (box) graph.toggleFold(box.id);
    },
    svg: () => svg(graph.painter),
    /** Where a node is on the screen, and whether it is drawn: {x, y} of its middle. */
    screen(node) {
      graph.flush();
      const item = graph.scene.itemOfNode(node);
      if (!item || !graph.painter.shows(item)) return null;
      const r = graph.box.getBoundingClientRect();
      const { k, x, y } = graph.painter.view;
      return { x: r.x + x + (item.x + item.w / 2) * k, y: r.y + y + (item.y + item.h / 2) * k };
    },
    /** Where the header of a loop offers its turns, on the screen. */
    turnBadge(label) {
      const box = [...graph.scene.layout.boxes.values()].find((one) => state.groups.get(one.id)?.label === label);
      if (!box?.turnBadge) return null;
      const r = graph.box.getBoundingClientRect();
      const { k, x, y } = graph.painter.view;
      return { x: r.x + x + box.turnBadge.x * k, y: r.y + y + (box.y + 11) * k, width: box.turnBadge.w * k };
    },
    get chosen() { return [...graph.selection.keys]; },
    get hidden() { return graph.scene.hiding.count; },
    /** Numbers of the nodes on the path that is shown. */
    get path() {
      const { path } = graph.painter.look;
      if (!path) return [];
      return [...state.slots.values()].filter((slot) => slot.node && slot.role !== "parameter" && path.has(graph.scene.layout.itemOf(state, slot)?.key)).map((slot) => slot.node);
    },
    get colour() { return graph.painter.look.colour; },
    /** What the colours go by of the thing that stands for a node, summed where it is folded. */
    facts(node) {
      graph.colours.again();
      const { look } = graph.painter;
      const item = graph.scene.itemOfNode(node);
      return item && look.tally.of(item, look);
    },
    /** How many edges are drawn as cut by a partition. */
    get cut() { return graph.painter.look.tally.cut.size; },
    get zoom() { return graph.painter.view.k; },
    /** Groups as the page knows them. */
    groups: () => [...state.groups.values()].map(({ id, kind, label, turns, turn, taken }) => ({ id, kind, label, turns, turn, taken })),
    /** Edges that are drawn: the nodes at their ends, whether the turn shown used them, and how wide they are. */
    edges() {
      graph.flush();
      const node = (item) => scene.slotsOf(item).find((slot) => slot.node)?.node ?? null;
      const { scene } = graph;
      return scene.edges.drawn.map((edge) => ({ from: node(edge.a), to: node(edge.b), kind: edge.kind, live: edge.live, width: edge.width }));
    },
    nodes() {
      return [...state.slots.values()].filter((slot) => slot.node).map((slot) => ({
        id: slot.node, slot: slot.id, op: slot.op, label: slot.label, shape: slot.shape, dtype: slot.dtype,
        phase: ["forward", "backward", "optimizer"][slot.phase], module: slot.module, status: slot.status, line: slot.line, role: slot.role,
      }));
    },
  };
}
