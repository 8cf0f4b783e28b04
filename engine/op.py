"""The op record: everything there is to know about one op, in one place.

Tests, error messages, the debugger, export and the reference read `OPS`; nothing keeps a second list.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from engine.dtype import floating, promoted

Shape = tuple[int, ...]
# A shape rule is given what stands for each argument (its shape, the plain number, or None) and the op's
# attributes; it returns the shape of the result, or raises ShapeClash.
ShapeRule = Callable[..., Any]
# A dtype rule is given the dtype of each argument (or the plain number, or None) and the attributes. For an op
# of several results it gives a sequence, or one dtype that all of them have.
DtypeRule = Callable[..., Any]
# Where dimension `dim` of the result comes from: (shapes, attributes, dim) -> [(argument, its dimension)].
OriginRule = Callable[[Sequence[Shape | None], dict[str, Any], Shape, int], list[tuple[int, int]]]

FAMILIES = ("linear", "elementwise", "activation", "shape", "reduce", "random", "other")

# Ufuncs that give floats of the same type for floats.
POOLED = frozenset(
    ["add", "subtract", "multiply", "negative", "tanh", "sin", "cos", "absolute", "square", "matmul"]
)

OPS: dict[str, Op] = {}

# What an op does for complex numbers, as its record says in `complex`; None: it is for real numbers only, and says so.
# Or a rule of its own, called as `vjp` where anything is complex. See `engine.complexes`.
LINEAR = "linear"  # the gradient rule holds as it is written
HOLOMORPHIC = "holomorphic"  # the rule gives the derivative, of which the gradient takes the conjugate
VALUE = "value"  # it computes, without a gradient

# Called for each op that is made once there are complex numbers.
on_made: list[Callable[[Op], None]] = []


class Op:
    """One op. Make one with `op(...)`.

    `forward(xp, *arguments, **attributes)` computes on raw arrays, `xp` being numpy or cupy.
    `vjp(xp, g, out, *arguments, **attributes)` gives the gradient of each argument (a tuple, or one array
    for an op of one argument), None for none. It runs on raw arrays for an ordinary backward pass and on
    Tensors, with `xp` the engine's own namespace, when gradients of gradients are wanted. An argument that
    was not saved arrives as its node (`shape` and `dtype` only) if `saves` does not name it, and as None if
    `saves` names it but nobody needs it this time.
    """

    __slots__ = (
        "_partials",
        "_vjps",
        "arg_names",
        "attr_names",
        "broadcasts",
        "check",
        "complex",
        "cross",
        "custom",
        "doc",
        "dtype",
        "extras",
        "family",
        "formula",
        "forward",
        "fractions",
        "fuses",
        "keeps",
        "meets",
        "name",
        "on_numpy",
        "onnx",
        "origin",
        "outputs",
        "overwrites",
        "phase",
        "pooled",
        "saves",
        "saves_args",
        "saves_out",
        "sentence",
        "settled",
        "shape",
        "source",
        "ufunc",
        "view",
        "vjp",
        "vjp_numpy",
    )

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        *,
        family: str,
        shape: ShapeRule,
        dtype: DtypeRule,
        vjp: Callable[..., Any] | None,
        saves: tuple[str, ...] = (),
        saved_for: dict[str, tuple[str, ...]] | None = None,
        extras: tuple[str, ...] = (),
        arg_names: tuple[str, ...],
        origin: OriginRule | None = None,
        broadcasts: bool = False,
        check: bool = False,
        outputs: int | None = 1,
        view: bool = False,
        ufunc: str = "",
        quiet: bool = False,
        overwrites: bool = False,
        onnx: str = "",
        doc: str = "",
        formula: str = "",
        source: str = "",
        phase: int = 0,
        custom: bool = False,
        fuses: bool | None = None,
        meets: int | None = None,
        complex: str | Callable[..., Any] | None = None,
    ) -> None:
        if family not in FAMILIES:
            raise ValueError(f"op {name!r}: no family {family!r}; there are {', '.join(FAMILIES)}")
        unknown = set(saves) - set(arg_names) - {"out"}
        if unknown:
            raise ValueError(f"op {name!r} cannot save {', '.join(sorted(unknown))}: no such argument")
        self.name = name
        self.family = family
        self.forward = quietly(forward) if quiet else forward
        self.vjp = vjp
        self.shape = shape
        self.dtype = dtype
        self.saves = saves
        self.extras = extras
        self.arg_names = arg_names
        self.origin = origin
        self.broadcasts = broadcasts
        self.check = check
        self.outputs = outputs
        # Its gradient rule takes `spare=True` when nobody else holds g, and may then write its result there.
        self.overwrites = overwrites
        self.view = view
        self.ufunc = ufunc
        self.onnx = onnx
        self.doc = doc
        self.formula = formula
        self.source = source
        self.phase = phase
        self.custom = custom  # a person's own
        self.complex = complex
        # A copy of the record whose result is there already: its arguments are as they should be.
        self.settled = False
        self.saves_out = "out" in saves
        self.keeps = bool(saves or extras)
        # For each argument: for whose gradient it is kept. None: never kept. (): for any.
        given = saved_for or {}
        self.saves_args: tuple[tuple[int, ...] | None, ...] = tuple(
            tuple(arg_names.index(other) for other in given.get(arg, ())) if arg in saves else None
            for arg in arg_names
        )
        # The product-like case of the hot path: each of two arguments is kept for the other's gradient.
        self.cross = self.saves_args == ((1,), (0,))
        # It may be put off and computed together with others; whether its rules allow it shows when they are tried.
        alone = outputs != 1 or extras or custom or view or check
        self.fuses = (
            family in ("elementwise", "activation", "reduce") and not alone if fuses is None else fuses
        )
        # Its arguments from this one on meet in one type, a floating one for `fractions` (`engine.promotion`); None: they need not.
        self.fractions = dtype is floating
        self.meets = (
            0 if meets is None and (self.fractions or (dtype is promoted and len(arg_names) > 1)) else meets
        )
        self._partials: dict[Any, Callable[..., Any]] = {}
        self._vjps: dict[Any, Callable[..., Any]] = {}
        direct = getattr(np, ufunc) if ufunc and not quiet else partial(self.forward, np)
        self.on_numpy: Callable[..., Any] = direct
        # Its large results go into buffers that were used before.
        self.pooled = ufunc in POOLED and not quiet
        self._partials[np] = direct
        self.vjp_numpy: Callable[..., Any] | None = None if vjp is None else partial(vjp, np)
        # Attributes by name, for the reference: what forward takes beyond its arguments.
        parameters = [name for name, _ in parameters_of(forward)][1 + len(arg_names) :]
        self.attr_names = tuple(p for p in parameters if p not in arg_names)
        for widen in on_made:
            widen(self)

    def on(self, xp: Any) -> Callable[..., Any]:
        """`forward` with `xp` bound."""
        bound = self._partials.get(xp)
        if bound is None:
            bound = partial(self.forward, xp)
            if xp.__name__ == "cupy":
                from engine.gpu import twins  # a program on the CPU does not wait for it

                bound = twins.forward(self, bound)
            self._partials[xp] = bound
        return bound

    def vjp_on(self, xp: Any) -> Callable[..., Any]:
        """`vjp` with `xp` bound. The op must have one."""
        bound = self._vjps.get(xp)
        if bound is None:
            assert self.vjp is not None
            bound = partial(self.vjp, xp)
            if xp.__name__ == "cupy":
                from engine.gpu import twins

                bound = twins.vjp(self, bound)
            self._vjps[xp] = bound
        return bound

    def __repr__(self) -> str:
        return f"<Op {self.name}>"


def given(op: Op) -> Op:
    """`op` as it stands at a node whose result a person gave: nothing was computed, so no gradient goes back through it."""
    made = copy.copy(op)
    made.vjp = _no_gradient
    made.vjp_numpy = partial(_no_gradient, np)
    made._vjps = {}
    made.saves, made.extras, made.saves_args = (), (), (None,) * len(op.saves_args)
    made.saves_out = made.keeps = made.cross = made.overwrites = made.view = made.fuses = False
    return made


def _no_gradient(xp: Any, g: Any, out: Any, *args: Any, **attrs: Any) -> tuple[None, ...]:
    return (None,) * len(args)


def quietly(forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward` without NumPy's floating point warnings: inf and nan are results, and have breakpoints."""

    def quiet(xp: Any, *args: Any, **attrs: Any) -> Any:
        with np.errstate(all="ignore"):
            return forward(xp, *args, **attrs)

    quiet.__wrapped__ = forward  # type: ignore[attr-defined]
    return quiet


# A ufunc that is an op by itself has no such wrapper, which would cost every op; it warns where it is called.
# Filters that the program sets come before this one: see `explain.fail`.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"engine\.(dispatch|watched|pool|ops)\b")


def parameters_of(function: Callable[..., Any]) -> list[tuple[str, bool]]:
    """Names of the parameters in order, each with whether it is given by keyword only.

    A plain function's are read off its code: `inspect.signature` takes twenty times as long, for every op at import.
    """
    code = getattr(function, "__code__", None)
    if code is not None and type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        plain, only = code.co_argcount, code.co_kwonlyargcount
        if not code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
            return [(name, i >= plain) for i, name in enumerate(code.co_varnames[: plain + only])]
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind is p.KEYWORD_ONLY) for p in found]


def op(name: str, **record: Any) -> Callable[[Callable[..., Any]], Op]:
    """Register the decorated forward function as op `name`; the keywords are the fields of `Op`.

    `arg_names` are read from the function's parameters up to the bare `*`. The docstring of the function
    is the op's documentation; a first line in it of the form `formula` is not needed when `formula` is given.

    Raises `ValueError` when there is an op of that name already.
    """

    def register(forward: Callable[..., Any]) -> Op:
        if name in OPS:
            raise ValueError(f"there is an op {name!r} already")
        if "arg_names" not in record:
            record["arg_names"] = tuple(n for n, keyword in parameters_of(forward)[1:] if not keyword)
        record.setdefault("doc", inspect.getdoc(forward) or "")
        record.setdefault("vjp", None)
        made = OPS[name] = Op(name, forward, **record)
        return made

    return register
