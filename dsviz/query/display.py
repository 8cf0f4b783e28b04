"""Which turn of every loop is shown, and what that makes of each slot: done, pending, not taken ..."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsviz.events import Failed
from dsviz.query.parts import Group, Path, Slot

if TYPE_CHECKING:
    from dsviz.store import GraphStore

DONE, PENDING, FAILED = "done", "pending", "failed"
UNREACHED, NOT_TAKEN, SKIPPED = "unreached", "nottaken", "skipped"


class Display:
    """A snapshot of the choice of turns; make a new one after the store changed."""

    def __init__(self, store: GraphStore) -> None:
        self.store = store
        self.structure = store.structure
        self._turns: dict[int, int] = {}
        self._paths: dict[int, Path] = {}
        self._off: dict[int, bool] = {}
        latest = self.structure.slot_of.get(self.structure.latest)
        if latest is not None:
            # Follow the node that ran last, in the backward phase through its forward twin's turn.
            path = self.structure.path_of[self.structure.latest]
            self._now = {loop.id: turn for loop, turn in zip(latest.group.loops, path, strict=False)}
        else:
            self._now = {}

    def turn(self, loop: Group) -> int:
        """The turn shown of a loop; -1 while it has not begun."""
        found = self._turns.get(loop.id)
        if found is None:
            found = self._turns[loop.id] = self._choose(loop)
        return found

    def _choose(self, loop: Group) -> int:
        pinned = self.store.pins.get(loop.id)
        if pinned is not None:
            return pinned
        outer = self.path(loop)[:-1] if loop.loops[:-1] else ()
        if loop.id in self._now and all(
            self._now.get(around.id) == turn for around, turn in zip(loop.loops, outer, strict=False)
        ):
            return self._now[loop.id]
        return loop.recent.get(outer, -1)

    def turns(self, loop: Group) -> int:
        """How many turns the shown execution of a loop has had."""
        return loop.turns.get(self.path(loop)[:-1], -1) + 1

    def path(self, group: Group) -> Path:
        """The turn path shown for a group's slots."""
        found = self._paths.get(group.id)
        if found is None:
            if group.kind == "loop" and group.parent is not None:
                # The loop's own turn depends on the turns around it, so those are settled first.
                outer = self.path(group.parent)
                self._paths[group.id] = (*outer, -1)
                found = (*outer, self.turn(group))
            else:
                found = self.path(group.parent) if group.parent is not None else ()
            self._paths[group.id] = found
        return found

    def taken(self, arm: Group) -> bool | None:
        """Whether this arm of a branch was taken in the turn shown; None while that is open."""
        if arm.point is None:
            return None
        decided = arm.point.decisions.get(self.path(arm))
        if decided is not None:
            return decided is arm.arm
        for candidate in arm.point.arms.values():
            if self._ran(candidate):
                return candidate is arm
        return None

    def _ran(self, arm: Group) -> bool:
        return any(
            self.node(slot)
            for group in arm.within()
            for slot in group.slots
            if slot.phase == 0 and not slot.leaf
        )

    def off(self, group: Group) -> bool:
        """Whether a group stands in an arm that was not taken in the turn shown."""
        found = self._off.get(group.id)
        if found is None:
            above = group.parent is not None and self.off(group.parent)
            found = self._off[group.id] = above or (group.kind == "branch" and self.taken(group) is False)
        return found

    def node(self, slot: Slot) -> int:
        """The node bound to a slot in the turn shown, 0 for none."""
        if slot.leaf == "parameter":
            return slot.last
        return slot.bindings.get(self.path(slot.group), 0)

    def status(self, slot: Slot, node: int) -> str:
        """One word for a slot, given its node in the turn shown."""
        if node:
            if node == self.store.pending:
                return PENDING
            return FAILED if isinstance(self.store.nodes.get(node), Failed) else DONE
        if self.off(slot.group):
            return NOT_TAKEN
        if self.store.untold.get(slot.id) == self.path(slot.group) or self.store.switched_off(slot):
            return SKIPPED
        return UNREACHED
