"""Values that stand for arrays while an op's own rules run once, to write down what they compute.

A forward function and a gradient rule are written against `xp`. With `Symbols` as `xp` and `Symbol`s as arguments they
make a graph of elementary steps, from which `source` writes C: so there is no second list of what an op is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

HALF, SINGLE = np.dtype("float16"), np.dtype("float32")
UNIFORM, ROW, EACH = 0, 1, 2  # how often a value is another: never, with the row, with the element

# What takes so long that it is kept for later passes over a row instead of computed again.
DEAR = frozenset(["exp", "expm1", "log", "log1p", "tanh", "erf", "sin", "cos", "sqrt", "div", "power"])


class Unsupported(Exception):  # noqa: N818 - it never reaches the person
    """Something no C is written for; the text says what."""


def _operator(op: str, swapped: bool = False) -> Any:
    def run(self: Symbol, other: Any) -> Any:
        return self.tape.each(op, other, self) if swapped else self.tape.each(op, self, other)

    return run


class Symbol:
    """One value: `op` of `args`, or an input, a number of the program's or a constant, which `value` tells."""

    __slots__ = ("args", "index", "level", "op", "requires", "shape", "stage", "tape", "truth", "value")

    __array_priority__ = 1000

    def __init__(
        self, tape: Tape, op: str, args: tuple[Symbol, ...], value: Any, shape: Any, level: int
    ) -> None:
        self.tape = tape
        self.op, self.args, self.value, self.shape, self.level = op, args, value, shape, level
        self.index = 0
        self.stage: int = max([a.stage for a in args], default=0)
        self.requires = False
        self.truth = False  # bool instead of floating

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return np.dtype(bool) if self.truth else self.tape.dtype

    __add__, __radd__ = _operator("add"), _operator("add", swapped=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", swapped=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", swapped=True)
    __truediv__, __rtruediv__ = _operator("div"), _operator("div", swapped=True)
    __and__, __rand__ = _operator("and"), _operator("and", swapped=True)
    __or__, __ror__ = _operator("or"), _operator("or", swapped=True)
    __gt__, __ge__, __lt__, __le__ = _operator("gt"), _operator("ge"), _operator("lt"), _operator("le")
    __eq__, __ne__ = _operator("eq"), _operator("ne")
    __hash__ = object.__hash__

    def __neg__(self) -> Any:
        return self.tape.each("neg", self)

    def __abs__(self) -> Any:
        return self.tape.each("abs", self)

    def __pow__(self, exponent: Any) -> Any:
        return self.tape.xp.power(self, exponent)

    def __bool__(self) -> bool:
        raise Unsupported("a rule that looks at a value")

    def astype(self, dtype: Any, copy: bool = True) -> Symbol:
        """As another type: truths as 1 and 0."""
        kind = np.dtype(dtype)
        if kind == self.dtype:
            return self
        if self.truth and kind == self.tape.dtype:
            return self.tape.each("where", self, 1.0, 0.0)
        if not self.truth and kind == SINGLE and self.tape.dtype == HALF:
            return self  # half precision is computed in float
        raise Unsupported(f"a cast to {kind}")

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Symbol:
        """Sum over the rows, in the type of the region."""
        if dtype is not None and not (dtype == SINGLE and self.tape.dtype == HALF):
            raise Unsupported(f"a sum in {dtype}")
        return self.tape.reduced("sum", self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        """Largest value of each row."""
        return self.tape.reduced("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        """Smallest value of each row."""
        return self.tape.reduced("min", self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        """Mean of each row."""
        return self.tape.each("div", self.tape.reduced("sum", self, axis, keepdims), self.tape.inner)

    def reshape(self, *shape: Any) -> Symbol:
        """The same values under another shape."""
        return self.tape.shaped(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)


TRUTHS = frozenset(["eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "isnan", "isinf", "isfinite"])


class Tape:
    """All symbols of one kernel. The same step on the same values is one symbol, however often it is written.

    `domain` is the shape of the elements the kernel goes over, its last dimension the row.
    """

    def __init__(self, domain: tuple[int, ...], dtype: Any) -> None:
        self.domain = domain
        self.inner = domain[-1]
        self.rows = (*domain[:-1], 1)
        self.dtype = np.dtype(dtype)
        self.symbols: list[Symbol] = []
        self._known: dict[Any, Symbol] = {}
        self.xp = Symbols(self)

    def _made(self, op: str, args: tuple[Symbol, ...], value: Any, shape: Any, level: int) -> Symbol:
        key = (op, tuple(a.index for a in args), repr(value), shape)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Symbol(self, op, args, value, shape, level)
            found.index = len(self.symbols)
            self.symbols.append(found)
        return found

    def input(self, number: int, shape: tuple[int, ...], level: int, truth: bool = False) -> Symbol:
        """The region's input `number`."""
        made = self._made("input", (), number, shape, level)
        made.truth = truth
        return made

    def argument(self, number: int) -> Symbol:
        """A plain number that is another each time: argument `number`."""
        return self._made("argument", (), number, (), UNIFORM)

    def lifted(self, value: Any) -> Symbol:
        """`value` as a symbol: itself, or a constant."""
        if isinstance(value, Symbol):
            return value
        if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_)):
            return self._made("constant", (), float(value), (), UNIFORM)
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return self._made("constant", (), float(value), (), UNIFORM)
        raise Unsupported(f"an argument of type {type(value).__name__}")

    def each(self, op: str, *values: Any) -> Symbol:
        """An elementary step, element by element."""
        args = tuple(self.lifted(v) for v in values)
        shapes = {a.shape for a in args if a.shape != ()}
        shape = next(iter(shapes)) if len(shapes) == 1 else np.broadcast_shapes(*shapes) if shapes else ()
        if any(a.op == "column" for a in args):
            raise Unsupported("a step on the sum of all rows")
        bare = self.domain[:-1]
        # Rows without their last dimension may go together, nothing else.
        known = shape in ((), self.domain, self.rows, bare) or not any(a.level for a in args)
        if not known and not all(a.op == "input" or a.level == UNIFORM for a in args):
            raise Unsupported(f"a step of shape {list(shape)} beside {list(self.domain)}")
        if bare and shape != bare and any(a.shape == bare and a.level == ROW for a in args):
            raise Unsupported("rows without their last dimension beside elements")
        level = max(a.level for a in args)
        made = self._made(op, args, None, shape, level)
        made.truth = op in TRUTHS or (op == "where" and args[1].truth and args[2].truth)
        if not made.truth and op != "where" and any(a.truth for a in args):
            # Arithmetic with truths: 1 and 0.
            return self.each(op, *(self.each("where", a, 1.0, 0.0) if a.truth else a for a in args))
        return made

    def reduced(self, op: str, symbol: Symbol, axis: Any, keepdims: bool) -> Symbol:
        """A sum or an extreme over the rows."""
        if axis is None:
            axes = tuple(range(symbol.ndim))
        else:
            axes = tuple(a % symbol.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))
        if (
            op == "sum"
            and symbol.shape == self.domain
            and axes
            and axes == tuple(range(len(self.domain) - 1))
        ):
            return self.column(symbol, (*(1,) * len(axes), self.inner) if keepdims else self.domain[-1:])
        if symbol.shape != self.domain or axes != (len(self.domain) - 1,):
            raise Unsupported(f"a reduction of {list(symbol.shape)} over {list(axes)}")
        if symbol.truth:
            symbol = self.each("where", symbol, 1.0, 0.0)
        made = self._made(op, (symbol,), None, self.rows, ROW)
        made.stage = symbol.stage + 1
        return made if keepdims else self.shaped(made, self.domain[:-1])

    def column(self, symbol: Symbol, shape: tuple[int, ...]) -> Symbol:
        """The sum over all rows, of what a value that is the same in each row gets."""
        return self._made("column", (symbol,), None, shape, EACH)

    def shaped(self, symbol: Symbol, shape: Any) -> Symbol:
        """The same values under another shape: rows with or without their last dimension, or spread over it."""
        shape = tuple(int(s) for s in shape)
        if shape == symbol.shape:
            return symbol
        if symbol.op == "column" and math.prod(shape) == self.inner:
            return self.column(symbol.args[0], shape)
        forms = (self.rows, self.domain[:-1])
        spread = symbol.shape == self.rows or (symbol.size == 1 and symbol.level == UNIFORM)
        if (symbol.shape in forms and shape in forms) or (spread and shape in (self.domain, self.rows)):
            made = self._made("as", (symbol,), None, shape, symbol.level)
            made.truth = symbol.truth
            return made
        raise Unsupported(f"{list(symbol.shape)} as {list(shape)}")

    def summed(self, g: Symbol, shape: tuple[int, ...]) -> Symbol:
        """`g` as the gradient of a value of `shape` that was broadcast; where no C does it, as it is."""
        if g.shape == shape:
            return g
        if g.shape != self.domain:
            raise Unsupported(f"a gradient of {list(g.shape)} for {list(shape)}")
        if shape == self.rows:
            return g.sum(axis=-1, keepdims=True)
        if shape[-1:] == (self.inner,) and math.prod(shape) == self.inner:
            return self.column(g, shape)
        return g


class Symbols:
    """The `xp` of rules that run on symbols: NumPy's names."""

    __name__ = "symbols"
    nan = float("nan")
    inf = float("inf")
    pi = math.pi

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def __getattr__(self, name: str) -> Any:
        op = EACH_OF.get(name)
        if op is None:
            raise Unsupported(f"xp.{name}")
        each = self._tape.each

        def run(*args: Any) -> Symbol:
            return each(op, *args)

        setattr(self, name, run)
        return run

    def square(self, x: Any) -> Any:
        """`x * x`."""
        return self._tape.each("mul", x, x)

    def power(self, x: Any, exponent: Any) -> Any:
        """`x ** exponent`: products for small whole numbers, roots for halves."""
        if isinstance(exponent, Symbol):
            raise Unsupported("an exponent that is no constant")
        if exponent in (0.5, -0.5):
            root = self._tape.each("sqrt", x)
            return root if exponent > 0 else self._tape.each("div", 1.0, root)
        if exponent in (1, 2, 3, 4):
            made = x
            for _ in range(int(exponent) - 1):
                made = made * x
            return made
        return self._tape.each("power", x, exponent)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        """`x` held between two bounds, either of which may be None."""
        if low is not None:
            x = self.maximum(x, low)
        return x if high is None else self.minimum(x, high)

    def asarray(self, value: Any, dtype: Any = None) -> Any:
        """`value` as a symbol."""
        return self._tape.lifted(value)

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Sum over the rows."""
        return x if axis == () else x.sum(axis=axis, keepdims=keepdims)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Mean of each row."""
        return x.mean(axis=axis, keepdims=keepdims)

    def reshape(self, x: Any, shape: Any) -> Any:
        """The same values under another shape."""
        return self._tape.shaped(x, shape)

    broadcast_to = reshape

    def zeros_like(self, x: Any) -> Any:
        """0 everywhere."""
        return self._tape.shaped(self._tape.lifted(0.0), x.shape)

    def ones_like(self, x: Any) -> Any:
        """1 everywhere."""
        return self._tape.shaped(self._tape.lifted(1.0), x.shape)


# NumPy's names of the elementary steps.
EACH_OF = {
    "add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "div", "divide": "div", "negative": "neg",
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh", "erf": "erf", "sin": "sin",
    "cos": "cos", "sqrt": "sqrt", "absolute": "abs", "abs": "abs", "sign": "sign", "maximum": "maximum",
    "minimum": "minimum", "where": "where", "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le",
    "greater": "gt", "greater_equal": "ge", "logical_and": "and", "logical_or": "or", "logical_not": "not",
    "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite",
}  # fmt: skip
