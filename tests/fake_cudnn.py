"""A stand-in for cuDNN beside the one for CuPy: it has the C interface that `engine.gpu` calls, and computes with NumPy.

It keeps the rules of the real one that matter: what was not described is not there, an array is read by the strides it
was described with, and the ways to compute something are offered in an order, each with what is said of its numbers.
"""

from __future__ import annotations

import ctypes
import itertools
import json
from typing import Any, NamedTuple

import numpy as np

from engine.gpu import plan as names
from engine.ops import convolve
from engine.ops.window import Window

SUCCESS, NOT_SUPPORTED = 0, 3000
KINDS = {0: np.float32, 1: np.float64, 2: np.float16}
CODES = {code: (what, rest) for what, (code, *rest) in names.OPERATIONS.items()}


class Way(NamedTuple):
    """A way to compute a convolution: its number, what is said of its numbers, and milliseconds it takes."""

    engine: int
    notes: tuple[int, ...] = ()
    takes: float = 1.0
    room: int = 0


class Function:
    """A function of the library, which lets its result type be set."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.restype: Any = None

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


def number(value: Any) -> int:
    return int(getattr(value, "value", value) or 0)


class Cudnn:
    """The library. `ways` are offered for whatever is asked; `ran` says which engines computed, in order."""

    def __init__(self, *ways: Way, layouts: tuple[bool, ...] = (False, True)) -> None:
        self.ways = ways or (Way(1),)
        self.layouts = layouts  # channels last or not, of what is computed at all
        self.ran: list[int] = []
        self.lasts: list[bool] = []
        self.padding: list[tuple[list[int], list[int]]] = []  # before and after, of each that ran
        self.asked = self.read = 0
        self.clock = 0.0
        self.held: dict[int, dict[int, Any]] = {}
        self.numbers = itertools.count(1)
        for name in dir(self):
            if name.startswith("_cudnn"):
                setattr(self, name[1:], Function(getattr(self, name)))

    def _cudnnGetVersion(self) -> int:
        return 91900

    def _cudnnGetCudartVersion(self) -> int:
        return 13010

    def _cudnnGetErrorString(self, status: int) -> bytes:
        return b"not supported" if status else b"success"

    def _cudnnCreate(self, place: Any) -> int:
        place._obj.value = 1
        return SUCCESS

    def _cudnnSetStream(self, handle: Any, stream: Any) -> int:
        return SUCCESS

    def _cudnnCreateTensorDescriptor(self, place: Any) -> int:
        return NOT_SUPPORTED  # nothing of the older interface

    def _cudnnBackendCreateDescriptor(self, kind: int, place: Any) -> int:
        place._obj.value = made = next(self.numbers)
        self.held[made] = {-1: kind}
        return SUCCESS

    def _cudnnBackendDestroyDescriptor(self, value: Any) -> int:
        self.held.pop(number(value), None)
        return SUCCESS

    def _cudnnBackendSetAttribute(self, value: Any, name: int, kind: int, count: Any, values: Any) -> int:
        given = list(getattr(values, "_obj", values))
        assert len(given) == number(count)
        self.held[number(value)][name] = b"".join(given) if kind == names.TEXT else given
        return SUCCESS

    def _cudnnBackendFinalize(self, value: Any) -> int:
        held = self.held[number(value)]
        if held[-1] == names.GRAPH:
            held["graph"] = self._described(held[801][0])
        if held[-1] == names.PLAN:
            if 405 in held:
                self.read += 1
                said = json.loads(held[405])
                held["way"], held["graph"] = Way(*said["way"]), said["graph"]
            else:
                config = self.held[held[401][0]]
                held["way"], held["graph"] = config["way"], config["graph"]
        return SUCCESS

    def _described(self, operation: int) -> Any:
        held = self.held[operation]
        what, (convolution, *arrays, _, _) = CODES[held[-1]]
        shape = self.held[held[convolution][0]]
        tensors = [self.held[held[each][0]] for each in arrays]
        geometry = [list(shape[name]) for name in (103, 105, 104, 102)]
        return [what, geometry, *[[t[901][0], list(t[902]), list(t[903])] for t in tensors]]

    def _cudnnBackendGetAttribute(
        self, value: Any, name: int, kind: int, room: Any, count: Any, place: Any
    ) -> int:
        held = self.held[number(value)]
        into = None if place is None else place._obj
        if name == 202:
            self.asked += 1
            graph = self.held[held[201][0]]["graph"]
            (_, channels, *_), (_, step, *_) = graph[2][1:]
            offered = self.ways if (step == 1 and channels > 1) in self.layouts else ()
            if held[200][0] != names.HEURISTIC_A:
                offered = ()
            count._obj.value = len(offered)
            for at, way in zip(into or (), offered, strict=False):
                self.held[at].update(way=way, graph=graph)
        elif name == 300:
            self.held[into[0]]["way"] = held["way"]
        elif name == 1303:
            notes = held["way"].notes
            count._obj.value = len(notes)
            into[: len(notes)] = notes
        elif name == 402:
            into[0] = held["way"].room
        elif name == 405:
            said = json.dumps({"way": held["way"], "graph": held["graph"]}).encode()
            count._obj.value = len(said)
            if into is not None:
                into[: len(said)] = said
        else:
            return NOT_SUPPORTED
        return SUCCESS

    def _cudnnBackendExecute(self, handle: Any, plan: Any, pack: Any) -> int:
        held, given = self.held[number(plan)], self.held[number(pack)]
        what, (stride, before, after, dilation), *tensors = held["graph"]
        x, weight, y = (_array(at, *tensor) for at, tensor in zip(given[1001], tensors, strict=True))
        w = Window(weight.shape[2:], tuple(stride), tuple(zip(before, after, strict=True)), tuple(dilation))
        groups = x.shape[1] // weight.shape[1]
        if what == "forward":
            y[...] = convolve.correlate(np, x, weight, None, w, groups)
        elif what == "data":
            x[...] = convolve.spread(np, y, weight, None, w, groups, x.shape[2:])
        else:
            weight[...] = convolve.weigh(np, x, y, w, groups)
        self.ran.append(held["way"].engine)
        self.padding.append((before, after))
        self.lasts.append(not x.flags.c_contiguous)
        self.clock += held["way"].takes
        return SUCCESS


def _array(at: int, kind: int, shape: list[int], strides: list[int]) -> Any:
    """The memory at an address as cuDNN was told that it lies."""
    item = np.dtype(KINDS[kind])
    size = (1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))) * item.itemsize
    flat = np.frombuffer((ctypes.c_char * size).from_address(at), item)
    return np.lib.stride_tricks.as_strided(flat, shape, [s * item.itemsize for s in strides])
