"""The page's modules as one classic script: a file opened from a disk may not import others."""

from __future__ import annotations

import os
import re

_IMPORT = re.compile(r'^import (\{[^}]*\}|\* as \w+) from "\./([\w-]+\.mjs)";$', re.M)
_EXPORT = re.compile(
    r"^export (?=(?:async )?(?:function\*? |class |const |let ))(?:async )?\w+\*? ([\w$]+)", re.M
)
_AS = re.compile(r"(\w+) as (\w+)")
_LIST = re.compile(r"^export \{([^}]*)\};$", re.M)


class NotBundledError(ValueError):
    """A module is written in a way that cannot be put into one script; the text says which and where."""


def bundle(folder: str, entry: str) -> str:
    """`entry` of `folder` and all that it imports, each in a function of its own, in the order they need one another.

    Raises NotBundledError where modules import in a circle or in a way that is not known here.
    """
    done: dict[str, str] = {}
    _add(folder, entry, done, ())
    return '"use strict";\n' + "\n".join(done.values())


def _add(folder: str, name: str, done: dict[str, str], above: tuple[str, ...]) -> None:
    if name in done:
        return
    if name in above:
        raise NotBundledError(f"Modules import one another in a circle: {' -> '.join((*above, name))}.")
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        text = file.read()
    for _, other in _IMPORT.findall(text):
        _add(folder, other, done, (*above, name))
    done[name] = wrapped(text, name)


def wrapped(text: str, name: str) -> str:
    """One module as a function that gives what it exports.

    >>> print(wrapped('import { h } from "./dom.mjs";\\nexport const two = h(2);', "a.mjs"))
    const a_mjs = (() => {
    const { h } = dom_mjs;
    const two = h(2);
    return { two };
    })();
    """
    names = _EXPORT.findall(text)
    for listed in _LIST.findall(text):
        names += [part.strip() for part in listed.split(",") if part.strip()]
    text = _IMPORT.sub(_import, _LIST.sub("", text))
    text = re.sub(r"^export (?=(?:async )?(?:function|class|const|let)\b)", "", text, flags=re.M)
    for line in text.splitlines():
        if re.match(r"(import|export)\b(?!\()", line):
            raise NotBundledError(
                f"{name}: {line.strip()[:100]!r} is an import or export of an unknown kind."
            )
    return f"const {_variable(name)} = (() => {{\n{text.strip()}\nreturn {{ {', '.join(names)} }};\n}})();"


def _import(match: re.Match[str]) -> str:
    what, name = match.groups()
    if what.startswith("*"):
        return f"const {what.split()[-1]} = {_variable(name)};"
    parts = _AS.sub(r"\1: \2", what)
    return f"const {parts} = {_variable(name)};"


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name)
