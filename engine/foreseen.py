"""Batch normalisation with the relu that follows it, or the sum and its relu, computed together because they followed last time.

The program sees two ops (or three) all the same: nodes, values, gradients at each. The value between them is computed
when somebody looks at it, to the same bits; where somebody does, they are computed apart from then on. While the
engine is watched, every op is computed by itself.
"""

from __future__ import annotations

import copy
import threading
from functools import partial
from typing import Any

import numpy as np

from engine.amp import autocast
from engine.anomaly import anomaly
from engine.backend import is_array, namespace
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
from engine.ops.nested import on_arrays
from engine.ops.norm import BATCH_NORM, follow
from engine.pending import Masked, Remade, Unwritten, there, waiting
from engine.pool import is_last
from engine.size import Size
from engine.tensor import Tensor

# Elements from which one pass less is worth the trouble.
ENOUGH = 1 << 16

_array: Any = Tensor.__dict__["array"]  # the slot itself


class Between(Unwritten):
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

    def added(self, other: Any, relu: bool) -> Any:
        """The sum of the value and `other`, or the relu of that."""
        made = batch.forward(
            self.input,
            self.weight,
            self.bias,
            self.eps,
            self.mean,
            self.variance,
            given=True,
            relu=relu,
            more=other,
        )
        if made is None:  # oneDNN was switched off meanwhile
            made = self.value() + other
            return np.maximum(made, 0) if relu else made
        return made


class Sum(Unwritten):
    """What is known of the sum of a normalisation's result, which was not written down, and `other`."""

    __slots__ = ("norm", "other", "weight")

    def __init__(self, norm: Any, other: Any, weight: Any) -> None:
        self.norm, self.other, self.weight = norm, other, weight

    def value(self) -> Any:
        """The sum."""
        return self.norm.added(self.other, False)

    def rectified(self) -> Any:
        """The relu of the sum."""
        return self.norm.added(self.other, True)


class Foreseen(Tensor):
    """A normalisation's result or a sum with it, as long as nobody has looked; then it is a Tensor like any other."""

    __slots__ = ()

    @property
    def array(self) -> Any:
        """The value, computed now."""
        held = _array.__get__(self)
        if not isinstance(held, Unwritten):  # another thread was faster
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
    def shape(self) -> Size:
        """Size of each dimension; known without the value."""
        return Size(self.node.shape)

    @property
    def dtype(self) -> Any:
        """Element type; known without the value."""
        return self.node.dtype


Foreseen.__name__ = Foreseen.__qualname__ = "Tensor"


def _alone(far: bool = False) -> bool:
    """Whether nobody watches, and no way of running ops other than the usual is in force; on a GPU (`far`) mixed precision may be."""
    if state.stream is not None or state.stepwise:
        return False
    return not (bus.heard if far and autocast.running else bus.active or autocast.running)


def batch_norm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The result of a normalisation that a relu will take, or None where that is not foreseen."""
    if not kwargs["training"] or not _alone(True):
        return None
    arrays = [getattr(t, "array", t) for t in args]
    x, running_mean, running_var, weight, bias = arrays
    if type(x) is not np.ndarray:
        return _on_gpu(args, kwargs, arrays)
    if not _alone() or x.size < ENOUGH or x.ndim != 4 or not is_last(x):
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


def _on_gpu(args: tuple[Any, ...], kwargs: dict[str, Any], arrays: list[Any]) -> Tensor | None:
    """`batch_norm` of images on a GPU."""
    if not all(a is None or is_array(a) for a in arrays) or (xp := namespace(arrays[0])) is np:
        return None
    from engine.gpu import foreseen as gpu  # a program on the CPU does not wait for it

    relu = args[3].node.foreseen != "sum"
    between = gpu.normalise(arrays, kwargs["momentum"], kwargs["eps"], relu)
    if between is None:
        return None
    record, done = (_NORM, _DONE_NORM) if relu else (BATCH_NORM, _DONE)
    stats = between.stats
    given: Any = (
        between.relu if relu else between.input,
        stats[0],
        stats[1],
        True,
    )  # the first is any of its shape
    _given.now = (*given, None) if relu else given
    if xp not in done._partials:
        done._partials[xp] = lambda *_, **__: _given.now
    made = apply(done, args, kwargs)
    _given.now = None
    made.node.op = record
    return _put_off(made, between)


def _put_off(made: Any, held: Any) -> Tensor:
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
    between: Any = _array.__get__(norm) if type(norm) is Foreseen else None
    if not _free(between) or between.relu is not None or norm.node.op is not BATCH_NORM:
        return None
    if type(other) is not Tensor:
        return None
    x, y = between.input, other.array
    if type(y) is not type(x) or y.dtype != x.dtype or y.shape != x.shape:
        return None
    if type(x) is np.ndarray and y.strides != x.strides:
        return None
    none = _nothing(x)
    arrays, nodes = ([none, y], [norm.node, other.node]) if first else ([y, none], [other.node, norm.node])
    made = apply(_ADD, (a, b), NO_KWARGS, arrays, nodes)
    made.node.op = ADD
    return _put_off(made, Sum(between, y, norm.node.inputs[3]))


def _free(held: Any) -> bool:
    """Whether a normalisation's result was not written down, and what takes it may be computed with it."""
    if type(held) is Sum or not isinstance(held, Unwritten):
        return False
    return _alone(type(held) is not Between)


def relu(input: Foreseen) -> Tensor | None:
    """The relu of a normalisation's result, which is there already, or of a sum; None where it was taken before."""
    between = _array.__get__(input)
    if type(between) is Sum and _alone(type(between.norm) is not Between):
        made = apply(_LAST, (input,), NO_KWARGS, [between.rectified()], [input.node])
        made.node.op = RELU
        return made  # type: ignore[no-any-return]
    if not _free(between) or between.relu is None:
        return None
    out, between.relu = between.relu, None
    made = apply(_RELU, (input,), NO_KWARGS, [out], [input.node])
    if made.node.requires and current().memory_optimization and type(between) is Between:
        # Half a pass over its input makes it again, so it need not be kept for the gradients.
        made.node.saved = (made.node.saved[0], Remade(out, between.rectified))
    return made  # type: ignore[no-any-return]


def _relu_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    """The gradient for the normalisation, which passes over what was not positive itself."""
    if on_arrays(xp) and is_array(g) and not (bus.active or anomaly.on):
        return Masked(g, out, _masked)
    return RELU.vjp(xp, g, there(out), input)  # type: ignore[misc]


def _masked(g: Any, out: Any) -> Any:
    out = there(out)
    fast = elementwise.relu_gradient(g, out, False) if type(g) is np.ndarray else None
    return RELU.vjp_on(namespace(g))(g, out, None) if fast is None else fast


def _norm_vjp(xp: Any, g: Any, out: Any, *args: Any, places: Any, **given: Any) -> Any:
    if type(g) is Masked:
        input, _, _, weight, _ = args
        if type(g.whole) is np.ndarray:
            fast = normalisation.gradients(
                g.whole, input, weight, given["mean"], given["rstd"], given["eps"], places
            )
        else:
            from engine.gpu import batch as gpu

            fast = None if input is None else gpu.gradients(g.whole, input, weight, given["mean"], relu=True)
        if fast is not None:
            return fast[0], None, None, fast[1], fast[2]
        g = g.value()
        xp = namespace(g)
    if on_arrays(xp):
        return BATCH_NORM.vjp_on(xp)(g, out, *args, **given)
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
# Normalisations on a GPU, whose results are there too: what they are belongs to the thread.
_given = threading.local()
_DONE, _DONE_NORM = copy.copy(BATCH_NORM), copy.copy(_NORM)
_DONE._partials, _DONE_NORM._partials = {}, {}
_DONE.settled = _DONE_NORM.settled = True
_LAST.fuses = _ADD.fuses = False
_RELU.settled = _LAST.settled = _ADD.settled = True


activation.bind(Foreseen, relu)
bind_sum(added)
