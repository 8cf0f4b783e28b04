"""Whether an op can be put off: what it gives for arguments like these, and whether its own rules run on symbols."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.interruption import from_handler
from engine.jit.symbol import EACH, HALF, ROW, UNIFORM, Symbol, Tape
from engine.op import Op

REMEMBERED = 4096

FLOATS = (np.dtype("float32"), np.dtype("float64"), HALF)  # half precision on a GPU only
TRUTH = np.dtype("bool")


class Rule(NamedTuple):
    """What an op gives: the shape and type of its result, and of which shape the elements are that it goes over.

    `frozen` says that its plain numbers belong to what is compiled; else they are arguments of it. `attrs` are its
    attributes as part of a key.
    """

    shape: tuple[int, ...]
    dtype: Any
    domain: tuple[int, ...]
    frozen: bool
    reduces: bool
    attrs: Any


_rules: dict[Any, Rule | None] = {}


def word(value: Any) -> Any:
    """`value` as part of a key: 1, 1.0 and True are different, and nan is itself."""
    if isinstance(value, tuple):
        return tuple(word(v) for v in value)
    return type(value), repr(value) if type(value) is float else value


def rule_of(op: Op, arguments: tuple[Any, ...], kwargs: dict[str, Any]) -> Rule | None:
    """The rule for arguments, each a (shape, type) or the type of a plain number; None where the op has to run at once."""
    attrs: Any = ()
    if kwargs:
        for value in kwargs.values():
            if not _plain(value):
                return None
        attrs = tuple([(name, word(value)) for name, value in kwargs.items()])
    key = (op, arguments, attrs)
    try:
        return _rules[key]
    except KeyError:
        if len(_rules) >= REMEMBERED:
            _rules.clear()
        made = _rules[key] = _made(op, arguments, kwargs, attrs)
        return made


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_plain(v) for v in value)
    return value is None or type(value) in (int, float, bool, str)


def _made(op: Op, arguments: tuple[Any, ...], kwargs: dict[str, Any], attrs: Any) -> Rule | None:
    arrays = [a for a in arguments if isinstance(a, tuple)]
    kinds = {dtype for _, dtype in arrays if dtype != TRUTH}
    if len(kinds) != 1 or not kinds <= set(FLOATS):
        return None
    dtype = kinds.pop()
    try:
        shape = op.shape(*[a[0] if isinstance(a, tuple) else 1.0 for a in arguments], **kwargs)
        kind = op.dtype(*[a[1] if isinstance(a, tuple) else a(1) for a in arguments], **kwargs)
    except Exception as error:
        if from_handler(error):
            raise
        return None
    if kind != dtype or not isinstance(shape, tuple) or not shape:
        return None
    domain = shape
    for given, _ in arrays:
        if len(given) >= len(domain) and np.prod(given, dtype=np.int64) > np.prod(domain, dtype=np.int64):
            domain = given
    if 0 in shape or shape not in (domain, (*domain[:-1], 1), domain[:-1]):
        return None
    frozen = _traced(op, arguments, kwargs, shape, domain, dtype, frozen=False)
    if frozen is None:
        frozen = _traced(op, arguments, kwargs, shape, domain, dtype, frozen=True)
    return None if frozen is None else Rule(shape, dtype, domain, frozen[0], frozen[1], attrs)


def _traced(
    op: Op, arguments: tuple[Any, ...], kwargs: dict[str, Any], shape: tuple[int, ...], domain: tuple[int, ...],
    dtype: Any, frozen: bool,
) -> tuple[bool, bool] | None:  # fmt: skip
    """`frozen`, and whether rows are summed, where the op's function runs on symbols and gives what its shape rule says."""
    tape = Tape(domain, dtype)
    symbols: list[Any] = []
    for k, a in enumerate(arguments):
        if isinstance(a, tuple):
            level = UNIFORM if np.prod(a[0], dtype=np.int64) == 1 else ROW if a[0] == tape.rows else EACH
            symbols.append(tape.input(k, a[0], level, a[1] == TRUTH))
        else:
            symbols.append(a(2) if frozen else tape.argument(k))
    try:
        out = op.forward(tape.xp, *symbols, **kwargs)
    except Exception as error:
        if from_handler(error):
            raise
        return None
    out = out[0] if op.extras else out
    if not isinstance(out, Symbol) or out.shape != shape or out.truth:
        return None
    return frozen, any(s.op in ("sum", "max", "min") for s in tape.symbols)
