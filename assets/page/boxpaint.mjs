// Draws the boxes of modules, loops and branches, and what stands in their headers.
import { SHAPE_FROM } from "./detail.mjs";
import { LANE } from "./measures.mjs";

export function drawBox(p, box) {
  const { ctx, c } = p;
  const group = p.scene.state.groups.get(box.id) || box.group;
  const branch = group.kind === "branch";
  ctx.lineWidth = 1;
  if (group.kind === "loop") {
    ctx.strokeStyle = c.fwdEdge;
    for (const i of [2, 1]) {
      p.rounded(box.x + 5 * i, box.y + 4 * i, box.w - 10 * i, box.h, 10);
      ctx.globalAlpha = 0.35;
      ctx.fillStyle = c.group;
      ctx.fill();
      ctx.globalAlpha = 1;
      ctx.stroke();
    }
  }
  p.rounded(box.x, box.y, box.w, box.h, 10);
  ctx.fillStyle = c.group;
  ctx.globalAlpha = branch ? 0.3 : 0.55;
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.strokeStyle = group.kind === "loop" ? c.fwdEdge : branch ? c.line2 : c.groupLine;
  if (branch) ctx.setLineDash([4, 3]);
  if (p.look.chosen.has(`g${box.id}`)) {
    ctx.strokeStyle = c.accent;
    ctx.lineWidth = 2;
  }
  ctx.stroke();
  ctx.setLineDash([]);
  if (branch && group.arm !== "else") bypass(p, box, group);
}

/** The way around an arm: dashed, faint when the arm was taken. */
function bypass(p, box, group) {
  const { ctx, c } = p;
  const column = p.scene.layout.columns[box.index];
  const x = column.x + LANE - 26;
  ctx.strokeStyle = group.taken === false ? c.fwdEdge : c.ink3;
  ctx.globalAlpha = group.taken === false ? 1 : 0.5;
  ctx.lineWidth = 1.2;
  ctx.setLineDash([4, 4]);
  ctx.beginPath();
  ctx.moveTo(column.x + 6, box.y + 22);
  ctx.bezierCurveTo(column.x + 60, box.y + 30, x, box.y + 22, x, box.y + Math.min(40, box.h / 2));
  ctx.lineTo(x, box.y + box.h - Math.min(30, box.h / 3));
  ctx.bezierCurveTo(x, box.y + box.h, column.x + 60, box.y + box.h - 6, column.x + 6, box.y + box.h - 2);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
  if (p.view.k >= SHAPE_FROM) p.halo(group.taken === false ? "not taken, as it is" : "else, as it is", x + 5, box.y + box.h / 2 + 8, p.fonts.sub, c.ink3, c.group);
}

export function drawHeader(p, box, x0, x1) {
  const { ctx, c } = p;
  const group = p.scene.state.groups.get(box.id) || box.group;
  const y = box.y + 15;
  let x = Math.max(box.x + 10, Math.min(x0 + 24, box.x + box.w - 240));
  ctx.strokeStyle = c.ink3;
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  if (group.kind === "branch") {
    ctx.moveTo(x + 3.5, y - 8); ctx.lineTo(x + 7.5, y - 4); ctx.lineTo(x + 3.5, y); ctx.lineTo(x - 0.5, y - 4); ctx.closePath();
    x += 13;
  } else {
    ctx.moveTo(x - 2, y - 5.5); ctx.lineTo(x + 1.2, y - 2.3); ctx.lineTo(x + 4.4, y - 5.5);
    x += 9;
  }
  ctx.stroke();
  const code = group.kind === "loop" || group.kind === "branch";
  const right = p.scene.state.place(group.file, group.line);
  const title = p.cut(String(group.label), 260, code ? p.fonts.code : p.fonts.title);
  x += p.halo(title, x, y, code ? p.fonts.code : p.fonts.title, c.ink2, c.group) + 7;
  if (group.note) x += p.halo(p.cut(String(group.note), 160, p.fonts.sub), x, y, p.fonts.sub, c.ink3, c.group) + 7;
  if (group.kind === "loop") {
    x += p.badge(`\u00d7${group.turns ?? 0}`, x, y, c.accent, c.accentSoft) + 6;
    box.turnBadge = null;
    if (group.turn !== null && group.turn !== undefined) {
      box.turnBadge = { x, w: p.badge(`\u2039  turn ${group.turn}  \u203a`, x, y, c.ink2, c.hover) };
      x += box.turnBadge.w + 6;
    }
  }
  if (group.kind === "branch") {
    if (group.taken === true) p.badge("taken", x, y, c.green, c.greenSoft);
    else if (group.taken === false) p.badge("not taken", x, y, c.ink3, null);
  }
  if (right && box.w > 300) {
    ctx.font = p.fonts.sub;
    const w = ctx.measureText(right).width;
    p.halo(right, Math.min(box.x + box.w - 10, Math.max(x1 - 24, x + w)) - w, y, p.fonts.sub, c.ink3, c.group);
  }
}
