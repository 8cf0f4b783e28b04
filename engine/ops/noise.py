"""Randomness: every random op notes the seed and counter it drew with, so that it can be drawn again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype as types
from engine import random, shapes
from engine.complexes import real_only
from engine.dispatch import apply
from engine.dnn import loop
from engine.errors import Shape
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.inplace import over
from engine.ops.nested import on_gpu
from engine.pool import pool

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _dropout_vjp(
    xp: Any, g: Any, out: Any, input: Any, *, p: float, seed: int, counter: int, mask: Any
) -> Any:
    return _scaled(xp, g, mask, p)


def _scaled(xp: Any, x: Any, mask: Any, p: float) -> Any:
    """`x` where the mask says so, by the factor that keeps the mean; 0 elsewhere. On Tensors too."""
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0.0)
    if xp is np and type(x) is np.ndarray and x.size >= loop.DRAWN and x.flags.c_contiguous:
        out = pool.empty(x.shape, x.dtype)
        if loop.drop(x, mask, scale, out):
            return out
    return x * (mask * scale)


def kept(seed: int, counter: int, shape: Shape, p: float) -> Any:
    """Which of uniform numbers reach the probability `p`: the places that a dropout leaves."""
    made = loop.kept(seed, counter, shape, p)
    return random.uniform(seed, counter, shape, np.float32) >= p if made is None else made


@op(
    "dropout",
    complex=LINEAR,
    family="random",
    shape=shapes.same,
    dtype=types.first,
    origin=shapes.same_origin,
    extras=("mask",),
    onnx="Dropout",
    formula="input mask / (1 - p)",
    vjp=_dropout_vjp,
    source="Srivastava et al. 2014, JMLR 15",
)
def DROPOUT(xp: Any, input: Any, *, p: float, seed: int, counter: int) -> Any:
    """Each element becomes 0 with probability `p`; the others are scaled so that the mean stays."""
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (fast := gpu.dropout(input, p, seed, counter)) is not None:
            return fast
    mask = kept(seed, counter, input.shape, p)
    if xp is not np:
        mask = xp.asarray(mask)
    return _scaled(xp, input, mask, p), mask


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element is 0 with probability `p`, the others are divided by `1 - p`. Not `training`: the input itself.

    Raises `ValueError` for a probability outside 0 to 1.
    """
    if inplace and training and p:
        return over(input, dropout, p, training)
    if not 0 <= p <= 1:
        raise located(ValueError(f"p is a probability from 0 to 1, got {p}"))
    if not training or p == 0:
        from engine.tensor import as_tensor

        return as_tensor(input)
    size = 1
    for n in input.shape:
        size *= n
    seed, counter = random.draw(size)
    return apply(DROPOUT, (input,), {"p": p, "seed": seed, "counter": counter})  # type: ignore[no-any-return]


def _made_shape(*, shape: Shape, **_: Any) -> Shape:
    return shape


def _made_dtype(*, dtype: str, **_: Any) -> Any:
    return types.as_dtype(dtype)


MADE: dict[str, Any] = {"family": "random", "shape": _made_shape, "dtype": _made_dtype}


@op("rand", **MADE, onnx="RandomUniform", formula="uniform in [0, 1)")
def RAND(xp: Any, *, shape: Shape, dtype: str, seed: int, counter: int) -> Any:
    """Uniform random numbers from 0 to 1."""
    return random.uniform(seed, counter, shape, np.dtype(dtype))


@op("randn", **MADE, onnx="RandomNormal", formula="normal, mean 0, variance 1")
def RANDN(xp: Any, *, shape: Shape, dtype: str, seed: int, counter: int) -> Any:
    """Normally distributed random numbers."""
    return random.normal(seed, counter, shape, np.dtype(dtype))


@op("randint", **MADE, formula="whole numbers from low to high - 1")
def RANDINT(xp: Any, *, shape: Shape, dtype: str, low: int, high: int, seed: int, counter: int) -> Any:
    """Random whole numbers."""
    return random.generator(seed, counter).integers(low, high, shape, np.int64).astype(dtype, copy=False)


@op("randperm", **MADE, formula="0 to n - 1 in random order")
def RANDPERM(xp: Any, *, shape: Shape, dtype: str, seed: int, counter: int) -> Any:
    """The numbers below `shape[0]` in random order."""
    return random.generator(seed, counter).permutation(shape[0]).astype(dtype, copy=False)


def random_fill(target: Tensor, how: str, shaped: Callable[[Any], Any], source: Any) -> Tensor:
    """Write random numbers into `target`: `shaped` of uniform or normal ones ("uniform64": drawn in float64)."""
    from engine.ops.indexing import setitem

    real_only("random", target)
    seed, counter = random.draw(target.numel(), source)
    kind = target.dtype if types.is_floating(target.dtype) and how != "uniform64" else np.dtype("float64")
    draw = random.normal if how == "normal" else random.uniform
    drawn = shaped(draw(seed, counter, target.shape, kind))
    setitem(target, Ellipsis, drawn.astype(target.dtype, copy=False))
    return target


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None
) -> Tensor:
    """Normal random numbers; `mean` and `std` are numbers (then `size` is needed) or tensors that broadcast."""
    shape = size
    if shape is None:
        shapes_ = [tuple(t.shape) for t in (mean, std) if hasattr(t, "node")]
        if not shapes_:
            raise located(ValueError("normal needs a size where mean and std are numbers"))
        shape = np.broadcast_shapes(*shapes_)
    like = next((t.dtype for t in (mean, std) if hasattr(t, "node")), None)
    kind = types.as_dtype(dtype) if dtype is not None else like or types.get_default_dtype()
    if kind.kind == "c":
        from engine.creation import randn

        return randn(tuple(shape), dtype=kind, generator=generator) * std + mean  # type: ignore[no-any-return]
    seed, counter = random.draw(int(np.prod(shape, dtype=np.int64)), generator)
    attrs = {"shape": tuple(shape), "dtype": kind.name, "seed": seed, "counter": counter}
    return apply(RANDN, (), attrs) * std + mean  # type: ignore[no-any-return]


def _poisson_shape(input: Any, **_: Any) -> Shape:
    return shapes.sizes(input)


@op(
    "poisson", family="random", shape=_poisson_shape, dtype=types.first, origin=shapes.same_origin,
    formula="counts of rate input",
)  # fmt: skip
def POISSON(xp: Any, input: Any, *, seed: int, counter: int) -> Any:
    """Counts drawn from Poisson distributions with the given rates."""
    from engine.backend import move

    drawn = random.generator(seed, counter).poisson(move(input, "cpu"))
    return xp.asarray(np.asarray(drawn).astype(input.dtype))


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Counts drawn from Poisson distributions with the rates of `input`."""
    # Large rates are drawn by rejection, so a number may take several of the stream.
    seed, counter = random.draw(input.numel() * 16, generator)
    return apply(POISSON, (input,), {"seed": seed, "counter": counter})  # type: ignore[no-any-return]
