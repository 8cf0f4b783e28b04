"""Files that hide one of our packages because they bear its name and lie where Python looks first.

Python puts the script's folder (and for `python -m` the current one) before everything installed, so
an `engine.py` beside a script is what `import engine` finds. The debugger cannot run on that file,
and must not pretend it is not there: the script itself may want it. So it says what hides what.

`layouts` is different: only the debugger's server needs it, never the person's program. The server
loads its own by path (`load_own`), and a `layouts.py` beside the script is left to the script.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def own_file(name: str) -> str:
    """The file of our own package `name`."""
    return os.path.join(ROOT, name, "__init__.py")


def explain(name: str, other: str) -> str:
    """The sentences that tell a person that the file `other` hides our package `name`."""
    if os.path.basename(other) == "__init__.py":
        thing = f"the folder {os.path.dirname(other)}"
    else:
        thing = f"the file {other}"
    return (
        f"dsviz needs its own package {name!r} ({own_file(name)}), but Python finds {other} first. "
        f"Rename {thing} and the imports of it (for example to my_{name}), "
        f"or move it out of the script's folder, then run again."
    )


def check_import(name: str) -> None:
    """Raise ImportError where `import name` gives, or would give, another package than our own."""
    if name in sys.modules:
        found = getattr(sys.modules[name], "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        found = spec.origin if spec else None
    if found is None:
        raise ImportError(
            f"dsviz needs its package {name!r}, which should be {own_file(name)} but is not there. "
            "Install dsviz again: pip install --force-reinstall dsviz.",
            name=name,
        )
    if not _same(found, own_file(name)):
        raise ImportError(explain(name, found), name=name, path=found)


def hiding(folder: str, names: tuple[str, ...] = ("engine", "dsviz")) -> str | None:
    """Why a script in `folder` could not use dsviz, or None where nothing there hides our packages."""
    for name in names:
        spec = PathFinder.find_spec(name, [folder])
        # A folder without __init__.py has no loader; an installed package wins over such a folder.
        if spec and spec.loader and spec.origin and not _same(spec.origin, own_file(name)):
            return explain(name, spec.origin)
    return None


def load_own(name: str) -> None:
    """Make `import name` mean our own package in this process, whatever else bears the name."""
    spec = importlib.util.spec_from_file_location(
        name, own_file(name), submodule_search_locations=[os.path.join(ROOT, name)]
    )
    module = sys.modules.get(name)
    if module is not None and _same(getattr(module, "__file__", None) or "", own_file(name)):
        return
    _load(name, spec)


def _load(name: str, spec: ModuleSpec | None) -> None:
    if spec is None or spec.loader is None or not os.path.exists(own_file(name)):
        raise ImportError(f"dsviz is not complete: {own_file(name)} is missing.", name=name)
    for loaded in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
        del sys.modules[loaded]
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
