"""The merged structure of a program: where each node belongs, found in constant time as it arrives."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import islice

from dsviz.events import BACKWARD, OPTIMIZER, Branch, Failed, Frame, Leaf, LoopTurn, ModuleEntered, Op, Site
from dsviz.query.parts import KEPT_TURNS, Entry, Group, Path, Place, Point, Record, Slot
from dsviz.query.sites import INNER, Around, Sites
from dsviz.query.turns import Inference, Thread

WINDOW = 50_000  # nodes that are kept, where nothing else is said
CALLS_A_NODE = 2  # module calls remembered, for each of them
KEPT_ORIGINS = 1 << 20  # nodes that are gone of which the place is remembered, 4 bytes each
REPEATS = 16  # times one thing may happen at one place before it is folded without a loop being known
SIGNATURE = 4  # numbers that a frame adds to a position's signature
CALLS = 4  # the same for calls of one module
OPTIMIZERS = {
    "sgd": "SGD",
    "asgd": "ASGD",
    "adamw": "AdamW",
    "nadam": "NAdam",
    "radam": "RAdam",
    "rmsprop": "RMSprop",
    "lbfgs": "LBFGS",
}
RECURSION = 4  # levels of a function or module calling itself that are laid out; deeper ones share the last


class Structure:
    """Groups and slots, and which node is bound to which slot in which turn.

    >>> structure = Structure({}, lambda path: None)
    >>> structure.groups[0].kind
    'root'
    """

    def __init__(self, texts: dict[int, str], read: Callable[[str], str | None]) -> None:
        self.texts = texts
        self.window = WINDOW
        self.frames: dict[int, Frame] = {}
        self.calls: dict[int, ModuleEntered] = {}
        self.sites = Sites(read)
        self.root = Group(0, None, "root", "")
        self.groups: list[Group] = [self.root]
        self.slots: list[Slot] = []
        self.slot_of: dict[int, Slot] = {}
        self.path_of: dict[int, Path] = {}
        self.order: list[int] = []  # nodes as they were placed
        self.order_dropped = 0
        self._gone = array("i")  # slot of each node that was dropped, from node `_gone_from` on; 0: of none
        self._gone_from = 0
        self.latest = 0
        self.thread = Thread()
        self.threads: dict[int, Thread] = {0: self.thread}
        self.watchers: list[tuple[set[Slot], set[Group]]] = []
        self._leaves: dict[int, Leaf] = {}
        self._leaf_slots: dict[tuple[int, int | str], Slot] = {}
        self._points: dict[int, list[Point]] = {}
        self._followers: dict[tuple[int, int], Slot] = {}
        self._updates: dict[tuple[int, int, int], Slot] = {}
        self._call_group: dict[int, Group] = {0: self.root}
        self._inference = Inference(self.frames, self.calls, self.sites)
        self._inference.function = self.text
        self._inferring = False
        self._before: Slot | None = None  # the slot of the node before, in the forward phase
        self._returned: Path = ()  # turn path of the latest backward node

    # -- what the program says ------------------------------------------------------------------

    def text(self, id: int) -> str:
        """The interned text `id`, or "" where it is not known."""
        return self.texts.get(id, "")

    def add_frame(self, frame: Frame) -> None:
        """A stack frame has a number from now on."""
        self.frames[frame.id] = frame
        if not self.sites.announced(frame.file):
            self.sites.open(frame.file, self.text(frame.file))
            self._inferring = self._inferring or any(
                s.file == frame.file and s.id < 0 for s in self.sites.by_id.values()
            )

    def add_site(self, site: Site) -> None:
        """A branch or loop will be announced by this number."""
        self.sites.add(site)
        for group in self.groups:
            group.places.clear()

    def switch_thread(self, id: int) -> None:
        """What follows comes from thread `id`."""
        self.thread = self.threads.setdefault(id, Thread(id))

    def enter(self, event: ModuleEntered) -> None:
        """A module call begins."""
        self.calls[event.call] = event
        self.thread.calls.append(event.call)
        if len(self.calls) > self.window * CALLS_A_NODE:
            self._forget_calls()

    def _forget_calls(self) -> None:
        """The oldest module calls, except those that are still open; their nodes are gone by then."""
        active = {call for thread in self.threads.values() for call in thread.calls}
        for call in list(islice(self.calls, self.window // 8 + len(active) + 1)):
            if call not in active:
                del self.calls[call]
                self._call_group.pop(call, None)

    def leave(self, call: int) -> None:
        """A module call ended."""
        calls = self.thread.calls
        if call in calls:
            del calls[calls.index(call) :]

    def depart(self) -> None:
        """Nothing is told from here on: the end of the module calls that are going on neither."""
        for thread in self.threads.values():
            thread.calls.clear()

    def turn(self, event: LoopTurn) -> None:
        """A loop begins a turn or was left."""
        self.thread.turn(event.site, event.index)

    def decide(self, event: Branch) -> None:
        """A branch was decided: both arms are known from now on, and which of them is taken."""
        thread = self.thread
        thread.decided[event.site] = event.taken
        site = self.sites.by_id.get(event.site)
        if site is None:
            return
        if event.frame:
            call = thread.calls[-1] if thread.calls else 0
            around = self._group_of_call(call)
            parent, signature = self._descend(around, call, event.frame)
            self._arm(parent, site, True, signature[:-SIGNATURE])
        for point in self._points.get(site.id, ()):
            if event.frame and point.key != (parent.id, signature[:-SIGNATURE]):
                continue
            if point.decide(self._path(point.parent), event.taken):
                if not event.taken and site.orelse[0] and not self.sites.chained(site.id):
                    self._arm(point.parent, site, False, point.key[1])
                for arm in point.arms.values():
                    self._touch_group(arm)

    def add_leaf(self, leaf: Leaf) -> None:
        """A tensor that no op made; it gets its slot when a node uses it."""
        self._leaves[leaf.node] = leaf

    # -- nodes ----------------------------------------------------------------------------------

    def place(self, op: Op | Failed) -> Slot:
        """Bind a node to its slot. The same node may come twice: announced at a stop, and when it ran."""
        node = op.node
        slot_of = self.slot_of
        known = slot_of.get(node)
        if known is not None:
            known.record = op
            self.latest = node
            for slots, _ in self.watchers:
                slots.add(known)
            return known
        slot = path = None
        backward = op.phase == BACKWARD
        if backward:
            partner = slot_of.get(op.twin) if type(op) is Op else None
            slot = None if partner is None else partner.backward.get(op.op)
            if slot is not None:
                path = self.path_of[op.twin]  # type: ignore[union-attr]
            else:
                slot, path = self._place_backward(op)
            if slot is not None and path and path is not self._returned:
                self._returned = path
                for index, loop in enumerate(slot.group.loops):
                    outer = path[:index]
                    if outer in loop.turns:  # else it is forgotten
                        loop.recent[outer] = path[index]
        if slot is None or path is None:
            thread = self.thread
            call, frame = op.call, op.frame
            if self._inferring:
                # An optimizer's step updates one parameter after the other from one place.
                update = op.phase == OPTIMIZER and op.inputs
                self._inference.move(thread, call, frame, -op.inputs[0] if update else op.op)
            around = self._call_group.get(call)
            if around is None:
                around = self._group_of_call(call)
            place = around.places.get(frame) or self._place(around, call, frame)
            group = place.group
            path = group.turns_path if group.stamp == thread.stamp else self._path(group)
            if op.phase == OPTIMIZER:
                slot = self._place_update(op, place, path)
            else:
                entry = place.entries.get(op.op * 4 + op.phase)
                within = call or thread.outside
                if entry is None or (entry.call == within and entry.path == path) or not entry.items:
                    slot = self._ordinal(op, place, path, within)
                else:
                    # The first of its kind in this activation, as nearly all are.
                    entry.call = within
                    entry.path = path
                    entry.count = 0
                    first = entry.items[0]
                    assert type(first) is Slot
                    slot = first
        if self._leaves:
            self._use_leaves(op, slot, path)
        if not slot.count:
            slot.sources = [source for taken in op.inputs if (source := slot_of.get(taken)) is not None]
        if not backward:
            self._before = slot
        slot.bindings[path] = node
        slot.count += 1
        slot.record = op
        slot.last = self.latest = node
        slot_of[node] = slot
        self.path_of[node] = path
        self.order.append(node)
        for slots, _ in self.watchers:
            slots.add(slot)
        return slot

    def _bind(self, node: int, slot: Slot, path: Path, record: Record) -> None:
        slot.bindings[path] = node
        slot.count += 1
        slot.record = record
        slot.last = node
        self.slot_of[node] = slot
        self.path_of[node] = path
        self.order.append(node)
        for slots, _ in self.watchers:
            slots.add(slot)

    def forget(self, node: int) -> None:
        """Drop an old node; its slot stays."""
        slot = self.slot_of.pop(node, None)
        path = self.path_of.pop(node, None)
        if slot is None:
            return
        if path is not None and slot.bindings.get(path) == node:
            del slot.bindings[path]
        at = node - self._gone_from
        if at >= len(self._gone):
            self._make_room(at + 4096)
            at = node - self._gone_from
        if at >= 0:
            self._gone[at] = slot.id

    def _make_room(self, size: int) -> None:
        """For the places of nodes that are gone up to the one at `size`; the oldest go where there are too many."""
        if size > KEPT_ORIGINS:
            old = size - KEPT_ORIGINS + KEPT_ORIGINS // 8
            del self._gone[:old]
            self._gone_from += old
            size -= old
        self._gone.frombytes(bytes(self._gone.itemsize * max(size - len(self._gone), 0)))

    def slot_at(self, node: int) -> Slot | None:
        """Where a node stands or, once it was dropped, stood; None where that is not known."""
        slot = self.slot_of.get(node)
        if slot is None and 0 <= (at := node - self._gone_from) < len(self._gone) and self._gone[at]:
            slot = self.slots[self._gone[at] - 1]
        return slot

    def _ordinal(self, op: Op | Failed, place: Place, path: Path, within: int) -> Slot:
        key = op.op * 4 + op.phase
        entry = place.entries.get(key)
        if entry is None:
            entry = place.entries[key] = Entry()
        if entry.call == within and entry.path == path:
            entry.count += 1
        else:
            entry.call = within
            entry.path = path
            entry.count = 0
        index = min(entry.count, REPEATS - 1)
        if index < len(entry.items):
            slot = entry.items[index]
            assert isinstance(slot, Slot)
        else:
            slot = self._new_slot(place.group, op.op, op.phase, op)
            entry.items.append(slot)
        return slot

    def _place_backward(self, op: Op | Failed) -> tuple[Slot | None, Path | None]:
        """Beside the forward twin; a backward node without one beside the node it continues."""
        twin = op.twin if isinstance(op, Op) else 0
        partner = self.slot_of.get(twin) if twin else None
        if partner is not None:
            slot = partner.backward.get(op.op)
            if slot is None:
                slot = partner.backward[op.op] = self._new_slot(partner.group, op.op, op.phase, op)
                slot.twin = partner
            return slot, self.path_of[twin]
        for source in reversed(op.inputs):
            before = self.slot_of.get(source)
            if before is not None and not before.leaf:
                key = (before.id, op.op)
                slot = self._followers.get(key)
                if slot is None:
                    slot = self._followers[key] = self._new_slot(before.group, op.op, op.phase, op)
                return slot, self.path_of[source]
        return None, None

    def _place_update(self, op: Op | Failed, place: Place, path: Path) -> Slot:
        key = (*place.signature, op.op)
        group = place.group.optimizers.get(key)
        if group is None:
            name = self.text(op.op)
            group = self._new_group(place.group, "optimizer", OPTIMIZERS.get(name) or name.capitalize())
            self._locate(group, op.frame)
            place.group.optimizers[key] = group
        leaf = op.inputs[0] if op.inputs else 0
        if leaf in self._leaves:
            self._use_leaf(leaf, (-group.id, leaf), group, path, op)
        parameter = self.slot_of.get(leaf)
        spot = (group.id, op.op, parameter.id if parameter is not None else -1)
        slot = self._updates.get(spot)
        if slot is None:
            slot = self._updates[spot] = self._new_slot(group, op.op, op.phase, op)
        return slot

    # -- leaves ---------------------------------------------------------------------------------

    def _use_leaves(self, op: Op | Failed, slot: Slot, path: Path) -> None:
        for index, node in enumerate(op.inputs):
            if node in self._leaves:
                self._use_leaf(node, (slot.id, index), slot.group, path, op)

    def _use_leaf(
        self, node: int, use: tuple[int, int | str], group: Group, path: Path, op: Op | Failed
    ) -> None:
        leaf = self._leaves.pop(node)
        parameter = leaf.role == "parameter"
        if parameter and leaf.name:
            use = (0, leaf.name)
        slot = self._leaf_slots.get(use)
        if slot is None:
            home = group if parameter else self._home(leaf, group, op)
            slot = self._leaf_slots[use] = self._new_slot(home, 0, 0, leaf)
            slot.leaf = leaf.role
        if parameter:
            path = ()
        else:
            loops = slot.group.loops
            path = path[: len(loops)] if group.loops[: len(loops)] == loops else self._path(slot.group)
        self._bind(node, slot, path, leaf)

    def _home(self, leaf: Leaf, user: Group, op: Op | Failed) -> Group:
        """Where a tensor was made; an input of unknown origin outside the modules it is given to."""
        used = self._inference.chain(op.frame)
        made = self._inference.chain(leaf.frame)
        if len(made) == 1 and len(used) > 1:
            # Where it was made is known without its callers: they are the user's, if that still runs.
            same = [
                i for i, f in enumerate(used) if f.file == made[0].file and f.function == made[0].function
            ]
            made = [*used[: same[-1]], *made] if same else []
        call = op.call
        while made and call and (entered := self.calls.get(call)) is not None:
            base = self._inference.chain(entered.frame)
            if len(base) < len(made) and made[: len(base)] == base:
                return self._descend_along(self._group_of_call(call), made[len(base) :])[0]
            call = entered.parent
        if made:
            return self._descend_along(self.root, made)[0]
        home = user
        if leaf.role == "input":
            for group in user.ancestors():
                if group.kind == "module" and group.parent is not None:
                    home = group.parent
        return home

    # -- groups ---------------------------------------------------------------------------------

    def _new_group(self, parent: Group, kind: str, label: str) -> Group:
        group = Group(len(self.groups), parent, kind, label)
        parent.insert(group, self._before, self._starts(parent))
        self.groups.append(group)
        self._touch_group(group)
        return group

    def _new_slot(self, group: Group, op: int, phase: int, record: Record) -> Slot:
        slot = Slot(len(self.slots) + 1, group, op, phase, record)
        self.slots.append(slot)
        if phase != BACKWARD:
            group.insert(slot, self._before, self._starts(group))
        return slot

    def _starts(self, group: Group) -> bool:
        """Whether the node before belongs to an earlier turn of the loops around `group`."""
        if self._before is None:
            return True
        before = self.path_of.get(self._before.last, ())
        loops = len(group.loops)
        return bool(loops) and group.turns_path[:loops] != before[:loops]

    def _touch_group(self, group: Group) -> None:
        for _, groups in self.watchers:
            groups.add(group)

    def _locate(self, group: Group, frame: int) -> None:
        record = self.frames.get(frame)
        if record is not None:
            group.file, group.line, group.endline = record.file, record.line, record.line

    def _group_of_call(self, call: int) -> Group:
        found = self._call_group.get(call)
        if found is not None:
            return found
        waiting: list[ModuleEntered] = []
        seen = set()
        while call not in self._call_group and call not in seen:
            entered = self.calls.get(call)
            if entered is None:
                break  # it began before anybody looked, or is forgotten
            seen.add(call)
            waiting.append(entered)
            call = entered.parent
        group = self._call_group.get(call, self.root)
        for entered in reversed(waiting):
            group = self._call_group[entered.call] = self._module_group(group, entered)
        return group

    def _module_group(self, around: Group, entered: ModuleEntered) -> Group:
        group, signature = self._descend(around, entered.parent, entered.frame)
        path = self._path(group)
        name = self.text(entered.path)
        key = (signature, entered.path, entered.cls)
        entry = group.calls.get(key)
        if entry is None:
            entry = group.calls[key] = Entry()
        within = entered.parent or self.thread.outside
        if entry.call == within and entry.path == path:
            entry.count += 1
        else:
            entry.call, entry.path, entry.count = within, path, 0
        index = min(entry.count, CALLS - 1)
        if index < len(entry.items):
            known = entry.items[index]
            assert isinstance(known, Group)
            return known
        same = [g for g in group.ancestors() if g.kind == "module" and g.path == name]
        if len(same) >= RECURSION:
            entry.items.append(same[0])
            return same[0]
        made = self._new_group(group, "module", name.rpartition(".")[2])
        made.path = name
        made.note = self.text(entered.cls)
        self._locate(made, entered.frame)
        entry.items.append(made)
        return made

    def _place(self, around: Group, call: int, frame: int) -> Place:
        group, signature = self._descend(around, call, frame)
        place = group.signatures.get(signature)
        if place is None:
            place = group.signatures[signature] = Place(group, signature)
        if not self._unsure(call, frame):
            around.places[frame] = place
        return place

    def _unsure(self, call: int, frame: int) -> bool:
        return any(
            self.sites.around(f.file, f.line, self.text(f.function))[1] for f in self._segment(call, frame)
        )

    def _segment(self, call: int, frame: int) -> list[Frame]:
        """The frames between the call of module call `call` and `frame`, outermost first."""
        chain = self._inference.chain(frame)
        entered = self.calls.get(call)
        if entered is None:
            return chain
        base = self._inference.chain(entered.frame)
        return chain[len(base) :] if chain[: len(base)] == base else chain[min(len(base), len(chain)) :]

    def _descend(self, around: Group, call: int, frame: int) -> tuple[Group, tuple[int, ...]]:
        """The group of a position within a module call, and what tells it from others in that group."""
        return self._descend_along(around, self._segment(call, frame))

    def _descend_along(self, group: Group, frames: list[Frame]) -> tuple[Group, tuple[int, ...]]:
        signature: tuple[int, ...] = ()
        trail: list[tuple[tuple[int, int], Group, tuple[int, ...]]] = []
        before: Around = ()
        for record in frames:
            function = (record.file, record.function)
            same = [i for i, step in enumerate(trail) if step[0] == function]
            if len(same) >= RECURSION:
                _, group, signature = trail[same[-1]]
                del trail[same[-1] :]
            trail.append((function, group, signature))
            name = self.text(record.function)
            around_here, unsure = self.sites.around(record.file, record.line, name)
            for site, arm in around_here:
                if name.rpartition(".")[2] in INNER and any(s is site for s, _ in before):
                    continue  # already counted in the frame the comprehension stands in
                if site.id in unsure and not self._governs(site):
                    continue
                group = (
                    self._loop(group, site, signature)
                    if arm is None
                    else self._arm(group, site, arm, signature)
                )
            before = around_here
            signature = (*signature, record.file, record.function, record.lasti, record.line)
        return group, signature

    def _governs(self, site: Site) -> bool:
        if site.construct == "if":
            return self.thread.decided.get(site.id, site.id < 0)
        return bool(self.thread.active.get(site.id))

    def _loop(self, parent: Group, site: Site, signature: tuple[int, ...]) -> Group:
        group = parent.points.get((site.id, None, signature))
        if group is None:
            group = self._new_group(parent, "loop", site.label)
            group.site, group.file, group.line = site.id, site.file, site.line
            group.endline = site.body[1]
            group.loops = (*parent.loops, group)
            sites = [loop.site for loop in group.loops]
            group.reach = tuple((s, -1 - sites[i + 1 :].count(s)) for i, s in enumerate(sites))
            parent.points[site.id, None, signature] = group
        return group

    def _arm(self, parent: Group, site: Site, arm: bool, signature: tuple[int, ...]) -> Group:
        group = parent.points.get((site.id, arm, signature))
        if group is None:
            other = parent.points.get((site.id, not arm, signature))
            point = other.point if other is not None else None
            if point is None:
                point = Point(parent, (parent.id, signature))
                self._points.setdefault(site.id, []).append(point)
            group = self._new_group(parent, "branch", site.label if arm else "else")
            group.site, group.file, group.arm = site.id, site.file, arm
            group.line, group.endline = (site.line, site.body[1]) if arm else site.orelse
            group.point = point
            point.arms[arm] = group
            parent.points[site.id, arm, signature] = group
        return group

    def _path(self, group: Group) -> Path:
        """The turn path of a group now, and with it what it tells about turns and decisions."""
        thread = self.thread
        if group.stamp == thread.stamp:
            return group.turns_path
        active = thread.active
        path = tuple(
            [
                stack[back] if (stack := active.get(site)) and len(stack) >= -back else -1
                for site, back in group.reach
            ]
        )
        group.stamp = thread.stamp
        group.turns_path = path
        for index, loop in enumerate(group.loops):
            outer = path[:index]
            loop.recent[outer] = path[index]
            if loop.turns.get(outer, -2) < path[index]:
                if outer not in loop.turns and len(loop.turns) >= KEPT_TURNS:
                    oldest = next(iter(loop.turns))
                    del loop.turns[oldest]
                    loop.recent.pop(oldest, None)
                loop.turns[outer] = path[index]
                self._touch_group(loop)
        return path
