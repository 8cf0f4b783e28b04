// The menu of the graph: what can be done with a node, a module, a loop, or with all of it.
import { copy, openMenu } from "./dom.mjs";

export function graphMenu(pane, hit, x, y) {
  const r = pane.box.getBoundingClientRect();
  const items = [...(hit ? about(pane, hit, x, y) : []), ...all(pane, hit)];
  openMenu(pane.box, items, { left: r.left + x, bottom: r.top + y });
}

function about(pane, hit, x, y) {
  const { state, selection } = pane;
  const { item } = hit;
  const id = item ? item.group : hit.box.id;
  const group = id === undefined ? null : state.groups.get(id);
  const slot = item?.slot ? state.slots.get(item.slot) : null;
  const items = [];
  const add = (text, key, action) => items.push([text, key, undefined, action]);
  if (group) add(item ? "Unfold" : "Fold", "Enter", () => pane.toggleFold(group.id));
  if (group?.kind === "loop" && group.turns) {
    add("Earlier turn", "[", () => pane.turns.step(group, -1));
    add("Later turn", "]", () => pane.turns.step(group, 1));
    add("Choose a turn", "", () => pane.turns.open(group, x, y));
  }
  const many = selection.many ? ` ${selection.keys.size} selected` : "";
  add(`Hide${many}`, "H", () => pane.hide());
  add(`Isolate${many}`, "I", () => pane.isolate());
  if (slot || group) {
    add("What leads here", "A", () => pane.showPath("up"));
    add("What it leads to", "D", () => pane.showPath("down"));
    add("Path both ways", "P", () => pane.showPath("both"));
  }
  if (slot?.node && state.paused && slot.status === "done") {
    if (slot.shape?.length) add("Why this shape", "", () => pane.why("shape", slot.node));
    add("Why this value (NaN, Inf)", "", () => pane.why("value", slot.node));
  }
  const [file, line] = slot ? [slot.file, slot.line] : group ? [group.file, group.line] : [];
  if (file && line) add(`Go to ${state.place(file, line)}`, "", () => pane.on.place(file, line));
  const name = slot ? slot.module || slot.label : group?.label;
  if (name) add("Copy its name", "", () => copy(String(name)));
  return items;
}

function all(pane, hit) {
  const items = [];
  const add = (text, key, action) => items.push([text, key, undefined, action]);
  if (pane.scene.hiding.on) add(`Show all again, ${pane.scene.hiding.count} hidden`, "Shift+H", () => pane.showAll());
  if (hit) return items;
  add("Select all", "Ctrl+A", () => pane.selectAll());
  add("Find", "/", () => pane.find.open());
  add("Fit", "0", () => pane.fit());
  add("Show the whole graph", "9", () => pane.camera.fitAll());
  add("Go to where execution is", ".", () => pane.goToCurrent());
  return items;
}
