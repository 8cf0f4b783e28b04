// Arrow keys: from a node along its edges, else to what is nearest on that side.
import { isFaint } from "./nodepaint.mjs";

const NEAR = 900; // how far up and down what is nearest is looked for

export function walk(pane, way, add = false) {
  const { layout, hiding, itemBands } = pane.scene;
  const start = layout.items.get(pane.selected) || layout.items.get(pane.painter.look.current) || layout.items.values().next().value;
  if (!start) return;
  const vertical = way === "up" || way === "down";
  const sign = way === "down" || way === "right" ? 1 : -1;
  const best = vertical ? nearest(start, linked(start, sign, true), sign, true) || nearest(start, linked(start, sign, false), sign, true) || nearest(start, around(start), sign, true) : nearest(start, around(start), sign, false);
  if (!best) return;
  if (add) {
    pane.selection.add([best.key]);
    pane.selection.first = best.key;
    pane.chosen();
  } else pane.select(best.key);
  pane.camera.show(best);

  /** What an edge joins to an item on that side; behind hidden nodes what these lead to. `ran`: only in the turn shown. */
  function linked(item, side, ran) {
    const found = new Set();
    const seen = new Set([item]);
    const todo = [item];
    while (todo.length) {
      const here = todo.pop();
      for (const edge of here.edges) {
        const other = edge.a === here ? edge.b : edge.a;
        if (edge.kind !== "flow" || !edge.live || edge.carried || seen.has(other) || (ran && isFaint(pane.painter, other)) || (other.y - here.y) * side <= 4) continue;
        seen.add(other);
        if (hiding.shows(other)) found.add(other);
        else todo.push(other);
      }
    }
    return found;
  }

  function* around(item) {
    for (const other of itemBands.between(item.y - NEAR, item.y + NEAR)) if (hiding.shows(other)) yield other;
  }
}

function nearest(here, others, sign, vertical) {
  let best = null;
  let score = Infinity;
  for (const other of others) {
    const dx = other.x + other.w / 2 - here.x - here.w / 2, dy = other.y - here.y;
    const along = (vertical ? dy : dx) * sign;
    const off = Math.abs(vertical ? dx : dy);
    const far = along + off * (vertical ? 2.2 : 6);
    if (other !== here && along > 4 && far < score) {
      score = far;
      best = other;
    }
  }
  return best;
}
