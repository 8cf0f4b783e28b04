"""Who can be measured: this engine, PyTorch in its layouts and compiled, TensorFlow and JAX where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

from dsviz.bench.setting import HALVES
from dsviz.bench.workloads import Step, found, plain_name

OURS, EAGER, LAST, COMPILED = "dsviz", "torch", "torch-channels-last", "torch-compile"
RECORDED, GRAPH = "dsviz-graphed", "torch-graphed"
MINE = (OURS, RECORDED)


class Contestant(NamedTuple):
    """`build(workload, precision)` makes the step; `needs` is the package, `only` the workloads it takes part in (all if None)."""

    title: str
    needs: str
    build: Callable[..., Step]
    only: tuple[str, ...] | None = None


class Dressed:
    """A framework with what a contestant changes: `lib.dress(model)`, `lib.images(batch)`, `with lib.mixed():`."""

    def __init__(self, lib: Any, **changes: Callable[..., Any]) -> None:
        self._lib = lib
        vars(self).update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)


def mixed(lib: Any, precision: str) -> dict[str, Callable[..., Any]]:
    """The change that computes losses under `autocast`; none where float32 is computed with."""
    half = HALVES.get(precision)
    return {} if half is None else {"mixed": lambda: lib.autocast("cuda", dtype=getattr(lib, half))}


def _made(framework: str, dress: Callable[[Any], dict[str, Any]] = lambda lib: {}) -> Callable[..., Step]:
    def build(workload: str, precision: str = "fp32") -> Step:
        lib = importlib.import_module(framework)
        changes = {**dress(lib), **mixed(lib, precision)}
        return found(workload).build(Dressed(lib, **changes) if changes else lib)

    return build


def _last(torch: Any) -> dict[str, Any]:
    def last(x: Any) -> Any:
        return x.to(memory_format=torch.channels_last)

    return {"dress": last, "images": last}


def _compiled(torch: Any) -> dict[str, Any]:
    return {"dress": torch.compile}


def _recorded(ds: Any) -> dict[str, Any]:
    def stepped(run: Callable[[], Any]) -> Step:
        recorded = ds.cuda.graphed(run)
        return lambda: float(recorded().item())

    return {"stepped": stepped}


def _graph(torch: Any) -> dict[str, Any]:
    """As PyTorch's documentation of CUDA graphs has it: three steps on a stream beside, then the recording."""

    def stepped(run: Callable[[], Any]) -> Step:
        aside, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        made: list[Any] = []
        count = 0

        def step() -> float:
            nonlocal count
            count += 1
            if count <= 3:
                aside.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(aside):
                    loss = run()
                torch.cuda.current_stream().wait_stream(aside)
                return float(loss.item())
            if not made:
                with torch.cuda.graph(graph):
                    made.append(run())
            graph.replay()
            return float(made[0].item())

        return step

    return {"stepped": stepped}


def _functional(module: str) -> Callable[..., Step]:
    def build(workload: str, precision: str = "fp32") -> Step:
        made: Step = importlib.import_module(f"dsviz.bench.{module}").build(workload)
        return made

    return build


# What the functional programs are written for.
FUNCTIONAL = ("chain", "mlp", "lstm-1", "lstm-32", "transformer", "resnet50")
CONTESTANTS = {
    OURS: Contestant("dsviz", "numpy", _made("dsviz")),
    EAGER: Contestant("PyTorch", "torch", _made("torch")),
    RECORDED: Contestant("dsviz graphed", "numpy", _made("dsviz", _recorded)),
    GRAPH: Contestant("PyTorch graphed", "torch", _made("torch", _graph)),
    LAST: Contestant("PyTorch channels_last", "torch", _made("torch", _last), ("resnet50",)),
    COMPILED: Contestant(
        "torch.compile",
        "torch",
        _made("torch", _compiled),
        ("mlp", "lstm-ops-1", "lstm-ops-32", "transformer", "resnet50"),
    ),
    "tensorflow": Contestant("TensorFlow", "tensorflow", _functional("in_tensorflow"), FUNCTIONAL),
    "jax": Contestant("JAX", "jax", _functional("in_jax"), FUNCTIONAL),
}
# Those that compile first are measured when they are asked for.
USUAL = (OURS, EAGER, LAST)


def missing(name: str, device: str = "cpu") -> str:
    """Why a contestant cannot be measured here, "" where it can.

    >>> missing("dsviz")
    ''
    """
    if importlib.util.find_spec(CONTESTANTS[name].needs) is None:
        return "not installed"
    if name == COMPILED and not any(shutil.which(compiler) for compiler in ("g++", "clang++")):
        return "no C++ compiler"
    if device == "cpu" and name in (RECORDED, GRAPH):
        return "on a GPU only: the step as one CUDA graph"
    if device != "cpu" and name not in MINE and CONTESTANTS[name].needs != "torch":
        return "measured on the CPU only"
    return ""


def field(workload: str, asked: tuple[str, ...] = USUAL, device: str = "cpu") -> dict[str, str]:
    """Who takes part in a workload, and why not ("" for those that do)."""
    taking_part = {}
    for name in asked:
        only = CONTESTANTS[name].only
        if only is None or plain_name(workload) in only:
            taking_part[name] = missing(name, device)
    return taking_part
