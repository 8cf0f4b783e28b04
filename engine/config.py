"""The configuration of the engine: `with ds.graph_config(...)`, and the same keys from a YAML file.

One record, `KEYS`, says what there is; the context manager, the file, the errors and the debugger read it.
The configuration in force belongs to a thread or an async task, as `contextvars` do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Any, NamedTuple

from engine.bus import bus


@dataclass(frozen=True)
class Config:
    """What is in force. Each field is a key of `ds.graph_config`; see `KEYS` for what they mean."""

    memory_optimization: bool = True
    trace_level: int = 1
    trace_sample: int = 1
    jit_threshold: int | None = None
    amp: bool = False
    amp_dtype: str = "float16"
    keep_fp32: float = 0.0
    loss_scaling: float | str = "dynamic"
    cpu_fast: bool = True
    winograd: bool = False


class ConfigError(ValueError):
    """A key there is not, or a value it does not take; the text names both and what would do."""


class Key(NamedTuple):
    """One key: what it takes, in words and as a test, and what it does."""

    allowed: str
    takes: Callable[[Any], bool]
    doc: str


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


KEYS: dict[str, Key] = {
    "memory_optimization": Key(
        "true or false", lambda v: isinstance(v, bool), "park released buffers and use them again"
    ),
    "trace_level": Key(
        "0 (off), 1 (operations) or 2 (operations and tensors)",
        lambda v: _whole(v) and v in (0, 1, 2),
        "how much a trace records",
    ),
    "trace_sample": Key(
        "a whole number, 1 or more",
        lambda v: _whole(v) and v >= 1,
        "trace every n-th iteration only",
    ),
    "jit_threshold": Key(
        "a whole number, 1 or more, or null",
        lambda v: v is None or (_whole(v) and v >= 1),
        "nodes a repeated region has to have run, all its runs together, before it is compiled; null: only where ds.jit asks",
    ),
    "amp": Key("true or false", lambda v: isinstance(v, bool), "compute in float16 where that is safe"),
    "amp_dtype": Key(
        '"float16" or "bfloat16"',
        lambda v: v in ("float16", "bfloat16"),
        "the short type of amp; bfloat16 is for a GPU, and asks for the package ml_dtypes",
    ),
    "keep_fp32": Key(
        "a number from 0 to 1",
        lambda v: _number(v) and 0 <= v <= 1,
        "share of the layers that stay in float32 under amp, the most fragile first",
    ),
    "loss_scaling": Key(
        'a number above 0, or "dynamic"',
        lambda v: v == "dynamic" if isinstance(v, str) else _number(v) and 0 < v < float("inf"),
        "what the loss is multiplied by in a backward pass under amp",
    ),
    "cpu_fast": Key(
        "true or false",
        lambda v: isinstance(v, bool),
        "compute with oneDNN's kernels where they are installed",
    ),
    "winograd": Key(
        "true or false",
        lambda v: isinstance(v, bool),
        "large 3x3 convolutions by Winograd's algorithm: half the time, the last of seven digits less",
    ),
}
assert list(KEYS) == [field.name for field in fields(Config)]

DEFAULT = Config()
_current: ContextVar[Config] = ContextVar("dsviz_config", default=DEFAULT)
current_config = _current.get  # `current` without a call of Python's, for what runs with every op
_listeners: list[Callable[[Config, Config], None]] = []


def current() -> Config:
    """The configuration in force in this thread or async task.

    >>> current().memory_optimization
    True
    """
    return _current.get()


def on_change(listener: Callable[[Config, Config], None]) -> None:
    """Call `listener(before, now)` in the thread or task whose configuration changes."""
    _listeners.append(listener)


def checked(given: dict[str, Any], where: str = "graph_config") -> dict[str, Any]:
    """`given` as it came, once every key exists and takes its value. Raises `ConfigError` otherwise."""
    for name, value in given.items():
        key = KEYS.get(name)
        if key is None:
            import difflib  # errors are rare, and it is slow to load

            near = difflib.get_close_matches(str(name), KEYS, 1, 0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where} has no key {name!r}{hint} There are: {', '.join(KEYS)}")
        if not key.takes(value):
            raise ConfigError(
                f"{where}: {name} takes {key.allowed}, got {value!r} ({type(value).__name__}). It says: {key.doc}"
            )
    return given


class graph_config:  # noqa: N801 - written as a function, `with ds.graph_config(amp=True):`
    """Set keys of the configuration for a block; they nest, and what was in force comes back at the end.

    Keys: `memory_optimization`, `trace_level`, `trace_sample`, `jit_threshold`, `amp`, `keep_fp32`, `loss_scaling`, `cpu_fast`,
    `winograd`; `KEYS` says what each takes. Raises `ConfigError` (a `ValueError`) that names the key, the values it takes and,
    for an unknown key, the nearest known one.

    >>> with graph_config(jit_threshold=10):
    ...     with graph_config(amp=False):
    ...         current().jit_threshold
    10
    """

    def __init__(self, **keys: Any) -> None:
        self._keys = checked(keys)
        self._tokens: list[tuple[Token[Config], Config]] = []

    def __enter__(self) -> Config:
        before = _current.get()
        now = replace(before, **self._keys)
        self._tokens.append((_current.set(now), before))
        _announce(before, now)
        return now

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, before = self._tokens.pop()
        now = _current.get()
        _current.reset(token)
        _announce(now, before)


def configure(**keys: Any) -> Config:
    """Set keys of the configuration from here on, in this thread or task; returns what is in force.

    This is what the debugger does when a person changes a key while the program is paused.
    """
    before = _current.get()
    now = replace(before, **checked(keys))
    _current.set(now)
    _announce(before, now)
    return now


def load_config(path: str | os.PathLike[str]) -> graph_config:
    """The keys under `graph_config:` of a YAML file, as `ds.graph_config(...)` takes them.

        graph_config:
          memory_optimization: true
          trace_level: 2
          jit_threshold: 50

    Use it as `with ds.load_config("file.yaml"):`. Raises `FileNotFoundError` for a missing file and
    `ConfigError` that names the file, and the line where YAML has one, for anything it cannot use.
    """
    import yaml  # only who has such a file pays for it

    with open(path, encoding="utf-8") as file:
        try:
            document = yaml.load(file, Loader=_once(yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
        except (
            ValueError,
            RecursionError,
        ) as error:  # also a day that is none, or a number of too many digits
            raise ConfigError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(document, dict) or "graph_config" not in document:
        raise ConfigError(
            f"{path} has to hold `graph_config:` with keys below it; there are: {', '.join(KEYS)}"
        )
    unknown = [str(key) for key in document if key != "graph_config"]
    if unknown:
        raise ConfigError(f"{path} has {unknown[0]!r} beside `graph_config:`; nothing reads it")
    keys = document["graph_config"]
    keys = {} if keys is None else keys
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys):
        raise ConfigError(f"{path}: `graph_config:` takes keys with values, got {keys!r}")
    return graph_config(**checked(keys, f"{path}: graph_config"))


def _once(loader: Any) -> Any:
    """A YAML loader for which a key that stands twice is an error: the first value would be lost without a word."""
    import yaml

    class Once(loader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands there twice", key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Once


def _announce(before: Config, now: Config) -> None:
    if before == now:
        return
    # A level of 0 and mixed precision are looked at op by op, so ops take their long way meanwhile.
    bus.hold(_held(now) - _held(before))
    for listener in _listeners:
        listener(before, now)


def _held(config: Config) -> int:
    return int(config.amp)
