"""A stand-in for CuPy: NumPy's arithmetic behind CuPy's rules, so that a machine with no GPU sees code break them.

What raises in CuPy raises here: an array of NumPy among the arguments, an array of the GPU turned into one of NumPy
without `.get()`, a function or an argument that CuPy does not have. Results of reductions are arrays, as on a GPU.
The names are those of CuPy 14.2 and were listed by `python tests/strict_cupy.py` where it is installed.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine import backend
from engine.ops import exponential
from engine.ops import special as more_special

TOTAL = 1 << 36  # bytes of the one GPU
NAMES = Path(__file__).with_name("cupy_names.json")
# What CuPy's own ufuncs take and do; `at`, `reduce` and `accumulate` are written for a few of them.
UFUNC_ARGUMENTS = {"out", "dtype", "casting"}
UFUNC_METHODS = {
    "at": {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"},
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "reduceat": {"add"},
}
REFUSED = {"initial", "where"}  # of reductions
CREATES = {"asarray", "array", "ascontiguousarray", "asfortranarray", "asnumpy"}
HOST = {"result_type", "can_cast", "promote_types", "min_scalar_type", "shape", "ndim", "size", "iinfo", "finfo", "common_type"}  # fmt: skip


def bare(value: Any) -> Any:
    """The NumPy array behind each array of the stand-in; an array of NumPy itself is refused as CuPy refuses it."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(bare(v) for v in value) if not hasattr(value, "_fields") else value
    return value


def shown(value: Any) -> Any:
    """What NumPy gave, as arrays of the stand-in."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (list, tuple)):
        parts = [shown(v) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


class Tape:
    """What is recorded for a CUDA graph: NumPy's calls, and what `add` is given. A launch makes them once more.

    Nothing is computed while it is recorded, as on a GPU: what NumPy has to compute all the same, to know of which shape
    a result is, is taken back at the end.
    """

    now: ClassVar[Tape | None] = None  # of the stream in use

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.before: list[tuple[Any, Any]] = []
        self.kept: list[Any] = []  # memory that is given back meanwhile is the graph's

    def add(self, call: Any) -> None:
        """`call()` at each launch."""
        self.calls.append(call)

    def call(self, function: Any, args: Any, kwargs: Any) -> Any:
        """The result of NumPy's function, whose memory a launch fills anew."""
        given = arrays(args, kwargs, getattr(function, "__self__", None))
        self.before += [(a, a.copy()) for a in given if a.flags.writeable]
        made = function(*args, **kwargs)
        made = np.asarray(made) if isinstance(made, np.generic) else made
        fresh = [not any(np.may_share_memory(part, a) for a in given) for part in arrays(made)]
        self.kept += arrays(made)

        def again() -> None:
            for part, other, own in zip(arrays(made), arrays(function(*args, **kwargs)), fresh, strict=True):
                if own:
                    part[...] = other

        self.calls.append(again)
        return made

    def end(self) -> None:
        """It is recorded: what was computed for it is undone."""
        for array, before in reversed(self.before):
            array[...] = before
        self.before = []

    def launch(self) -> None:
        """Run it."""
        with np.errstate(all="ignore"):
            for call in self.calls:
                call()


def arrays(*found: Any) -> list[Any]:
    """NumPy's arrays in tuples, lists and dictionaries; a number of NumPy's is one too."""
    made: list[Any] = []
    for value in found:
        if isinstance(value, (np.ndarray, np.generic)):
            made.append(value if isinstance(value, np.ndarray) else np.asarray(value))
        elif isinstance(value, (list, tuple)):
            made += arrays(*value)
        elif isinstance(value, dict):
            made += arrays(*value.values())
    return made


def ran(function: Any, *args: Any, **kwargs: Any) -> Any:
    """NumPy's function on its arrays. A GPU does not warn."""
    with np.errstate(all="ignore"):
        return function(*args, **kwargs) if Tape.now is None else Tape.now.call(function, args, kwargs)


def disallowed(what: str) -> None:
    """Raise what CuPy raises while it records."""
    if Tape.now is not None:
        raise RuntimeError(f"the current stream is capturing, so {what} transfers are disallowed")


def through(name: str, function: Any) -> Any:
    """`function` of NumPy, on arrays of the stand-in."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if refused := set(kwargs) & REFUSED:
            raise TypeError(f"{name}() got an unexpected keyword argument {refused.pop()!r}")
        if name == "where" and not isinstance(args[0], ndarray):
            raise AttributeError(f"{type(args[0]).__name__!r} object has no attribute 'astype'")
        if name in HOST:
            return function(*[a.host if isinstance(a, ndarray) else a for a in args], **kwargs)
        if name in CREATES and not isinstance(args[0], (ndarray, int, float)):
            disallowed("H2D")
        given = (lambda v: v.host if isinstance(v, ndarray) else v) if name in CREATES else bare
        raw = [given(a) for a in args]
        named = {key: given(value) for key, value in kwargs.items()}
        result = ran(function, *raw, **named)
        out = kwargs.get("out")
        return out if isinstance(out, ndarray) else shown(result)

    return call


class Ufunc:
    """A ufunc with the arguments and methods CuPy has."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc
        self.__name__ = ufunc.__name__
        self.nin = ufunc.nin

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if unknown := set(kwargs) - UFUNC_ARGUMENTS:
            raise TypeError(f"Wrong arguments {unknown} of {self.__name__}")
        if self.__name__.startswith("logical_") and any(np.iscomplexobj(bare(a)) for a in args[: self.nin]):
            raise TypeError(f"Wrong type of arguments for cupy_{self.__name__}")
        outs = [a for a in args[self.nin :] if a is not None] or [kwargs.get("out")]
        if isinstance(outs[0], tuple):
            outs = list(outs[0])
        for out in outs:
            if out is not None and not isinstance(out, ndarray):
                raise TypeError(f"return arrays must be of ArrayType, got {type(out)}")
        result = ran(self.ufunc, *bare(list(args)), **{k: bare(v) for k, v in kwargs.items()})
        if outs[0] is not None:
            return outs[0] if len(outs) == 1 else tuple(outs)
        return shown(result)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.ufunc, name)
        if name in UFUNC_METHODS and self.__name__ not in UFUNC_METHODS[name]:
            raise NotImplementedError(f"{self.__name__}.{name}")
        if name == "at":

            def at(array: Any, index: Any, values: Any) -> Any:
                if array.dtype.kind == "c":
                    raise TypeError(
                        f"{self.__name__}.at only supports int32, float16, float32, float64, uint32, uint64, not {array.dtype}"
                    )
                return ran(method, array.host, array._index(index), bare(values))

            return at
        return through(name, method) if callable(method) else method


def named(name: str) -> Any:
    """The NumPy function behind one of CuPy's names."""
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part)
    if isinstance(found, np.ufunc):
        return Ufunc(found)
    if isinstance(found, type) or not callable(found):
        return found
    return through(name, found)


class Memory:
    """The pointer of an array, by which two arrays are seen to share memory."""

    def __init__(self, host: np.ndarray[Any, Any]) -> None:
        self.ptr = host.__array_interface__["data"][0]


class Device:
    """The one GPU."""

    def __init__(self, id: int = 0) -> None:
        self.id = 0
        self.compute_capability = "90"

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def use(self) -> None:
        """Nothing: it is in use."""

    def synchronize(self) -> None:
        """Nothing: all is done."""


class MemoryHook:
    """Told of each block of memory in a `with` block: arrays here own one each, rounded up to 512 bytes."""

    following: ClassVar[list[MemoryHook]] = []

    def __enter__(self) -> MemoryHook:
        self.following.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.following.remove(self)

    def malloc_postprocess(self, **seen: Any) -> None:
        """A block was given."""

    def free_postprocess(self, **seen: Any) -> None:
        """A block came back."""

    @classmethod
    def tell(cls, word: str, size: int) -> None:
        """Those who follow, of a block of `size` bytes."""
        for hook in cls.following:
            getattr(hook, word)(device_id=0, mem_size=size, mem_ptr=1, pmem_id=1)


class Pool:
    """Where all memory comes from; `live` bytes of it are in arrays."""

    live = reserved = 0

    def used_bytes(self) -> int:
        """In arrays."""
        return Pool.live

    def total_bytes(self) -> int:
        """Had of the GPU."""
        return Pool.reserved

    def free_all_blocks(self) -> None:
        """Give back what is in no array."""
        Pool.reserved = Pool.live

    @classmethod
    def give(cls, size: int) -> None:
        """A block of `size` bytes."""
        cls.live += size
        cls.reserved = max(cls.reserved, cls.live)
        MemoryHook.tell("malloc_postprocess", size)

    @classmethod
    def take(cls, size: int) -> None:
        """It comes back."""
        cls.live -= size
        MemoryHook.tell("free_postprocess", size)


class ndarray:  # noqa: N801 - CuPy's name
    """An array of the stand-in; `host` is where its numbers are."""

    __array_priority__ = 100

    def __init__(self, host: np.ndarray[Any, Any]) -> None:
        self.host = host
        if Tape.now is not None:
            Tape.now.kept.append(host)
        if host.base is None and host.nbytes:
            size = -(-host.nbytes // 512) * 512
            Pool.give(size)
            weakref.finalize(host, Pool.take, size).atexit = False

    def get(self) -> np.ndarray[Any, Any]:
        """The numbers, on the CPU."""
        disallowed("D2H")
        return self.host.copy()

    def set(self, array: np.ndarray[Any, Any], stream: Any = None) -> None:
        """Numbers of the CPU, copied here."""
        if array.shape != self.host.shape or array.dtype != self.host.dtype:
            raise ValueError("the array does not fit")
        self.host[...] = array

    def item(self, *args: int) -> Any:
        """One number."""
        disallowed("D2H")
        return self.host.item(*args)

    def tolist(self) -> Any:
        """Python's lists."""
        disallowed("D2H")
        return self.host.tolist()

    @property
    def base(self) -> Any:
        """The array this one is a view of."""
        return None if self.host.base is None else shown(self.host.base)

    @property
    def data(self) -> Memory:
        """Where its memory is."""
        return Memory(self.host)

    @property
    def device(self) -> Device:
        """The one GPU."""
        return Device()

    @property
    def flags(self) -> Any:
        """How its elements lie."""
        flags = self.host.flags
        return types.SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        ours = getattr(CUPY, ufunc.__name__)
        if "out" in kwargs and isinstance(kwargs["out"], tuple) and len(kwargs["out"]) == 1:
            kwargs["out"] = kwargs["out"][0]
        return ours(*args, **kwargs) if method == "__call__" else getattr(ours, method)(*args, **kwargs)

    def __array_function__(self, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
        module = function.__module__.removeprefix("numpy").removeprefix(".")
        where = CUPY if not module else getattr(CUPY, module)
        return getattr(where, function.__name__)(*args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        return shown(ran(self.host.__getitem__, self._index(index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        ran(self.host.__setitem__, self._index(index), bare(value))

    def _index(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        raw = tuple(p.host if isinstance(p, ndarray) else p for p in parts)
        return raw if isinstance(index, tuple) else raw[0]

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self) -> Any:
        return iter([shown(part) for part in self.host])

    def __bool__(self) -> bool:
        disallowed("D2H")
        return bool(self.host)

    def __int__(self) -> int:
        disallowed("D2H")
        return int(self.host)

    def __float__(self) -> float:
        disallowed("D2H")
        return float(self.host)

    def __index__(self) -> int:
        disallowed("D2H")
        return self.host.__index__()

    def __repr__(self) -> str:
        return repr(self.host)

    def __format__(self, spec: str) -> str:
        return format(self.host, spec)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in LISTED["ndarray"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        found = getattr(self.host, name)
        return through(name, found) if callable(found) else shown(found)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "host":
            object.__setattr__(self, name, value)
        elif name in ("shape",):
            self.host.shape = value
        else:
            raise AttributeError(f"attribute {name!r} of 'cupy.ndarray' objects is not writable")


ndarray.__module__ = "cupy"
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")  # fmt: skip
# A GPU has no more operators than these; each refuses an array of NumPy, whichever side it is on.
for operator in (
    *(f"{side}{word}" for word in ARITHMETIC for side in ("", "r")),
    *("lt", "le", "gt", "ge", "eq", "ne", "divmod"),
):

    def _binary(self: ndarray, other: Any, word: str = f"__{operator}__") -> Any:
        if other is not None and not isinstance(other, (ndarray, np.generic, int, float, complex, bool)):
            if isinstance(other, np.ndarray):
                raise TypeError(f"Unsupported type {type(other)}")
            return NotImplemented
        return shown(ran(getattr(self.host, word), bare(other)))

    setattr(ndarray, f"__{operator}__", _binary)
for operator in [f"i{word}" for word in ARITHMETIC if word != "matmul"]:

    def _inplace(self: ndarray, other: Any, word: str = f"__{operator}__") -> Any:
        ran(getattr(self.host, word), bare(other))
        return self

    setattr(ndarray, f"__{operator}__", _inplace)
for operator in ("neg", "pos", "abs", "invert"):

    def _unary(self: ndarray, word: str = f"__{operator}__") -> Any:
        return shown(ran(getattr(self.host, word)))

    setattr(ndarray, f"__{operator}__", _unary)
ndarray.__hash__ = object.__hash__  # type: ignore[method-assign]

LISTED: dict[str, list[str]] = json.loads(NAMES.read_text(encoding="utf-8")) if NAMES.exists() else {}


class Module(types.ModuleType):
    """A module of CuPy: the names it has, with what NumPy does under them."""

    def __getattr__(self, name: str) -> Any:
        room = self.__name__.removeprefix("cupy").removeprefix(".")
        if name.startswith("__") or name not in LISTED.get(room, ()):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = named(f"{room}.{name}" if room else name)
        setattr(self, name, found)
        return found


def special(name: str) -> Any:
    """A function of `cupyx.scipy.special`, from the engine's own for the CPU."""
    ours: dict[str, Any] = {
        "erf": lambda x: exponential.erf_of(np, x),
        "erfc": more_special._erfc,
        "erfinv": more_special._erfinv,
        "gammaln": more_special._lgamma,
        "digamma": more_special._digamma,
        "polygamma": lambda n, x: more_special.POLYGAMMA.forward(np, x, n=int(n)),
    }
    return lambda *given: shown(
        ran(lambda *raw: ours[name](*raw).astype(given[-1].dtype), *bare(list(given)))
    )


CUPY = Module("cupy")


@contextlib.contextmanager
def installed() -> Iterator[types.ModuleType]:
    """The stand-in under CuPy's names in `sys.modules`, for a block."""
    gc.collect()  # arrays of an earlier block, which would be given back while somebody counts
    Pool().free_all_blocks()
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        deviceSynchronize=lambda: None,
        memGetInfo=lambda: (TOTAL - Pool.reserved, TOTAL),
        runtimeGetVersion=lambda: 13010,
        getDeviceProperties=lambda index: {"name": b"a stand-in"},
    )
    given: dict[str, Any] = {
        "ndarray": ndarray,
        "asnumpy": lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array),
        "__version__": "14.2.0",
        "get_default_memory_pool": Pool,
        "cuda": types.SimpleNamespace(runtime=runtime, Device=Device, MemoryHook=MemoryHook),
        "lib": types.SimpleNamespace(stride_tricks=Module("cupy.lib.stride_tricks")),
        **{name: Module(f"cupy.{name}") for name in ("linalg", "random", "fft")},
    }
    for name, value in given.items():
        setattr(CUPY, name, value)
    more = {name: types.ModuleType(name) for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.special")}
    for name in ("erf", "erfc", "erfinv", "gammaln", "digamma", "polygamma"):
        setattr(more["cupyx.scipy.special"], name, special(name))
    before = {name: sys.modules.get(name) for name in ("cupy", *more)}
    sys.modules.update({"cupy": CUPY, **more})
    backend.cupy.cache_clear()
    try:
        yield CUPY
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        backend.cupy.cache_clear()


if __name__ == "__main__":
    import cupy  # type: ignore[import-not-found]

    rooms = {"": cupy, "ndarray": cupy.ndarray, "linalg": cupy.linalg, "random": cupy.random, "fft": cupy.fft}
    rooms["lib.stride_tricks"] = cupy.lib.stride_tricks
    listed = {room: [n for n in dir(there) if not n.startswith("_")] for room, there in rooms.items()}
    NAMES.write_text(json.dumps(listed), encoding="utf-8")
