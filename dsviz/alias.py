"""`import dsviz.nn.functional`, `from dsviz.utils.data import DataLoader`: the engine's own modules under our name.

A second copy of a module would have classes and ops of its own, so what is found here is the module itself. It is
loaded when it is asked for: not every program needs the distributions.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# The engine's parts that go by our name, with all that is inside them.
PARTS = (
    "amp", "autograd", "backends", "cuda", "distributions", "func", "linalg", "nn", "onnx", "optim", "special", "testing", "utils",
)  # fmt: skip


class Alias:
    """Finds and loads `dsviz.<part>` as `engine.<part>`: both halves of what the import system asks for."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to load `name`; None leaves it to the others."""
        own, _, rest = name.partition(".")
        if own != "dsviz" or rest.partition(".")[0] not in PARTS:
            return None
        try:
            importlib.import_module(f"engine.{rest}")
        except ModuleNotFoundError as error:
            if error.name != f"engine.{rest}":
                raise
            return None  # the import system then says that there is no dsviz.<rest>
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The engine's module, which is there already."""
        module = sys.modules["engine" + spec.name.removeprefix("dsviz")]
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again, and the module goes on saying that it is the engine's."""
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)


def install() -> None:
    """Ask this finder first, once in a process."""
    if not any(type(finder).__qualname__ == "Alias" for finder in sys.meta_path):
        sys.meta_path.insert(0, Alias())
