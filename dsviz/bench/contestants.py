"""Who can be measured: this engine, PyTorch in its layouts and compiled, TensorFlow and JAX where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

from dsviz.bench.workloads import WORKLOADS, Step

OURS, EAGER, LAST, COMPILED = "dsviz", "torch", "torch-channels-last", "torch-compile"


class Contestant(NamedTuple):
    """`build(workload)` makes the step; `needs` is the package, `only` the workloads it takes part in (all if None)."""

    title: str
    needs: str
    build: Callable[[str], Step]
    only: tuple[str, ...] | None = None


class Dressed:
    """A framework whose models and batches of images are changed before they are used: `lib.dress(model)`."""

    def __init__(self, lib: Any, model: Callable[[Any], Any], images: Callable[[Any], Any]) -> None:
        self._lib = lib
        self.dress = model
        self.images = images

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)


def _plain(framework: str) -> Callable[[str], Step]:
    return lambda workload: WORKLOADS[workload].build(importlib.import_module(framework))


def _channels_last(workload: str) -> Step:
    torch: Any = importlib.import_module("torch")

    def last(x: Any) -> Any:
        return x.to(memory_format=torch.channels_last)

    return WORKLOADS[workload].build(Dressed(torch, last, last))


def _compiled(workload: str) -> Step:
    torch: Any = importlib.import_module("torch")
    return WORKLOADS[workload].build(Dressed(torch, torch.compile, lambda x: x))


def _functional(module: str) -> Callable[[str], Step]:
    def build(workload: str) -> Step:
        made: Step = importlib.import_module(f"dsviz.bench.{module}").build(workload)
        return made

    return build


# What the functional programs are written for.
FUNCTIONAL = ("chain", "mlp", "lstm-1", "lstm-32", "transformer", "resnet50")
CONTESTANTS = {
    OURS: Contestant("dsviz", "numpy", _plain("dsviz")),
    EAGER: Contestant("PyTorch", "torch", _plain("torch")),
    LAST: Contestant("PyTorch channels_last", "torch", _channels_last, ("resnet50",)),
    COMPILED: Contestant(
        "torch.compile", "torch", _compiled, ("mlp", "lstm-ops-1", "lstm-ops-32", "transformer", "resnet50")
    ),
    "tensorflow": Contestant("TensorFlow", "tensorflow", _functional("in_tensorflow"), FUNCTIONAL),
    "jax": Contestant("JAX", "jax", _functional("in_jax"), FUNCTIONAL),
}
# Those that compile first are measured when they are asked for.
USUAL = (OURS, EAGER, LAST)


def missing(name: str) -> str:
    """Why a contestant cannot be measured here, "" where it can.

    >>> missing("dsviz")
    ''
    """
    if importlib.util.find_spec(CONTESTANTS[name].needs) is None:
        return "not installed"
    if name == COMPILED and not any(shutil.which(compiler) for compiler in ("g++", "clang++")):
        return "no C++ compiler"
    return ""


def field(workload: str, asked: tuple[str, ...] = USUAL) -> dict[str, str]:
    """Who takes part in a workload, and why not ("" for those that do)."""
    found = {}
    for name in asked:
        only = CONTESTANTS[name].only
        if only is None or workload in only:
            found[name] = missing(name)
    return found
