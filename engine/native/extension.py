"""An extension of CPython from one C file: compiled beside the program, kept by content, loaded once it is there.

It only makes quicker what Python does as well, so nobody waits for it, and a program on a machine without a compiler
or Python's headers runs all the same. `DSVIZ_CORE=0` in the environment refuses it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader
from types import ModuleType

SWITCH = "DSVIZ_CORE"
FLAGS = ("-O2", "-DNDEBUG", "-fPIC", "-shared", "-fwrapv", "-fno-strict-aliasing")
_HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(_HERE, "slots.h")


class Extension:
    """The module `name`, made of the file `source`, which may include the other `parts` beside it.

    `why` says what keeps it from being used, "" once it is loaded.
    """

    def __init__(self, name: str, source: str, *parts: str) -> None:
        self.name = name
        self.source = source
        self.parts = [os.path.join(os.path.dirname(source), part) for part in parts]
        self.why = "nothing has asked for it yet"
        self._module: ModuleType | None = None
        self._begun = False
        self.hopeless = False  # it will not come

    def ready(self) -> ModuleType | None:
        """The module, None as long as there is none. Starts the compiler at the first call."""
        if self._module is None and not self.hopeless and (name := self._wanted()) is not None:
            self._look(name, wait=False)
        return self._module

    def build(self) -> ModuleType | None:
        """The module, waited for; None where it cannot be had."""
        if self._module is None and (name := self._wanted()) is not None:
            self._begun = False
            self._look(name, wait=True)
            self._look(name, wait=True)  # and load it
        return self._module

    def _wanted(self) -> str | None:
        """What the library is called; None where there can be none."""
        if os.environ.get(SWITCH) == "0":
            self.why = f"{SWITCH}=0 refuses it"
            return None
        from engine.native import compiler  # slow to load, and most programs are not watched

        include = sysconfig.get_paths()["include"]
        if os.name != "posix" or sys.implementation.name != "cpython" or "t" in sys.abiflags:
            self.why = "there is none for this Python"
        elif compiler.compiler() is None:
            self.why = "there is no C compiler"
        elif not os.path.isfile(os.path.join(include, "Python.h")):
            self.why = f"Python's headers are not in {include}"
        else:
            text = "".join(_text(path) for path in (HEADER, *self.parts, self.source))
            return compiler.name_of(text, (*FLAGS, self.name, sys.version, sys.abiflags, include))
        self.hopeless = True
        return None

    def _look(self, name: str, wait: bool) -> None:
        from engine.native import cache, compiler

        path = cache.find(name)[0]
        if path is not None:
            try:
                self._module = _loaded(self.name, str(path))
                self.why = ""
            except ImportError as error:
                self.hopeless, self.why = True, f"what the compiler made could not be loaded: {error}"
        elif not self._begun:
            self._begun = True
            self.why = "it is being compiled"
            flags = (*FLAGS, *_LINKING, f"-I{sysconfig.get_paths()['include']}", f"-I{_HERE}")
            try:
                compiler.leave(name, self.source, flags, wait=wait)
            except OSError as error:  # no processes to be had, or a full disk
                self.hopeless, self.why = True, f"the compiler did not start: {error}"
        elif wait:
            self.hopeless, self.why = True, "the compiler failed"


_LINKING = ("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _loaded(name: str, path: str) -> ModuleType:
    loader = ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
