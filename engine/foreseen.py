"""Batch normalisation with the relu that follows it, or the sum and its relu, computed together because they followed last time.

The program sees two ops (or three) all the same: nodes, values, gradients at each. The value between them is computed
when somebody looks at it, to the same bits; where somebody does, they are computed apart from then on. While the
engine is watched, every op is computed by itself.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np

from engine.amp import autocast
from engine.anomaly import anomaly
from engine.bus import bus
from engine.config import current
from engine.dispatch import apply, bind_sum
from engine.dnn import batch, elementwise, normalisation
from engine.grad_mode import state
from engine.node import NO_KWARGS
from engine.op import Op
from engine.ops import activation
from engine.ops.activation import RELU
from engine.ops.arithmetic import ADD
from engine.ops.norm import BATCH_NORM, follow
from engine.pending import Masked, Remade, there, waiting
from engine.pool import is_last
from engine.tensor import Tensor

# Elements from which one pass less is worth the trouble.
ENOUGH = 1 << 16

_array: Any = Tensor.__dict__["array"]  # the slot itself


class Between:
    """What is known of a normalisation's result that was not written down: how to compute it, and its relu."""

    __slots__ = ("bias", "eps", "input", "mean", "relu", "variance", "weight")

    def __init__(self, input: Any, weight: Any, bias: Any, eps: float, mean: Any, variance: Any) -> None:
        self.input = input
        # Copies, which are small: an optimizer may change the parameters before somebody looks.
        self.weight, self.bias = weight.copy(), bias.copy()
        self.eps = eps
        self.mean, self.variance = mean, variance
        self.relu: Any = None  # until it is taken

    def value(self) -> Any:
        """The normalised input."""
        made = normalisation.again(self.input, self.weight, self.bias, self.eps, self.mean, self.variance)
        if made is not None:
            return made
        # oneDNN was switched off meanwhile.
        across = (1, -1, 1, 1)
        scale = self.weight / np.sqrt(self.variance + np.float32(self.eps))
        return (self.input - self.mean.reshape(across)) * scale.reshape(across) + self.bias.reshape(across)

    def rectified(self) -> Any:
        """The relu of the value."""
        made = normalisation.again(
            self.input, self.weight, self.bias, self.eps, self.mean, self.variance, relu=True
        )
        return np.maximum(self.value(), 0) if made is None else made


class Sum:
    """What is known of the sum of a normalisation's result, which was not written down, and `other`."""

    __slots__ = ("norm", "other", "weight")

    def __init__(self, norm: Between, other: Any, weight: Any) -> None:
        self.norm, self.other, self.weight = norm, other, weight

    def value(self) -> Any:
        """The sum."""
        return self._made(False)

    def rectified(self) -> Any:
        """The relu of the sum."""
        return self._made(True)

    def _made(self, relu: bool) -> Any:
        of = self.norm
        made = batch.forward(
            of.input, of.weight, of.bias, of.eps, of.mean, of.variance, given=True, relu=relu, more=self.other
        )
        if made is None:  # oneDNN was switched off meanwhile
            made = of.value() + self.other
            return np.maximum(made, 0) if relu else made
        return made


class Foreseen(Tensor):
    """A normalisation's result or a sum with it, as long as nobody has looked; then it is a Tensor like any other."""

    __slots__ = ()

    @property
    def array(self) -> Any:
        """The value, computed now."""
        held = _array.__get__(self)
        if type(held) is not Between and type(held) is not Sum:  # another thread was faster
            return held
        weight = held.weight if type(held) is Sum else self.node.inputs[3]
        if weight is not None:
            weight.foreseen = ""
        self.array = value = held.value()
        return value

    @array.setter
    def array(self, value: Any) -> None:
        _array.__set__(self, value)
        self.__class__ = Tensor  # type: ignore[assignment]
        waiting.pop(id(self), None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each dimension; known without the value."""
        return self.node.shape

    @property
    def dtype(self) -> Any:
        """Element type; known without the value."""
        return self.node.dtype


Foreseen.__name__ = Foreseen.__qualname__ = "Tensor"


def _alone() -> bool:
    """Whether nobody watches, and no way of running ops other than the usual is in force."""
    return not (bus.active or autocast.running or state.stream is not None or state.stepwise)


def batch_norm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The result of a normalisation that a relu will take, or None where that is not foreseen."""
    if not kwargs["training"] or not _alone():
        return None
    arrays = [getattr(t, "array", t) for t in args]
    x, running_mean, running_var, weight, bias = arrays
    if type(x) is not np.ndarray or x.size < ENOUGH or x.ndim != 4 or not is_last(x):
        return None
    if any(type(a) is not np.ndarray or a.dtype != np.float32 or a.shape != x.shape[1:2] for a in arrays[1:]):
        return None
    if args[3].node.foreseen == "sum":
        return _measured(args, kwargs, arrays)
    found = normalisation.rectified(x, weight, bias, kwargs["eps"])
    if found is None:
        return None
    out, mean, variance, places = found
    follow(running_mean, running_var, mean, variance, x.size // x.shape[1], kwargs["momentum"])
    # A copy of the record that has nothing left to compute.
    done = copy.copy(_NORM)
    rstd = 1 / np.sqrt(variance + kwargs["eps"])
    done.on_numpy = lambda *_, **__: (out, mean, rstd, True, places)
    made = apply(done, args, kwargs)
    made.node.op = _NORM
    between = Between(x, weight, bias, kwargs["eps"], mean, variance)
    between.relu = out
    return _put_off(made, between)


def _put_off(made: Any, held: Between | Sum) -> Tensor:
    """`made`, whose value is `held` until somebody looks."""
    _array.__set__(made, held)
    made.__class__ = Foreseen
    waiting[id(made)] = made
    return made  # type: ignore[no-any-return]


def _measured(args: tuple[Any, ...], kwargs: dict[str, Any], arrays: list[Any]) -> Tensor | None:
    """A normalisation of which only mean and variance are computed; what it is added to comes next."""
    x, running_mean, running_var, weight, bias = arrays
    eps = kwargs["eps"]
    mean, variance = np.empty((2, x.shape[1]), np.float32)
    if not batch.statistics(x, eps, mean, variance):
        return None
    follow(running_mean, running_var, mean, variance, x.size // x.shape[1], kwargs["momentum"])
    done = copy.copy(BATCH_NORM)
    rstd = 1 / np.sqrt(variance + eps)
    done.on_numpy = lambda *_, **__: (_nothing(x), mean, rstd, True)
    made = apply(done, args, kwargs)
    made.node.op = BATCH_NORM
    return _put_off(made, Between(x, weight, bias, eps, mean, variance))


def _nothing(like: Any) -> Any:
    """What stands for a value that was not computed, of its shape and type."""
    return np.broadcast_to(np.zeros((), like.dtype), like.shape)


def added(a: Any, b: Any) -> Tensor | None:
    """The sum of a normalisation's result that was not written down and another tensor; None where there is none."""
    first = type(a) is Foreseen
    norm, other = (a, b) if first else (b, a)
    between = _array.__get__(norm) if type(norm) is Foreseen else None
    if (
        type(between) is not Between
        or between.relu is not None
        or norm.node.op is not BATCH_NORM
        or not _alone()
    ):
        return None
    if type(other) is not Tensor:
        return None
    x, y = between.input, other.array
    if type(y) is not np.ndarray or y.dtype != np.float32 or y.shape != x.shape or y.strides != x.strides:
        return None
    none = _nothing(x)
    arrays, nodes = ([none, y], [norm.node, other.node]) if first else ([y, none], [other.node, norm.node])
    made = apply(_ADD, (a, b), NO_KWARGS, arrays, nodes)
    made.node.op = ADD
    return _put_off(made, Sum(between, y, norm.node.inputs[3]))


def relu(input: Foreseen) -> Tensor | None:
    """The relu of a normalisation's result, which is there already, or of a sum; None where it was taken before."""
    between = _array.__get__(input)
    if type(between) is Sum and _alone():
        made = apply(_LAST, (input,), NO_KWARGS, [between.rectified()], [input.node])
        made.node.op = RELU
        return made  # type: ignore[no-any-return]
    if type(between) is not Between or between.relu is None or not _alone():
        return None
    out, between.relu = between.relu, None
    made = apply(_RELU, (input,), NO_KWARGS, [out], [input.node])
    if made.node.requires and current().memory_optimization:
        # Half a pass over its input makes it again, so it need not be kept for the gradients.
        made.node.saved = (made.node.saved[0], Remade(out, between.rectified))
    return made  # type: ignore[no-any-return]


def _relu_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    """The gradient for the normalisation, which passes over what was not positive itself."""
    if xp is np and type(g) is np.ndarray and not (bus.active or anomaly.on):
        return Masked(g, out, _masked)
    return RELU.vjp(xp, g, there(out), input)  # type: ignore[misc]


def _masked(g: Any, out: Any) -> Any:
    out = there(out)
    fast = elementwise.relu_gradient(g, out, False)
    return RELU.vjp(np, g, out, None) if fast is None else fast  # type: ignore[misc]


def _norm_vjp(xp: Any, g: Any, out: Any, *args: Any, places: Any, **given: Any) -> Any:
    if type(g) is Masked:
        input, _, _, weight, _ = args
        fast = normalisation.gradients(
            g.whole, input, weight, given["mean"], given["rstd"], given["eps"], places
        )
        if fast is not None:
            return fast[0], None, None, fast[1], fast[2]
        g = g.value()
    return BATCH_NORM.vjp(xp, g, out, *args, **given)  # type: ignore[misc]


def _record(op: Op, vjp: Any, extras: tuple[str, ...]) -> Op:
    made = copy.copy(op)
    made.vjp, made.vjp_numpy, made._vjps = vjp, partial(vjp, np), {}
    made.extras, made.overwrites, made.pooled = extras, False, False
    return made


# The records of the two ops, under their names, where they were computed together.
_NORM = _record(BATCH_NORM, _norm_vjp, (*BATCH_NORM.extras, "places"))
_RELU = _record(RELU, _relu_vjp, ())
_RELU.on_numpy = lambda input: input
# Sums and their relu, whose values are there when the records are used.
_LAST = _record(RELU, RELU.vjp, ())
_LAST.on_numpy = lambda input: input
_ADD = _record(ADD, ADD.vjp, ())
_ADD.on_numpy = lambda input, other: _nothing(input)
_LAST.fuses = _ADD.fuses = False


activation.bind(Foreseen, relu)
bind_sum(added)
