"""One iteration of a run, as a store keeps it: where it begins, what it ran, and by which slots.

A store keeps thousands of them, and programs that take another way in every iteration are what it is for: the slots of
an iteration are the bits of one number, and iterations that took the same way share it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

WAYS = 64  # different iterations that are looked through for one of the same way

Ways = OrderedDict[tuple[int, int], int]


def bits_of(slots: Iterable[int]) -> int:
    """A number with the bits of these slots set.

    >>> bits_of([0, 3, 3])
    9
    """
    found = set(slots)
    places = bytearray(max(found, default=0) // 8 + 1)
    for slot in found:
        places[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(places, "little")


def slots_of(bits: int) -> set[int]:
    """The bits that are set.

    >>> sorted(slots_of(9))
    [0, 3]
    """
    found = set()
    for place, byte in enumerate(bits.to_bytes(bits.bit_length() // 8 + 1, "little")):
        if byte:
            found.update([place * 8 + bit for bit in range(8) if byte >> bit & 1])
    return found


class IterationRecord:
    """One iteration: where it begins, what it ran, and a hash of the structure it took.

    >>> record = IterationRecord(0, 0, 0)
    >>> record.trail += [5, 6, 5]
    >>> record.nodes, sorted(record.slots)
    (3, [5, 6])
    """

    __slots__ = (
        "_bits",
        "_hash",
        "_nodes",
        "busy",
        "end",
        "first",
        "index",
        "loss",
        "start",
        "trail",
        "value",
    )

    def __init__(self, index: int, start: int, first: int) -> None:
        self.index = index
        self.start = start
        self.first = first  # nodes that had run before
        self.end = 0
        self.busy = 0  # nanoseconds inside ops
        self.loss = 0  # the node that backward started from
        self.value: float | None = None  # and its value
        # slots of the latest nodes, one after the other: what a node adds is all it costs
        self.trail: list[int] = []
        self._nodes = 0
        self._hash = 0
        self._bits = 0

    @property
    def nodes(self) -> int:
        """How many it ran."""
        return self._nodes + len(self.trail)

    @property
    def hash(self) -> int:
        """A number of all its slots in their order."""
        return hash((self._hash, tuple(self.trail))) if self.trail else self._hash

    @property
    def bits(self) -> int:
        """The slots it used, as the bits of a number."""
        return self._bits | bits_of(self.trail) if self.trail else self._bits

    @property
    def slots(self) -> set[int]:
        """The slots it used."""
        return slots_of(self.bits)

    def beyond(self, other: IterationRecord) -> set[int]:
        """The slots it used and `other` did not."""
        return slots_of(self.bits & ~other.bits)

    def fold(self, ways: Ways | None = None) -> None:
        """Sum the trail up. `ways` are those of the iterations before, once this one is over."""
        self._hash, self._nodes, bits = self.hash, self.nodes, 0
        key = self._hash, self._nodes
        if ways is not None:
            bits = ways.get(key, 0)
        self._bits = bits or self.bits
        self.trail = []
        if ways is not None:
            ways[key] = self._bits
            ways.move_to_end(key)
            if len(ways) > WAYS:
                ways.popitem(last=False)
