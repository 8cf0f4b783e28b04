// Pointer and keys in the graph.
import { graphMenu } from "./graphmenu.mjs";
import { walk } from "./walk.mjs";

const TIP_AFTER = 150;
const MOVED = 4; // pixels from which a press is a drag

export function interact(pane) {
  const { box, painter } = pane;
  let tip = 0;

  const point = (event) => {
    const r = box.getBoundingClientRect();
    const x = event.clientX - r.left, y = event.clientY - r.top;
    const at = pane.camera.toGraph(x, y);
    return { x, y, at, hit: pane.scene.at(at.x, at.y) };
  };
  const outside = (event) => event.target.closest(".card, .over, .scrub, .empty button");
  const keyOf = (hit) => (hit?.item ? hit.item.key : hit?.box ? `g${hit.box.id}` : null);

  box.addEventListener("wheel", (event) => {
    if (outside(event)) return;
    event.preventDefault();
    const { x, y } = point(event);
    if (event.ctrlKey || event.metaKey) pane.camera.zoom(Math.exp(-event.deltaY * 0.004), x, y);
    else pane.camera.pan(-(event.shiftKey ? event.deltaY : event.deltaX), event.shiftKey ? 0 : -event.deltaY);
    pane.tip.tell(null);
  }, { passive: false });

  box.addEventListener("pointerdown", (event) => {
    if (outside(event) || event.button > 1) return;
    const start = point(event);
    const adds = event.shiftKey || event.ctrlKey || event.metaKey;
    let { clientX: x, clientY: y } = event;
    let moved = false;
    pane.turns.close();
    untell();
    box.setPointerCapture(event.pointerId);
    const move = (e) => {
      if (!moved && Math.abs(e.clientX - x) + Math.abs(e.clientY - y) < MOVED) return;
      moved = true;
      if (adds) pane.band(start.at, point(e).at);
      else pane.camera.pan(e.clientX - x, e.clientY - y);
      ({ clientX: x, clientY: y } = e);
    };
    const end = () => {
      box.removeEventListener("pointermove", move);
      box.removeEventListener("pointerup", up);
      box.removeEventListener("pointercancel", cancel);
    };
    const up = (e) => {
      end();
      if (moved && adds) pane.chooseBand(start.at, point(e).at);
      else if (!moved) press(start, adds);
    };
    const cancel = () => {
      end();
      pane.band(null);
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", up);
    box.addEventListener("pointercancel", cancel);
  });

  function press({ hit, x, y }, add) {
    const group = hit?.turn && pane.state.groups.get(hit.box.id);
    if (group && hit.turn === "pick") pane.turns.open(group, x, y);
    else if (group) pane.turns.step(group, hit.turn === "earlier" ? -1 : 1);
    else if (hit || !add) pane.select(keyOf(hit), { add });
  }

  box.addEventListener("dblclick", (event) => {
    if (outside(event) || event.shiftKey || event.ctrlKey || event.metaKey) return;
    const { hit } = point(event);
    if (hit?.turn) return;
    if (hit?.box) pane.toggleFold(hit.box.id);
    else if (hit?.item?.folded) pane.toggleFold(hit.item.group);
  });

  box.addEventListener("contextmenu", (event) => {
    if (outside(event)) return;
    event.preventDefault();
    let { hit, x, y } = point(event);
    if (event.button !== 2) { // the menu key: about what is chosen
      const thing = pane.scene.layout.items.get(pane.selected) || pane.scene.layout.boxes.get(Number(pane.selected?.slice(1)));
      hit = thing ? (thing.key ? { item: thing } : { box: thing }) : null;
      const { view } = painter;
      [x, y] = thing ? [Math.max(8, thing.x * view.k + view.x + 16), Math.max(8, thing.y * view.k + view.y + 16)] : [60, 60];
    }
    const key = keyOf(hit);
    if (key && !pane.selection.keys.has(key)) pane.select(key);
    untell();
    graphMenu(pane, hit, x, y);
  });

  box.addEventListener("pointermove", (event) => {
    clearTimeout(tip);
    if (event.buttons || outside(event)) return hover(null);
    const { x, y, hit } = point(event);
    hover(hit);
    if (hit) tip = setTimeout(() => pane.tip.tell(hit, x, y), TIP_AFTER);
    else pane.tip.tell(null);
    return undefined;
  });
  box.addEventListener("pointerleave", () => {
    clearTimeout(tip);
    hover(null);
  });

  function untell() {
    clearTimeout(tip);
    pane.tip.tell(null);
  }

  function hover(hit) {
    const key = hit?.item?.key || null;
    box.classList.toggle("pointing", Boolean(hit));
    if (!hit) pane.tip.tell(null);
    if (key === painter.look.hover) return;
    painter.look.hover = key;
    pane.request();
  }

  const keys = {
    "+": () => pane.camera.zoom(1.2), "=": () => pane.camera.zoom(1.2), "-": () => pane.camera.zoom(1 / 1.2),
    0: () => pane.fit(), 9: () => pane.camera.fitAll(), ".": () => pane.goToCurrent(),
    p: () => (pane.way ? pane.showPath(null) : pane.togglePath()), a: () => pane.togglePath("up"), d: () => pane.togglePath("down"),
    h: () => pane.hide(), H: () => pane.showAll(), i: () => pane.isolate(),
    "[": () => turn(-1), "]": () => turn(1),
    Enter: () => foldSelected(), Escape: () => leave(),
    1: () => pane.colours.by("kind"), 2: () => pane.colours.by("time"), 3: () => pane.colours.by("bytes"), 4: () => pane.colours.by("dtype"),
    5: () => pane.colours.by("norm"), 6: () => pane.colours.by("finite"), 7: () => pane.colours.by("difference"), 8: () => pane.colours.by("part"),
    ArrowUp: (add) => walk(pane, "up", add), ArrowDown: (add) => walk(pane, "down", add),
    ArrowLeft: (add) => walk(pane, "left", add), ArrowRight: (add) => walk(pane, "right", add),
  };

  box.addEventListener("keydown", (event) => {
    if (event.target !== box || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "a") return;
      event.preventDefault();
      pane.selectAll();
      return;
    }
    const action = keys[event.key] || (event.shiftKey ? null : keys[event.key.toLowerCase()]);
    if (!action) return;
    event.preventDefault();
    untell();
    action(event.shiftKey);
  });

  function turn(by) {
    const loop = pane.turns.loop();
    if (loop) pane.turns.step(loop, by);
  }

  /** Escape takes away one thing at a time: the selection, then the path. */
  function leave() {
    if (pane.turns.box) pane.turns.close();
    else if (pane.selection.keys.size) pane.select(null);
    else if (pane.way) pane.showPath(null);
  }

  function foldSelected() {
    const item = pane.scene.layout.items.get(pane.selected);
    if (item?.folded) pane.toggleFold(item.group);
    else if (item && item.frame.host) pane.toggleFold(item.frame.id);
    else if (pane.selected?.startsWith("g")) pane.toggleFold(Number(pane.selected.slice(1)));
  }
}
