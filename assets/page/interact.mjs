// Pointer and keys in the graph.

const TIP_AFTER = 150;

export function interact(pane) {
  const { box, painter } = pane;
  let tip = 0;

  const point = (event) => {
    const r = box.getBoundingClientRect();
    const x = event.clientX - r.left, y = event.clientY - r.top;
    return { x, y, hit: pane.scene.at((x - painter.view.x) / painter.view.k, (y - painter.view.y) / painter.view.k) };
  };
  const outside = (event) => event.target.closest(".card, .find, #mini, .empty button");

  box.addEventListener("wheel", (event) => {
    if (outside(event)) return;
    event.preventDefault();
    const { x, y } = point(event);
    if (event.ctrlKey || event.metaKey) pane.zoom(Math.exp(-event.deltaY * 0.004), x, y);
    else pane.pan(-(event.shiftKey ? event.deltaY : event.deltaX), event.shiftKey ? 0 : -event.deltaY);
    pane.tell(null);
  }, { passive: false });

  box.addEventListener("pointerdown", (event) => {
    if (outside(event) || event.button > 1) return;
    const start = point(event);
    let { clientX: x, clientY: y } = event;
    let moved = false;
    box.setPointerCapture(event.pointerId);
    const move = (e) => {
      if (!moved && Math.abs(e.clientX - x) + Math.abs(e.clientY - y) < 4) return;
      moved = true;
      pane.pan(e.clientX - x, e.clientY - y);
      ({ clientX: x, clientY: y } = e);
    };
    const up = () => {
      box.removeEventListener("pointermove", move);
      if (!moved) pane.select(start.hit?.item ? start.hit.item.key : start.hit?.box ? `g${start.hit.box.id}` : null);
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", up, { once: true });
    box.addEventListener("pointercancel", () => box.removeEventListener("pointermove", move), { once: true });
  });

  box.addEventListener("dblclick", (event) => {
    if (outside(event)) return;
    const { hit } = point(event);
    if (hit?.box) pane.toggleFold(hit.box.id);
    else if (hit?.item?.folded) pane.toggleFold(hit.item.group);
  });

  box.addEventListener("pointermove", (event) => {
    clearTimeout(tip);
    if (event.buttons || outside(event)) return hover(null);
    const { x, y, hit } = point(event);
    hover(hit);
    if (hit) tip = setTimeout(() => pane.tell(hit, x, y), TIP_AFTER);
    else pane.tell(null);
    return undefined;
  });
  box.addEventListener("pointerleave", () => {
    clearTimeout(tip);
    hover(null);
  });

  function hover(hit) {
    const key = hit?.item?.key || null;
    box.classList.toggle("pointing", Boolean(hit));
    if (!hit) pane.tell(null);
    if (key === painter.look.hover) return;
    painter.look.hover = key;
    pane.request();
  }

  box.addEventListener("keydown", (event) => {
    if (event.target !== box || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      "+": () => pane.zoom(1.2), "=": () => pane.zoom(1.2), "-": () => pane.zoom(1 / 1.2),
      0: () => { pane.following = true; pane.fit(); }, 9: () => pane.fitAll(), ".": () => pane.goToCurrent(),
      p: () => pane.togglePath(), P: () => pane.togglePath(),
      Enter: () => foldSelected(), Escape: () => pane.select(null),
      1: () => pane.colourBy("kind"), 2: () => pane.colourBy("time"), 3: () => pane.colourBy("bytes"), 4: () => pane.colourBy("dtype"),
      5: () => pane.colourBy("norm"), 6: () => pane.colourBy("finite"), 7: () => pane.colourBy("difference"),
      ArrowUp: () => walk("up"), ArrowDown: () => walk("down"), ArrowLeft: () => walk("left"), ArrowRight: () => walk("right"),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  function foldSelected() {
    const item = pane.scene.layout.items.get(pane.selected);
    if (item?.folded) pane.toggleFold(item.group);
    else if (item && item.frame.host) pane.toggleFold(item.frame.id);
    else if (pane.selected?.startsWith("g")) pane.toggleFold(Number(pane.selected.slice(1)));
  }

  /** Up and down follow the edges first, then what is nearest; left and right what is nearest. */
  function walk(way) {
    const { layout, edges } = pane.scene;
    const here = layout.items.get(pane.selected) || layout.items.get(painter.look.current) || layout.items.values().next().value;
    if (!here) return;
    const vertical = way === "up" || way === "down";
    const sign = way === "down" || way === "right" ? 1 : -1;
    const linked = vertical
      ? (edges.ofItem.get(here.key) || []).filter((e) => e.kind === "flow" && e.live && !e.carried).map((e) => (e.a === here ? e.b : e.a)).filter((o) => (o.y - here.y) * sign > 4)
      : [];
    let best = null;
    let score = Infinity;
    for (const other of linked.length ? linked : pane.scene.itemBands.between(here.y - 900, here.y + 900)) {
      const dx = other.x + other.w / 2 - here.x - here.w / 2, dy = other.y - here.y;
      const along = (vertical ? dy : dx) * sign;
      const off = Math.abs(vertical ? dx : dy);
      if (other !== here && along > 4 && along + off * 2.2 < score) {
        score = along + off * 2.2;
        best = other;
      }
    }
    if (!best) return;
    pane.select(best.key);
    pane.show(best);
  }
}
