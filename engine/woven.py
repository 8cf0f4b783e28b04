"""Large arrays through an op's own rules in one pass: what a rule writes step by step runs a cacheful at a time, on all cores.

A forward function or a gradient rule runs once on symbols, as for the JIT, and its elementary steps become a program of
NumPy's own loops (`engine.dnn.weave`). The first time a program runs NumPy does it too, and only one that gives the same
bits serves from then on: so it does not matter from when, for which sizes, or whether at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.config import current
from engine.interruption import from_handler
from engine.node import NO_KWARGS
from engine.op import OPS
from engine.pool import compute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dnn.weave import Program
    from engine.op import Op

ENOUGH = 1 << 16  # elements from which a program is worth its call
LEAST = 1 << 18  # bytes from which it is tried
REMEMBERED, FROZEN = 2048, 16  # programs, and those of one op that differ in a number alone

# Sizes that stand for those of the arrays, which no array may have.
UNLIKELY = (4099, 4111, 4127, 4129, 4133)
UNLIKELY_SET = frozenset(UNLIKELY)

# What is faster in a kernel of its own.
LEFT_OUT = frozenset(["relu", "where", "gelu"])

NAMES = {
    "add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative", "exp": "exp", "expm1": "expm1",
    "log": "log", "log1p": "log1p", "tanh": "tanh", "sin": "sin", "cos": "cos", "sqrt": "sqrt", "abs": "absolute",
    "sign": "sign", "maximum": "maximum", "minimum": "minimum", "eq": "equal", "ne": "not_equal", "lt": "less",
    "le": "less_equal", "gt": "greater", "ge": "greater_equal", "and": "logical_and", "or": "logical_or",
    "not": "logical_not", "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "power": "power", "where": "where",
}  # fmt: skip

# Reductions of a row, and how NumPy begins them: see `weave`.
REDUCED = {"sum": ("add", 2), "max": ("maximum", 3), "min": ("minimum", 3)}

_programs: dict[Any, Any] = {}
_frozen: dict[Any, int] = {}


class Standin:
    """An argument that was not kept: its shape, and whether it takes a gradient."""

    op = None

    def __init__(self, shape: tuple[int, ...], dtype: Any, requires: bool) -> None:
        self.shape, self.dtype, self.requires = shape, dtype, requires
        self.ndim = len(shape)


def _kind(value: Any, dtype: Any) -> Any:
    """A value as part of a program's key; `NotImplemented` for one that no program takes."""
    if value is None:
        return None
    kind = type(value)
    if kind is np.ndarray:
        return "x" if value.dtype == dtype else "?" if value.dtype.kind == "b" else NotImplemented
    if kind is float or kind is int:
        return (
            kind if -3e38 < value < 3e38 else NotImplemented
        )  # NumPy has something to say about others, and NaN
    return (value.requires,) if hasattr(value, "requires") else NotImplemented


def _plain(value: Any) -> bool:
    """Whether an attribute can be part of a key."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return value is None or type(value) in (int, float, bool, str)


def _attributes(kwargs: dict[str, Any]) -> Any:
    from engine.jit.rules import word

    return tuple([(name, word(value)) for name, value in kwargs.items()])


def _program(
    rule: Any, which: Any, values: Sequence[Any], kwargs: dict[str, Any], dtype: Any, ndim: int
) -> Any:
    """The program of a rule for values like these, None where there is none; and the numbers that are given to it."""
    kinds = [_kind(v, dtype) for v in values]
    if NotImplemented in kinds or not all(map(_plain, kwargs.values())):
        return None, ()
    numbers = tuple(v for v, k in zip(values, kinds, strict=True) if k is float or k is int)
    key = (which, tuple(kinds), dtype.char, ndim, _attributes(kwargs) if kwargs else ())
    try:
        found = _programs[key]
    except KeyError:
        if len(_programs) >= REMEMBERED:
            _programs.clear()
            _frozen.clear()
        found = _programs[key] = _written(rule, kinds, None, kwargs, dtype, ndim)
    if found is not _FROZEN:
        return found, numbers
    frozen = (key, numbers)
    if frozen not in _programs:
        if _frozen.get(key, 0) >= FROZEN:
            return None, ()
        _frozen[key] = _frozen.get(key, 0) + 1
        _programs[frozen] = _written(rule, kinds, numbers, kwargs, dtype, ndim)
    return _programs[frozen], ()


_FROZEN = object()  # its numbers belong to the program


def _written(rule: Any, kinds: list[Any], frozen: Any, kwargs: dict[str, Any], dtype: Any, ndim: int) -> Any:
    """The program, None where there is none, `_FROZEN` where there may be one for these numbers alone."""
    from engine.jit.symbol import EACH, Symbols, Tape, Unsupported

    class Strict(Symbols):
        """Without what NumPy does by another function than the JIT's C."""

        def power(self, x: Any, exponent: Any) -> Any:
            """`x ** exponent` but where NumPy may take another function for it."""
            if exponent in (-1, 0, 0.5, 1, 2):
                raise Unsupported("a power that is a root or a product")
            return tape.each("power", x, exponent)

        def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            """It depends on how long a row is."""
            raise Unsupported("a mean")

        def clip(self, x: Any, low: Any, high: Any) -> Any:
            """Of two zeros it is not the one that maximum takes."""
            raise Unsupported("clip")

    # A rule that makes a number of a shape is found out by these.
    domain = UNLIKELY[: max(ndim, 1)]
    if ndim > len(UNLIKELY):
        return None
    tape = Tape(domain, dtype)
    tape.xp = Strict(tape)
    values: list[Any] = []
    arrays = numbers = 0
    for kind in kinds:
        if kind is None:
            values.append(None)
        elif kind in ("x", "?"):
            values.append(tape.input(arrays, domain, EACH, kind == "?"))
            arrays += 1
        elif isinstance(kind, tuple):
            values.append(Standin(domain, dtype, *kind))
        else:
            values.append(tape.argument(numbers) if frozen is None else kind(frozen[numbers]))
            numbers += 1
    try:
        with np.errstate(all="ignore"):
            made = rule(tape.xp, *values, **kwargs)
    except Exception as error:
        if from_handler(error):
            raise
        return _FROZEN if numbers and frozen is None else None
    results = list(made) if isinstance(made, tuple) else [made]
    found = _assembled(tape, results, arrays, 0 if frozen is not None else numbers)
    if found is None:
        return _FROZEN if numbers and frozen is None else None
    return found._replace(single=not isinstance(made, tuple))


def _assembled(tape: Any, results: list[Any], arrays: int, numbers: int) -> Any:
    from engine.dnn.weave import Program
    from engine.dnn.weave import Step as Line
    from engine.jit.symbol import ROW, Symbol

    roots: list[Any] = []  # of each result: None, ("given", array), ("made", number)
    made: list[Any] = []
    for s in results:
        if s is None:
            roots.append(None)
        elif not isinstance(s, Symbol) or s.shape not in (tape.domain, tape.rows) or s.level < ROW:
            return None
        elif s.op == "input":
            roots.append(("given", s.value))
        else:
            if s.index not in [m.index for m in made]:
                made.append(s)
            roots.append(("made", [m.index for m in made].index(s.index)))
    if not made:
        return None
    order: dict[int, Any] = {}

    def visit(s: Any) -> bool:
        if s.index in order or s.op in ("input", "constant", "argument"):
            return True
        shapes = (tape.domain, tape.rows)
        if (
            (s.op not in NAMES and s.op not in REDUCED)
            or s.shape not in shapes
            or not all(map(visit, s.args))
        ):
            return False
        if s.op in REDUCED and s.args[0].op in ("constant", "argument"):
            return False
        order[s.index] = s
        return True

    if not all(visit(s) for s in made):
        return None
    steps = list(order.values())
    constants = list(
        {repr(s.value): s.value for step in steps for s in step.args if s.op == "constant"}.values()
    )
    if any(c != c or abs(c) > 3e38 for c in constants):
        return None
    words = [repr(c) for c in constants]  # 0.0 and -0.0 are equal and not the same
    base = arrays + numbers + len(constants)
    last = {a.index: n for n, step in enumerate(steps) for a in step.args}
    slot = {s.index: base + n for n, s in enumerate(made)}
    free: dict[str, list[int]] = {"x": [], "?": [], "r": []}  # by what they have room for
    between = ""

    def form(s: Any) -> str:
        return "r" if s.shape == tape.rows else "?" if s.truth else "x"

    def place(s: Any) -> int:
        if s.op == "input":
            return int(s.value)
        if s.op == "argument":
            return arrays + int(s.value)
        return arrays + numbers + words.index(repr(s.value)) if s.op == "constant" else slot[s.index]

    char = tape.dtype.char
    lines = []
    for n, s in enumerate(steps):
        kind = form(s)
        if kind == "r" and s.truth:
            return None
        if s.index not in slot:
            if free[kind]:
                slot[s.index] = free[kind].pop()
            else:
                slot[s.index], between = base + len(made) + len(between), between + kind
        args = tuple(place(a) for a in s.args)
        if s.op in REDUCED:
            name, how = REDUCED[s.op]
            lines.append(Line(name, f"{char}{char}->{char}", args, slot[s.index], how))
        else:
            types = "".join("?" if a.truth else char for a in s.args) + "->" + ("?" if s.truth else char)
            if s.op == "where":
                if types != f"?{char}{char}->{char}" or kind == "r":
                    return None
                types = ""
            lines.append(Line(NAMES[s.op], types, args, slot[s.index], 1 if kind == "r" else 0))
        for index, kept in {(a.index, form(a)) for a in s.args}:
            if last[index] == n and slot.get(index, 0) >= base + len(made):
                free[kept].append(slot[index])
    kinds = "".join("?" if s.truth else char for s in made)
    of_rows = [k for k, s in enumerate(made) if form(s) == "r"]
    program = Program(lines, arrays, numbers, constants, kinds, between, of_rows)
    return Woven(program, tuple(roots), False) if program.whole else None


class Woven(NamedTuple):
    """A rule as a program: what each of its results is, and whether it gives one alone."""

    program: Program
    roots: tuple[Any, ...]
    single: bool

    def run(
        self, values: Sequence[Any], numbers: Sequence[float], dtype: Any, always: bool = False
    ) -> tuple[Any, bool] | None:
        """What the rule gives, and whether floating point went wrong; None where it is left to NumPy."""
        arrays = [v for v in values if type(v) is np.ndarray]
        ran = self.program.run(arrays, numbers, dtype, always)
        if ran is None:
            return None
        made = [
            None if root is None else arrays[root[1]] if root[0] == "given" else ran[0][root[1]]
            for root in self.roots
        ]
        return (made[0] if self.single else tuple(made)), ran[1]


def _alike(a: Any, b: Any) -> bool:
    """Whether two results are the same to the bit; any NaN is like any other."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_alike, a, b))
    if a is None or b is None:
        return a is b
    if type(a) is not np.ndarray or type(b) is not np.ndarray or (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    if a.strides != b.strides:
        return False
    if a.dtype.kind == "b":
        return bool(np.array_equal(a, b))
    same = np.array_equal(a, b, equal_nan=True)
    return bool(same and np.array_equal(np.signbit(a) | np.isnan(a), np.signbit(b) | np.isnan(b)))


def _beginning(value: Any, most: Any, count: int) -> Any:
    """The first `count` rows of what has as many as `most`: enough to tell."""
    if isinstance(value, tuple):
        return tuple(_beginning(v, most, count) for v in value)
    if type(value) is np.ndarray and value.ndim == most.ndim and len(value) == len(most):
        return value[:count]
    return value


def _served(rule: Any, which: Any, values: Sequence[Any], kwargs: dict[str, Any], dtype: Any, ndim: int, plainly: Callable[[], Any], loud: bool) -> Any:  # fmt: skip
    """The result of a rule by its program, by NumPy the first time; `NotImplemented` where NumPy has to do it."""
    if dtype.char not in "fd" or not current().cpu_fast:
        return NotImplemented
    if any(type(v) is np.ndarray and not UNLIKELY_SET.isdisjoint(v.shape) for v in values):
        return NotImplemented
    found, numbers = _program(rule, which, values, kwargs, dtype, ndim)
    if found is None or found.program.checked is False:
        return NotImplemented
    if found.program.checked is None:
        expected = plainly()
        most = max((v for v in values if type(v) is np.ndarray), key=lambda a: a.size)
        count = -(-ENOUGH * len(most) // most.size) if most.ndim else 0
        ran = found.run([_beginning(v, most, count) for v in values], numbers, dtype, always=True)
        if ran is not None:
            found.program.checked = _alike(ran[0], _beginning(expected, most, count))
        return expected
    ran = found.run(values, numbers, dtype)
    if ran is None:
        return NotImplemented
    if loud and ran[1]:
        return NotImplemented  # the program may want to hear of it
    return ran[0]


def computed(op: Op, arrays: Sequence[Any], kwargs: dict[str, Any] = NO_KWARGS) -> Any:
    """`op` of arrays and plain numbers on NumPy, of which the first is large."""

    def plainly() -> Any:
        return compute(op.on_numpy, *arrays) if op.pooled and not kwargs else op.on_numpy(*arrays, **kwargs)

    first = arrays[0]
    if first.nbytes >= LEAST and _serves(op):
        loud = type(op.on_numpy) is np.ufunc
        made = _served(op.forward, op, arrays, kwargs, first.dtype, first.ndim, plainly, loud)
        if made is not NotImplemented:
            return made
    return plainly()


def apart(rule: Callable[..., Any], *arrays: Any) -> Any:
    """`rule(np, *arrays)`, a function of the engine that may be made of arrays alone, of which the first is large."""

    def plainly() -> Any:
        return rule(np, *arrays)

    first = arrays[0]
    if first.nbytes < LEAST or any(type(a) is not np.ndarray for a in arrays):
        return plainly()
    made = _served(rule, rule, arrays, NO_KWARGS, first.dtype, first.ndim, plainly, False)
    return plainly() if made is NotImplemented else made


def _serves(op: Op) -> bool:
    """Whether an op may have a program: that of the table itself, and none with a kernel of its own."""
    return (
        op.fuses
        and not op.extras
        and not op.overwrites
        and op.name not in LEFT_OUT
        and OPS.get(op.name) is op
    )


def gradient(op: Op, g: Any, saved: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The gradients of the arguments from what the op saved, its result at the end; `NotImplemented`: by the rule itself."""
    if g.nbytes < LEAST or not _serves(op):
        return NotImplemented
    values = (g, saved[-1], *saved[:-1])
    rule: Any = op.vjp_numpy
    return _served(
        op.vjp, (op, "vjp"), values, kwargs, g.dtype, g.ndim, lambda: rule(*values, **kwargs), False
    )
