"""Instruments the person's own files as they are imported: those under the script's folder."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

# instrument(tree, filename) gives the tree with probes, and tells of its sites on the way
Instrument = Callable[[ast.Module, str], ast.Module]


class Instrumenter(importlib.abc.MetaPathFinder):
    """Compiles files under `folder` with probes; everything else is imported as always."""

    def __init__(self, folder: str, instrument: Instrument, leave_out: Sequence[str] = ()) -> None:
        self._folder = os.path.join(os.path.realpath(folder), "")
        self._instrument = instrument
        self._leave_out = tuple(os.path.join(os.path.realpath(path), "") for path in leave_out)

    def install(self) -> None:
        """Come first among the finders."""
        sys.meta_path.insert(0, self)

    def close(self) -> None:
        """Import plainly from here on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def compiled(self, source: bytes, path: str) -> CodeType:
        """The code of the script itself. Raises what `compile` raises."""
        return self._compile(source, path) or compile(source, path, "exec", dont_inherit=True)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of one of the person's modules with probes, or None: somebody else's."""
        spec = PathFinder.find_spec(fullname, path, target)
        if (
            spec is None
            or type(spec.loader) is not SourceFileLoader
            or not spec.origin
            or not self._mine(spec.origin)
        ):
            return None
        try:
            with open(spec.origin, "rb") as file:
                code = self._compile(file.read(), spec.origin)
        except OSError:
            return None
        if code is None:
            return None  # Python's own loader says what is wrong with it, in its own words
        spec.loader = _Compiled(fullname, spec.origin, code)
        spec.cached = None
        return spec

    def _mine(self, origin: str) -> bool:
        real = os.path.realpath(origin)
        return (
            real.startswith(self._folder)
            and not real.startswith(self._leave_out)
            and os.sep + "site-packages" + os.sep not in real
            and os.sep + "dist-packages" + os.sep not in real
        )

    def _compile(self, source: bytes, path: str) -> CodeType | None:
        try:
            tree = ast.parse(source, path)
            return compile(self._instrument(tree, path), path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class _Compiled(SourceFileLoader):
    """A source file's loader whose code is made already."""

    def __init__(self, fullname: str, path: str, code: CodeType) -> None:
        super().__init__(fullname, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType | None:
        """The instrumented code."""
        return self._code
