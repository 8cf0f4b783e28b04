// What tests and scripts may ask of the page.

/** `window.dsviz.graph`, for tests and scripts. Nodes are named by their number. */
export function api(state, graph) {
  return {
    get count() { return state.counts.nodes; },
    get visible() { return graph.scene.visible; },
    get current() { return state.paused && state.run.stop?.node ? state.run.stop.node : null; },
    position(node) {
      graph.flush();
      const item = graph.scene.itemOfNode(node);
      return item ? { x: item.x, y: item.y, width: item.w, height: item.h } : null;
    },
    /** Edges that are drawn: the nodes at their ends, and whether the turn shown used them. */
    edges() {
      graph.flush();
      const node = (item) => scene.slotsOf(item).find((slot) => slot.node)?.node ?? null;
      const { scene } = graph;
      return [...scene.edges.drawn.values()].map((edge) => ({ from: node(edge.a), to: node(edge.b), kind: edge.kind, live: edge.live }));
    },
    nodes() {
      return [...state.slots.values()].filter((slot) => slot.node).map((slot) => ({
        id: slot.node, slot: slot.id, op: slot.op, label: slot.label, shape: slot.shape, dtype: slot.dtype,
        phase: ["forward", "backward", "optimizer"][slot.phase], module: slot.module, status: slot.status, line: slot.line, role: slot.role,
      }));
    },
  };
}
