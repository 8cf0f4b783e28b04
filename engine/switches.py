"""Tracing switched off and on for a module, an op kind or a place in the source, while the program runs.

An op that is switched off still computes and still gives gradients; it only stays silent on the bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.located import located
from engine.location import line_of

if TYPE_CHECKING:
    from engine.node import Node

TARGETS = ("module", "op", "place")


class Switches:
    """What is switched off. `any` is what the hot path looks at: false while nothing is."""

    __slots__ = ("any", "modules", "ops", "places")

    def __init__(self) -> None:
        self.any = False
        self.modules: dict[str, bool] = {}
        self.ops: dict[str, bool] = {}
        self.places: dict[tuple[str, int], bool] = {}

    def set(self, target: str, name: Any, on: bool) -> None:
        """Switch the tracing of `name` on or off.

        `target` is "module" (a path such as "net.cell"; what is inside follows unless it has a switch
        of its own), "op" (an op's name) or "place" (a pair of file name and line).
        """
        table = self._table(target)
        if on and target != "module":
            table.pop(name, None)
        else:
            # A module switched on inside one that is off has to be remembered: the nearest switch decides.
            table[name] = on
        self.any = not all(on for t in (self.modules, self.ops, self.places) for on in t.values())

    def get(self, target: str, name: Any) -> bool:
        """Whether `name` is traced, as far as its own switches say."""
        table = self._table(target)
        if target == "module":
            return self._module_on(str(name))
        return bool(table.get(name, True))

    def items(self) -> list[tuple[str, Any, bool]]:
        """All switches that were set: (target, name, on)."""
        return [(target, name, on) for target in TARGETS for name, on in self._table(target).items()]

    def clear(self) -> None:
        """Switch everything on again."""
        self.modules.clear()
        self.ops.clear()
        self.places.clear()
        self.any = False

    def silent(self, node: Node) -> bool:
        """Whether `node` is switched off; a backward node follows its forward twin."""
        node = node.twin or node
        if node.op is not None and not self.ops.get(node.op.name, True):
            return True
        if self.places and node.code is not None:
            place = (node.code.co_filename, line_of(node.code, node.lasti))
            if not self.places.get(place, True):
                return True
        return bool(self.modules) and node.call is not None and not self._module_on(node.call.path)

    def _module_on(self, path: str) -> bool:
        while path:
            on = self.modules.get(path)
            if on is not None:
                return on
            path = path.rpartition(".")[0]
        return True

    def _table(self, target: str) -> dict[Any, bool]:
        if target not in TARGETS:
            raise located(ValueError(f"no switch for {target!r}; there are {', '.join(TARGETS)}"))
        tables: dict[str, dict[Any, bool]] = {"module": self.modules, "op": self.ops, "place": self.places}
        return tables[target]


switches = Switches()
