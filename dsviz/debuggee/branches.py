"""Which branches went another way than in the iteration before.

The n-th decision of an `if` in an iteration is compared with its n-th decision in the iteration before. What is
decided after the backward pass, and before the next forward op, belongs to the iteration that begins then.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.iteration import iteration

MOST = 10_000  # decisions of one `if` in one iteration that are remembered


class Branch(NamedTuple):
    """An `if` of the person's code."""

    label: str  # "if flag"
    path: str
    line: int


class Branches:
    """The decisions of this iteration and of the one before. One object serves one thread."""

    def __init__(self) -> None:
        self._turn = -1
        self._now: dict[int, bytearray] = {}
        self._before: dict[int, bytearray] = {}

    def decided(self, site: int, taken: bool) -> bool:
        """Remember a decision; whether it differs from the one before.

        >>> branches = Branches()
        >>> branches.decided(1, True)
        False
        """
        turn = iteration.coming
        if turn != self._turn:
            self._before = self._now if turn == self._turn + 1 else {}
            self._now, self._turn = {}, turn
        decisions = self._now.setdefault(site, bytearray())
        at = len(decisions)
        if at >= MOST:
            return False
        decisions.append(taken)
        before = self._before.get(site, b"")
        return at < len(before) and bool(before[at]) != taken
