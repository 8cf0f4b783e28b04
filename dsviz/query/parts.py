"""What the merged structure is made of: groups, the slots in them, and the places where nodes come from.

A *slot* is one place of the program's structure. A loop's body is laid out once, and each turn *binds*
its nodes to the same slots. A binding's key is the *turn path*: the turn of each loop around the slot,
outermost first.
"""

from __future__ import annotations

from dsviz.events import Failed, Leaf, Op

Record = Op | Failed | Leaf
Path = tuple[int, ...]

KEPT_TURNS = 4096  # executions of a loop, or decisions of a branch, that are remembered


class Point:
    """One branch in one place: what was decided there, by turn path, and the groups of its two arms."""

    __slots__ = ("arms", "decisions", "key", "parent")

    def __init__(self, parent: Group, key: tuple[int, tuple[int, ...]]) -> None:
        self.parent = parent
        self.key = key
        self.decisions: dict[Path, bool] = {}
        self.arms: dict[bool, Group] = {}

    def decide(self, path: Path, taken: bool) -> bool:
        """Remember a decision; tells whether it differs from what was known."""
        known = self.decisions.get(path)
        if known is taken:
            return False
        if len(self.decisions) >= KEPT_TURNS:
            del self.decisions[next(iter(self.decisions))]
        self.decisions[path] = taken
        return True


class Group:
    """A module call, a loop, an arm of a branch, an optimizer's step, or the root (id 0).

    `loops` are the loop groups around and including it, outermost first, and `reach` says for each of
    them which of the active executions of its site is meant (-1 the innermost, more with recursion).
    """

    __slots__ = (
        "arm", "calls", "children", "endline", "file", "id", "items", "kind", "label", "layer", "line",
        "loops", "note", "optimizers", "parent", "path", "places", "point", "points", "quiet",
        "reach", "recent", "signatures", "site", "slots", "stamp", "turns", "turns_path",
    )  # fmt: skip

    def __init__(self, id: int, parent: Group | None, kind: str, label: str) -> None:
        self.id = id
        self.parent = parent
        self.kind = kind
        self.label = label
        self.note = ""
        self.layer: bool | None = None  # whether it is drawn as one node; None: not shown yet
        self.quiet: bool | None = None  # whether an arm seems to hold no op; None: not looked at yet
        self.file = 0
        self.line = 0
        self.endline = 0
        self.site = 0
        self.arm: bool | None = None
        self.point: Point | None = None
        self.path = ""  # of the module
        self.loops: tuple[Group, ...] = parent.loops if parent else ()
        self.reach: tuple[tuple[int, int], ...] = parent.reach if parent else ()
        self.children: list[Group] = []
        self.slots: list[Slot] = []
        self.items: list[Group | Slot] = []  # groups and slots of the forward phase in the order they run
        self.turns: dict[Path, int] = {}  # last turn by the path of the loops around this one
        self.recent: dict[Path, int] = {}  # the turn a node was last bound in, likewise
        self.stamp = -1
        self.turns_path: Path = ()
        self.places: dict[int, Place] = {}  # by frame
        self.signatures: dict[tuple[int, ...], Place] = {}
        self.points: dict[tuple[int, bool | None, tuple[int, ...]], Group] = {}
        self.calls: dict[tuple[tuple[int, ...], int, int], Entry] = {}
        self.optimizers: dict[tuple[int, ...], Group] = {}
        if parent is not None:
            parent.children.append(self)

    def ancestors(self) -> list[Group]:
        """This group, its parent, and so on up to the root."""
        found = []
        group: Group | None = self
        while group is not None:
            found.append(group)
            group = group.parent
        return found

    def insert(self, item: Group | Slot, after: Slot | None, first: bool = False) -> None:
        """Put a new item behind the one that ran before it; `first`: nothing ran in here before it."""
        items = self.items
        anchor: Group | Slot | None = None
        if after is not None and not first:
            if after.group is self:
                anchor = after
            else:
                around: Group | None = after.group
                while around is not None and around.parent is not self:
                    around = around.parent
                anchor = around
        if anchor is None:
            items.insert(0, item)
            return
        for at in range(len(items) - 1, -1, -1):
            if items[at] is anchor:
                items.insert(at + 1, item)
                return
        items.append(item)

    def within(self) -> list[Group]:
        """This group and everything inside it."""
        found = [self]
        for group in found:
            found.extend(group.children)
        return found

    @property
    def module(self) -> str:
        """Path of the innermost module around this group, "" outside modules."""
        group: Group | None = self
        while group is not None:
            if group.kind == "module":
                return group.path
            group = group.parent
        return ""


class Entry:
    """Ordinals: the n-th time the same thing happens at the same place within one activation."""

    __slots__ = ("call", "count", "items", "path")

    def __init__(self) -> None:
        self.path: Path | None = None
        self.call = -1
        self.count = 0
        self.items: list[Slot | Group] = []


class Place:
    """Where in a group nodes come from: the stack frames between the group's call and the op."""

    __slots__ = ("entries", "group", "signature")

    def __init__(self, group: Group, signature: tuple[int, ...]) -> None:
        self.group = group
        self.signature = signature
        self.entries: dict[int, Entry] = {}


class Slot:
    """A place of the structure for a node. `record` is the newest node bound to it, `last` its number."""

    __slots__ = (
        "backward", "bindings", "busy", "count", "frame", "group", "id", "last", "leaf",
        "op", "phase", "record", "sources", "twin",
    )  # fmt: skip

    def __init__(self, id: int, group: Group, op: int, phase: int, record: Record) -> None:
        self.id = id
        self.group = group
        self.op = op
        self.phase = phase
        self.record = record
        self.frame = record.frame
        self.last = 0
        self.count = 0  # nodes ever bound
        self.busy = 0  # nanoseconds they took
        self.leaf = ""  # role of a leaf
        self.twin: Slot | None = None
        self.sources: list[Slot] = []  # what its first node took, known also when that is forgotten
        self.backward: dict[int, Slot] = {}
        self.bindings: dict[Path, int] = {}
        group.slots.append(self)
