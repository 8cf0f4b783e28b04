"""Ops of the person's own: `@ds.custom_op` makes a function an op record like any built-in one.

    @ds.custom_op
    def swish(input, *, beta=1.0):
        return input / (1 + ds.exp(-beta * input))

    ds.register_derivative(swish, grad_fn=lambda grad, input, beta: ...)

It is one node of the graph: traced, stepped, switched, shape-checked and differentiated as the others are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine import backend
from engine.dispatch import apply
from engine.errors import ArgumentProblem, ShapeClash, shape_text
from engine.grad_mode import state
from engine.located import located
from engine.op import OPS, Op
from engine.tensor import Tensor

Derivative = Callable[..., Any]


class CustomOp:
    """What `custom_op` makes of a function: called as the function was, and an op to everything else.

    `op` is its record in `OPS`. Made by `custom_op`.
    """

    op: Op

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        shape: Callable[..., Any] | None,
        dtype: Callable[..., Any] | None,
        onnx: str,
        outputs: int,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._shape, self._dtype = shape, dtype
        self.derivative: Derivative | None = None
        parameters = list(inspect.signature(function).parameters.values())
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            raise located(
                TypeError(f"custom op {name}: **{parameters[-1].name} cannot be an attribute; name each one")
            )
        self._positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        if not self._positional:
            raise located(
                TypeError(f"custom op {name} needs at least one positional argument, the tensor it works on")
            )
        self._attributes = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        self._signature = inspect.signature(function)
        arguments = tuple(p.name for p in self._positional)
        self.op = OPS[name] = Op(
            name,
            self._forward,
            family="other",
            shape=self._rule if shape is not None else _unknown,
            dtype=self._kind if dtype is not None else _unknown,
            vjp=self._vjp,
            saves=(*arguments, "out"),
            arg_names=arguments,
            check=shape is not None,
            outputs=outputs,
            onnx=onnx,
            doc=inspect.getdoc(function) or f"{name}, defined in {function.__module__}.",
            formula=f"{name}({', '.join(arguments)})",
            source=function.__module__,
            custom=True,
        )
        self.defaults = {p.name: p.default for p in self._attributes if p.default is not p.empty}
        self.op.attr_names = tuple(p.name for p in self._attributes)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the op: positional arguments are its operands, keyword-only ones its attributes."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise located(TypeError(f"{self.op.name}(): {error}")) from None
        bound.apply_defaults()
        attributes = {p.name: bound.arguments[p.name] for p in self._attributes}
        return apply(self.op, bound.args, attributes)

    def __repr__(self) -> str:
        return f"<custom op {self.op.name}>"

    def _rule(self, *shapes: Any, **attributes: Any) -> Any:
        assert self._shape is not None
        try:
            return self._shape(*shapes, **_wanted(self._shape, attributes))
        except (ShapeClash, ArgumentProblem):
            raise
        except Exception as error:  # the person's rule may raise anything; it says what does not fit
            raise ArgumentProblem(ValueError, f"{self.op.name}: {error}") from error

    def _kind(self, *dtypes: Any, **attributes: Any) -> Any:
        assert self._dtype is not None
        return self._dtype(*dtypes, **_wanted(self._dtype, attributes))

    def _forward(self, xp: Any, *arrays: Any, **attributes: Any) -> Any:
        with inside():
            result = self._function(*map(_wrapped, arrays), **attributes)
        name = self.op.name
        if self.op.outputs != 1:
            if not isinstance(result, (tuple, list)) or len(result) != self.op.outputs:
                raise ArgumentProblem(
                    TypeError, f"{name} has to return {self.op.outputs} results, got {_kind(result)}"
                )
            return tuple(_array(xp, part, f"result {i} of {name}") for i, part in enumerate(result))
        out = _array(xp, result, f"the result of {name}")
        if self._shape is not None:
            promised = tuple(self._rule(*[getattr(a, "shape", a) for a in arrays], **attributes))
            if promised != out.shape:
                raise ArgumentProblem(
                    ValueError,
                    f"{name}: its shape rule promised {shape_text(promised)}, "
                    f"the function made {shape_text(out.shape)}",
                )
        return out

    def _vjp(self, xp: Any, g: Any, out: Any, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
        name, derivative = self.op.name, self.derivative
        if derivative is None:
            raise located(
                RuntimeError(
                    f"{name} has no derivative, and a gradient was asked to flow through it. "
                    f"Give one with ds.register_derivative({name}, grad_fn=...), or call it under ds.no_grad()"
                )
            )
        plain = not any(isinstance(value, Tensor) for value in (g if isinstance(g, list) else (g,)))
        grad = [_wrapped(part) for part in g] if isinstance(g, list) else _wrapped(g)
        wanted = _wanted(derivative, {**attributes, "out": _wrapped(out)})
        if plain:
            with inside():
                result = derivative(grad, *map(_wrapped, inputs), **wanted)
        else:
            result = derivative(grad, *map(_wrapped, inputs), **wanted)
        given = result if isinstance(result, (tuple, list)) else (result,)
        if len(given) != len(inputs):
            names = ", ".join(self._names(len(inputs)))
            raise located(
                RuntimeError(
                    f"the derivative of {name} returned {len(given)} gradient{'s' * (len(given) != 1)}, "
                    f"expected {len(inputs)}: one for each of {names} (None for no gradient)"
                )
            )
        return tuple(
            self._fitting(value, operand, argument, plain)
            for value, operand, argument in zip(given, inputs, self._names(len(inputs)), strict=True)
        )

    def check_takes(self, derivative: Derivative) -> None:
        """Raise `TypeError` where `derivative` cannot be called with a gradient and this op's operands."""
        if any(p.kind is p.VAR_POSITIONAL or p.default is not p.empty for p in self._positional):
            return  # how many operands there are shows at a call
        try:
            signature = inspect.signature(derivative)
        except (TypeError, ValueError):  # a function of C need not say what it takes
            return
        named = {"out", *(p.name for p in self._attributes)}
        wanted = len(self._positional) + 1
        keywords = {p.name: None for p in signature.parameters.values() if p.name in named}
        try:
            signature.bind(*[None] * wanted, **keywords)
        except TypeError:
            operands = ", ".join(p.name for p in self._positional)
            raise located(
                TypeError(
                    f"the derivative of {self.op.name} is called with {wanted} arguments, the gradient and {operands}, "
                    f"but takes {signature}"
                )
            ) from None

    def _names(self, count: int) -> list[str]:
        names = list(self.op.arg_names)
        return [names[min(i, len(names) - 1)] for i in range(count)]

    def _fitting(self, value: Any, operand: Any, argument: str, plain: bool) -> Any:
        """A gradient as the backward pass wants it: of its operand's shape, an array or a Tensor."""
        if value is None or not hasattr(operand, "shape"):
            return None
        if not isinstance(value, Tensor) and not backend.is_array(value):
            try:
                xp = backend.namespace(getattr(operand, "array", operand))
                value = xp.asarray(value, dtype=operand.dtype)
            except (TypeError, ValueError):
                raise located(
                    RuntimeError(
                        f"the derivative of {self.op.name} gave {argument} a {type(value).__name__} as its gradient, "
                        f"expected a tensor or an array of shape {shape_text(operand.shape)}"
                    )
                ) from None
        if tuple(value.shape) != tuple(operand.shape):
            raise located(
                RuntimeError(
                    f"the derivative of {self.op.name} gave {argument} a gradient of shape {shape_text(value.shape)}, "
                    f"expected {shape_text(operand.shape)}, the shape of {argument} itself"
                )
            )
        return value.array if plain and isinstance(value, Tensor) else value


def custom_op(
    function: Callable[..., Any] | None = None,
    *,
    name: str = "",
    shape: Callable[..., Any] | None = None,
    dtype: Callable[..., Any] | None = None,
    onnx: str = "",
    outputs: int = 1,
) -> Any:
    """Make a function an op: `@ds.custom_op`, or `@ds.custom_op(shape=..., onnx=...)`.

    Its positional arguments are the operands; it gets them as Tensors outside any graph and returns a Tensor or
    an array (a tuple of `outputs` of them). Keyword-only arguments are attributes. `shape` gives the result's
    shape from the operands' shapes and is checked on every call; `dtype` its element type; `onnx` the ONNX op
    that does the same, so that it can be exported.

    Raises `ValueError` for the name of a built-in op. A custom op of the same name is replaced.

    >>> import engine as ds
    >>> @ds.custom_op
    ... def double(input):
    ...     return input * 2
    >>> ds.register_derivative(double, grad_fn=lambda grad, input: grad * 2)
    >>> x = ds.tensor([1.0, 2.0], requires_grad=True)
    >>> ds.backward(double(x))
    >>> x.grad.tolist()
    [2.0, 2.0]
    """

    def make(function: Callable[..., Any]) -> CustomOp:
        if not callable(function):
            raise located(TypeError(f"custom_op makes an op of a function, got {type(function).__name__}"))
        called = name or getattr(function, "__name__", type(function).__name__)
        known = OPS.get(called)
        if known is not None and not known.custom:
            raise located(
                ValueError(f"there is a built-in op {called!r}; give another name: custom_op(name=...)")
            )
        return CustomOp(function, called, shape, dtype, onnx, outputs)

    return make if function is None else make(function)


def register_derivative(op: Any, grad_fn: Derivative) -> None:
    """Give a custom op its gradient: `grad_fn(grad, *operands)` returns one gradient for each operand, or None.

    `grad` is the gradient of the result (a list of them, None where there is none, for several results). An
    attribute of the op, or `out` for its result, is passed where `grad_fn` has a parameter of that name. Written
    in the engine's own ops it can be differentiated again.

    Raises `TypeError` for anything that is not a custom op or not a function.
    """
    if not isinstance(op, CustomOp):
        raise located(
            TypeError(
                f"register_derivative takes what @ds.custom_op made, got {type(op).__name__}"
                + (f" {op.__name__!r}; put @ds.custom_op above it" if hasattr(op, "__name__") else "")
            )
        )
    if not callable(grad_fn):
        raise located(
            TypeError(f"the derivative of {op.op.name} has to be a function, got {type(grad_fn).__name__}")
        )
    op.check_takes(grad_fn)
    op.derivative = grad_fn


@contextmanager
def inside() -> Iterator[None]:
    """What a custom op is made of records no gradient and is not told: the op is one node."""
    silent, grad = state.silent, state.grad
    state.silent, state.grad = True, False
    try:
        yield
    finally:
        state.silent, state.grad = silent, grad


def _wrapped(value: Any) -> Any:
    return Tensor(value) if backend.is_array(value) else value


def _array(xp: Any, value: Any, what: str) -> Any:
    if isinstance(value, Tensor):
        return value.array
    if backend.is_array(value):
        return value
    if isinstance(value, (bool, int, float)):
        return xp.asarray(value)
    raise ArgumentProblem(TypeError, f"{what} has to be a tensor or an array, got {_kind(value)}")


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _wanted(function: Derivative, values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that `function` has a keyword for."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {key: value for key, value in values.items() if key != "out"}
    names = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    return {key: value for key, value in values.items() if key in names}


def _unknown(*_: Any, **__: Any) -> None:
    """The rule of an op whose author gave none: nothing is known before it ran."""
    return
