"""Ops written as a class with a forward and a backward of its own: PyTorch's `autograd.Function`.

    class Cube(ds.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input**3

        @staticmethod
        def backward(ctx, grad):
            (input,) = ctx.saved_tensors
            return grad * 3 * input**2

    y = Cube.apply(x)

A call is one node of the graph, named as the class, whatever ops forward is made of. Read as `ds.autograd.Function`.
"""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from engine import backend
from engine.bus import bus
from engine.custom import inside
from engine.dispatch import apply
from engine.errors import ArgumentProblem, shape_text
from engine.grad_mode import no_grad, state
from engine.located import located
from engine.memory import memory
from engine.op import OPS, Op
from engine.tensor import Tensor
from engine.writes import Changed, writes

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What a forward leaves for its backward: tensors by `save_for_backward`, anything else as attributes.

    `needs_input_grad` tells for each argument of forward whether anybody wants its gradient.
    """

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._saved: tuple[Tensor | None, ...] = ()
        self._stamp = 0
        self._silent: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self._single = True
        # Of each result: weak references to its array and its node, and what zeros of its kind are made of.
        self._results: tuple[tuple[Any, Any, Callable[[], Any]], ...] = ()
        self._where = ""

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep arguments or results for backward, which reads them as `saved_tensors`.

        Raises `TypeError` for what is no tensor: keep that as an attribute of ctx.
        """
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise located(
                    TypeError(
                        f"save_for_backward keeps tensors, argument {i} is a {type(tensor).__name__}; "
                        "write ctx.name = value for anything else"
                    )
                )
        self._saved = tensors
        self._stamp = writes.count

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Taken for PyTorch's sake: there is no forward-mode gradient that would read them."""

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept. Raises `RuntimeError` when one was written to in place since."""
        if writes.count != self._stamp:
            for i, tensor in enumerate(self._saved):
                write = None if tensor is None else writes.since(tensor.array, self._stamp)
                if write is not None:
                    assert tensor is not None
                    changed = Changed(
                        f"a value still needed was changed in place: {self._where} saved it for its gradient "
                        f"(saved tensor {i} of shape {shape_text(tensor.shape)}), but {write[0]} "
                        f"({write[1]}:{write[2]}) wrote to it since. Use the op without the underscore, or clone() first"
                    )
                    changed.filename, changed.line = write[1], write[2]
                    raise changed
        return tuple(t if t is None else self._seen(t) for t in self._saved)

    def _seen(self, tensor: Tensor) -> Tensor:
        """A saved result as the tensor that the caller got, so that a second gradient reaches through it."""
        for array, node, _ in self._results:
            if array() is tensor.array and node() is not None:
                seen = Tensor.__new__(Tensor)
                seen.array, seen.node = tensor.array, node()
                return seen
        return tensor

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """No gradient flows into these results."""
        self._silent = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Forward changed these arguments in place and returns them."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for a result that nobody used."""
        self._materialize = value


class _Call(threading.local):
    """Calls on their way from `apply` to the op's forward, which gets arrays only."""

    def __init__(self) -> None:
        self.waiting: list[tuple[FunctionCtx, tuple[Any, ...]]] = []


_calls = _Call()


class Function:
    """Subclass with static methods `forward(ctx, *args)` and `backward(ctx, *grads)`; call it by `apply(*args)`.

    Or forward(*args) without ctx, and `setup_context(ctx, inputs, output)`, as PyTorch has both. backward returns one
    gradient for each argument of forward, None where there is none. Written in the engine's ops, it can be
    differentiated again.

    >>> import engine as ds
    >>> class Double(ds.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, input):
    ...         return input * 2
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         return grad * 2
    >>> x = ds.tensor([1.0, 2.0], requires_grad=True)
    >>> Double.apply(x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 2.0]
    """

    _op: ClassVar[Op | None] = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result. To be written by the subclass."""
        raise located(NotImplementedError("a Function needs a static method forward(ctx, *args)"))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what backward needs, where forward takes no ctx."""

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradient of each argument. To be written by the subclass, as `backward` or `vjp`."""
        raise located(
            NotImplementedError("this Function has no backward, and a gradient was asked to flow through it")
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward as one node of the graph. Raises what forward raises."""
        op = cls.__dict__.get("_op") or _record(cls)
        tracked = tuple(isinstance(a, Tensor) for a in args)
        needs = tuple(
            is_tensor and a.requires_grad and state.grad for a, is_tensor in zip(args, tracked, strict=True)
        )
        ctx = FunctionCtx(needs)
        plain = {
            name: a
            for name, a, is_tensor in zip(_names(cls, len(args)), args, tracked, strict=True)
            if not is_tensor
        }
        tensors = tuple(a for a in args if isinstance(a, Tensor))
        depth = len(_calls.waiting)
        _calls.waiting.append((ctx, args))
        try:
            result = apply(op, tensors, plain)
        finally:
            del _calls.waiting[depth:]  # a stop before the op ended it
        results = result if isinstance(result, tuple) else (result,)
        for tensor in results:
            if any(tensor.array is silent.array for silent in ctx._silent):
                tensor.node.requires = False
        if ctx._dirty:
            results = tuple(_taken(tensor, ctx, args) for tensor in results)
        ctx._results = tuple((weakref.ref(t.array), weakref.ref(t.node), _zeros(t.array)) for t in results)
        if bus.buffers and results and results[0].node.requires:
            for saved in ctx._saved:
                if saved is not None:
                    memory.keep(saved.array, results[0].node)
        return results[0] if ctx._single else results


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward that cannot be differentiated again: its results are constants to a second gradient."""

    @functools.wraps(function)
    def constant(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            return function(ctx, *grads)

    return constant


def _names(cls: type[Function], count: int) -> list[str]:
    """A name for each of `count` arguments of forward: that of its parameter, the last one's with numbers for *args."""
    parameters = list(inspect.signature(cls.forward).parameters.values())
    if not _old_style(cls):
        names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    else:
        names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL][1:]
    more = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument")
    return [names[i] if i < len(names) else f"{more}_{i - len(names)}" for i in range(count)]


def _old_style(cls: type[Function]) -> bool:
    """Whether forward takes ctx, rather than a `setup_context` of its own."""
    return cls.setup_context is Function.setup_context


def _record(cls: type[Function]) -> Op:
    """The op of a Function, made once for each class."""
    if cls.forward is Function.forward:
        raise located(
            NotImplementedError(f"{cls.__name__} has no forward: give it a static method forward(ctx, *args)")
        )
    name = cls.__name__
    known = OPS.get(name)
    if known is not None and not known.custom:
        name = f"{name}Function"
    made = OPS[name] = Op(
        name,
        functools.partial(_forward, cls),
        family="other",
        shape=_unknown,
        dtype=_unknown,
        vjp=functools.partial(_vjp, cls),
        extras=("context",),
        arg_names=("args",),
        outputs=1 if _backward_of(cls) is not None and _one_gradient(cls) else None,
        doc=inspect.getdoc(cls) or f"{name}, defined in {cls.__module__}.",
        formula=f"{name}.apply(...)",
        source=cls.__module__,
        custom=True,
    )
    cls._op = made
    return made


def _unknown(*_: Any, **__: Any) -> None:
    """The rule of an op whose author gave none: nothing is known before it ran."""
    return


def _backward_of(cls: type[Function]) -> Callable[..., Any] | None:
    """Its `backward`, or `vjp`, its other name."""
    if cls.backward is not Function.backward:
        return cls.backward
    return getattr(cls, "vjp", None)


def _one_gradient(cls: type[Function]) -> bool:
    """Whether backward is written for a single result: it takes ctx and one gradient."""
    backward = _backward_of(cls)
    assert backward is not None
    parameters = list(inspect.signature(backward).parameters.values())
    return len(parameters) == 2 and all(p.kind is not p.VAR_POSITIONAL for p in parameters)


def _forward(cls: type[Function], xp: Any, *arrays: Any, **plain: Any) -> Any:
    name = cls.__name__
    if _calls.waiting:
        ctx, args = _calls.waiting.pop()
    else:  # computed again from what was recorded
        names = _names(cls, len(arrays) + len(plain))
        rest = iter(arrays)
        args = tuple(plain[n] if n in plain else Tensor(next(rest)) for n in names)
        ctx = FunctionCtx((False,) * len(args))
    ctx._where = name
    with inside():
        if _old_style(cls):
            result = cls.forward(ctx, *args)
        else:
            result = cls.forward(*args)
            cls.setup_context(ctx, args, result)
    ctx._single = not isinstance(result, (tuple, list))
    results = (result,) if ctx._single else tuple(result)
    out = []
    for i, part in enumerate(results):
        if isinstance(part, Tensor):
            out.append(part.array)
        elif backend.is_array(part) or isinstance(part, (bool, int, float)):
            out.append(xp.asarray(part))
        else:
            what = "None" if part is None else f"a {type(part).__name__}"
            which = "" if ctx._single else f" {i}"
            raise ArgumentProblem(
                TypeError, f"result{which} of {name}.forward has to be a tensor, got {what}"
            )
    op = cls._op
    if op is not None and op.outputs == 1:
        if len(out) != 1:
            raise ArgumentProblem(
                TypeError,
                f"{name}.forward returned {len(out)} results, but {name}.backward takes one gradient: "
                "give it one for each result, or *grads",
            )
        return out[0], ctx
    return tuple(out), ctx


def _vjp(cls: type[Function], xp: Any, g: Any, out: Any, *operands: Any, context: Any, **plain: Any) -> Any:
    name = cls.__name__
    backward = _backward_of(cls)
    if backward is None:
        raise located(
            RuntimeError(
                f"{name} has no backward, and a gradient was asked to flow through it. "
                f"Give {name} a static method backward(ctx, *grads), or call it under ds.no_grad()"
            )
        )
    grads = g if isinstance(g, list) else [g]
    differentiable = any(isinstance(part, Tensor) for part in grads)
    given: list[Any] = []
    for part, (_, _, zeros) in zip(grads, context._results, strict=True):
        if part is None and context._materialize:
            given.append(Tensor(zeros()))
        else:
            given.append(part if part is None or isinstance(part, Tensor) else Tensor(part))
    if differentiable:
        result = backward(context, *given)
    else:
        with inside():
            result = backward(context, *given)
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    needs = context.needs_input_grad
    while len(values) > len(needs) and values[-1] is None:
        values.pop()
    if len(values) != len(needs):
        raise located(
            RuntimeError(
                f"{name}.backward returned {len(values)} gradient{'s' * (len(values) != 1)}, expected {len(needs)}: "
                "one for each argument of forward (None for no gradient)"
            )
        )
    names = _names(cls, len(needs))
    rest = iter(operands)
    fitting = []
    for value, argument, wanted in zip(values, names, needs, strict=True):
        if argument in plain:
            if value is not None:
                raise located(
                    RuntimeError(
                        f"{name}.backward gave a gradient for {argument}, which is no tensor; return None for it"
                    )
                )
            continue
        operand = next(rest)  # also of an argument that wants no gradient
        fitting.append(_fitting(name, argument, value, operand, not differentiable) if wanted else None)
    return tuple(fitting)


def _fitting(name: str, argument: str, value: Any, operand: Any, plain: bool) -> Any:
    """A gradient as the backward pass wants it: an array or a Tensor of a shape that sums to its operand's."""
    if value is None:
        return None
    if not isinstance(value, Tensor) and not backend.is_array(value):
        raise located(
            RuntimeError(
                f"{name}.backward gave {argument} a {type(value).__name__} as its gradient, expected a tensor or None"
            )
        )
    if not _sums_to(value.shape, operand.shape):
        raise located(
            RuntimeError(
                f"{name}.backward gave {argument} a gradient of shape {shape_text(value.shape)}, "
                f"expected {shape_text(operand.shape)}, the shape of {argument} itself"
            )
        )
    return value.array if plain and isinstance(value, Tensor) else value


def _sums_to(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a gradient of `shape` is one of `target` broadcast."""
    tail = list(shape)[len(shape) - len(target) :]
    return len(shape) >= len(target) and all(t in (1, s) for s, t in zip(tail, target, strict=True))


def _zeros(array: Any) -> Callable[[], Any]:
    """What makes zeros like `array`, without holding on to it."""
    return functools.partial(backend.namespace(array).zeros, array.shape, array.dtype)


def _taken(tensor: Tensor, ctx: FunctionCtx, args: tuple[Any, ...]) -> Tensor:
    """The argument that forward changed in place, now standing for the result."""
    for dirty in ctx._dirty:
        if dirty.array is tensor.array and any(dirty is a for a in args):
            if dirty.requires_grad and dirty.is_leaf and state.grad:
                raise located(
                    RuntimeError(
                        f"{ctx._where}.forward changed a leaf that requires a gradient in place; clone() it first"
                    )
                )
            writes.note(dirty.array, ctx._where)
            dirty.node = tensor.node
            return dirty
    return tensor
