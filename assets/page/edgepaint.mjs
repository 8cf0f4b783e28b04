// Draws edges, batched by colour and width, and the shapes that stand where they leave their node.
import { shapeText } from "./dom.mjs";
import { SHAPE_FROM, TEXT_FROM } from "./detail.mjs";
import { isFaint, slotOf } from "./nodepaint.mjs";

export function drawEdges(p, y0, y1, x0, x1) {
  const { ctx, c, look, view } = p;
  const plain = view.k < TEXT_FROM;
  const batches = new Map();
  const special = [];
  const cut = []; // of a partition
  const parts = look.colour === "part" && look.tally.cut.size ? look.tally.cut : null;
  const hides = p.scene.hiding.on;
  for (const edge of p.scene.edgeBands.between(y0, y1)) {
    if (edge.y0 > y1 || edge.y1 < y0 || edge.x0 > x1 || edge.x1 < x0) continue;
    if (hides && !(p.shows(edge.a) && p.shows(edge.b))) continue;
    const near = look.chosen.has(edge.a.key) || look.chosen.has(edge.b.key) || edge.a.key === look.hover || edge.b.key === look.hover;
    if (edge.kind !== "flow") {
      if (plain && !near) continue;
      // Across the lanes: shown for what the person points at or chose, not at every stop.
      if (edge.kind === "hidden" && !(near && (look.byHand || edge.a.key === look.hover || edge.b.key === look.hover))) continue;
      special.push([edge, near]);
      continue;
    }
    const onPath = look.path?.joins(edge.a.key, edge.b.key);
    if (parts?.has(`${edge.a.key}|${edge.b.key}`)) { cut.push(edge); continue; }
    // The way around an arm is drawn with the arm: a second faint line beside it would say the same.
    if (!edge.live && !near && !onPath && edge.lane === 0 && edge.path.besideArm) continue;
    if (near || onPath || !edge.live || edge.carried || edge.b.key === look.failed) {
      special.push([edge, near, onPath]);
      continue;
    }
    const todo = isFaint(p, edge.b) || isFaint(p, edge.a);
    const key = `${edge.lane}|${plain ? 1 : Math.round(edge.width * 2) / 2}|${todo ? 1 : 0}`;
    const batch = batches.get(key);
    if (batch) batch.push(edge);
    else batches.set(key, [edge]);
  }
  ctx.lineCap = "round";
  for (const [key, list] of batches) {
    const [lane, width, todo] = key.split("|").map(Number);
    const colour = [c.fwdEdge, c.bwdEdge, c.optEdge][lane];
    ctx.strokeStyle = colour;
    ctx.lineWidth = plain ? 1 / view.k * 0.6 : width;
    if (todo) { ctx.setLineDash([2, 4]); ctx.globalAlpha = 0.55; }
    ctx.beginPath();
    for (const edge of list) trace(p, edge, plain);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    if (!plain) {
      ctx.fillStyle = colour;
      ctx.beginPath();
      for (const edge of list) arrow(p, edge);
      ctx.fill();
    }
  }
  drawCut(p, cut, plain);
  for (const [edge, near, onPath] of special) {
    const failed = edge.b.key === look.failed && edge.live;
    let colour = [c.fwdEdge, c.bwdEdge, c.optEdge][edge.lane];
    let dash = null;
    let width = edge.width;
    if (edge.kind === "twin") {
      const on = edge.b.key === look.current || edge.a.key === look.current;
      colour = on ? c.now : c.line2;
      dash = on ? [2, 4] : [1, 4];
      width = on ? 1.6 : 1;
    } else if (edge.kind === "hidden") { dash = [3, 3]; width = 1.2; colour = c.ink3; }
    else if (!edge.live) { dash = [4, 4]; width = 1.2; colour = c.ink3; }
    if (onPath) colour = c.accent;
    if (failed && edge.kind === "flow") colour = c.red;
    if (near && edge.kind === "flow" && !failed) colour = onPath ? c.accent : c.ink2;
    if (edge.carried) width = 1.4;
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.lineWidth = width;
    ctx.globalAlpha = !edge.live && !near ? 0.5 : 1;
    if (dash) ctx.setLineDash(dash);
    ctx.beginPath();
    trace(p, edge, false);
    ctx.stroke();
    ctx.setLineDash([]);
    if (!(edge.kind === "twin" && edge.b.key !== look.current)) {
      ctx.beginPath();
      arrow(p, edge);
      ctx.fill();
    }
    ctx.globalAlpha = 1;
    if (edge.carried && view.k >= SHAPE_FROM && edge.path.note) p.halo("to next turn", ...edge.path.note, p.fonts.mono, c.ink3, c.group);
  }
}

/** Edges from one part to another: what has to be handed over, as a dashed line. */
function drawCut(p, edges, plain) {
  const { ctx, c, view } = p;
  ctx.strokeStyle = ctx.fillStyle = c.onlyA;
  for (const edge of edges) {
    ctx.lineWidth = plain ? 1.5 / view.k : Math.max(2, edge.width);
    ctx.setLineDash([5, 3]);
    ctx.beginPath();
    trace(p, edge, plain);
    ctx.stroke();
    ctx.setLineDash([]);
    if (plain) continue;
    ctx.beginPath();
    arrow(p, edge);
    ctx.fill();
  }
}

function trace(p, edge, plain) {
  const { ctx } = p;
  if (plain) {
    const { a, b } = edge;
    ctx.moveTo(a.x + a.w / 2, a.y + a.h / 2);
    ctx.lineTo(b.x + b.w / 2, b.y + b.h / 2);
    return;
  }
  const { from, curves, to } = edge.path;
  ctx.moveTo(from[0], from[1]);
  if (!curves.length) ctx.lineTo(to[0], to[1]);
  for (const q of curves) {
    if (q[0] === q[4] && q[1] === q[5]) ctx.lineTo(q[4], q[5]);
    else ctx.bezierCurveTo(q[0], q[1], q[2], q[3], q[4], q[5]);
  }
}

/** Adds an arrow's head to the path that is being drawn. */
function arrow(p, edge) {
  const { ctx } = p;
  const { to: [x, y], angle } = edge.path;
  const size = 3.4 + Math.min(edge.width, 5) * 0.5;
  const cos = Math.cos(angle), sin = Math.sin(angle);
  ctx.moveTo(x + cos * 4, y + sin * 4);
  ctx.lineTo(x - cos * 2.5 - sin * size, y - sin * 2.5 + cos * size);
  ctx.lineTo(x - cos * 2.5 + sin * size, y - sin * 2.5 - cos * size);
  ctx.closePath();
}

/** Shapes stand where they leave their node: once for each node, however many use it. */
export function drawShapes(p, items) {
  const { c, look, scene } = p;
  for (const item of items) {
    if (slotOf(p, item)?.role) continue; // told in the node
    const out = item.edges;
    const edge = out.find((e) => e.a === item && e.kind === "flow" && e.shape && !e.carried && e.live && p.shows(e.b));
    if (!edge) continue;
    const text = shapeText(edge.shape);
    if (!text) continue;
    const clash = edge.b.key === look.failed;
    const x = item.x + item.w / 2 + edge.width / 2 + 5;
    const y = edge.lane === 1 ? item.y - 4 : item.y + item.h + 10.5;
    p.halo(text, x, y, clash ? p.fonts.clash : p.fonts.mono, clash ? c.red : c.ink3, item.frame.host ? c.group : c.sunk);
  }
}
