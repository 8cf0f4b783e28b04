"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from typing import Any

import pytest

import dsviz
import engine

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NOT_IMPORTED = ("__main__", ".bootstrap")  # run as programs: importing them would start one


def _modules() -> list[str]:
    names = []
    for package in (engine, dsviz):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(NOT_IMPORTED):
                names.append(found.name)
    return names


def _with_examples(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    with open(spec.origin, encoding="utf-8") as file:
        return ">>> " in file.read()


MODULES = [name for name in _modules() if _with_examples(name)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str) -> None:
    module: Any = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=FLAGS, extraglobs={"ds": dsviz})
    assert result.failed == 0, (
        f"{result.failed} of {result.attempted} examples of {name} print something else"
    )
