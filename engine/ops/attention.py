"""Attention: each query's mean of the values, weighted by how well its key matches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, random
from engine.backend import namespace
from engine.dispatch import apply
from engine.dnn import attention as fast
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.located import located
from engine.op import op
from engine.ops.nested import on_arrays, on_gpu
from engine.ops.noise import kept
from engine.pool import pool
from engine.shapes import broadcast, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _shape(query: Any, key: Any, value: Any, attn_mask: Any = None, **_: Any) -> Shape:
    q, k, v = sizes(query), sizes(key), sizes(value)
    for i, x in enumerate((q, k, v)):
        if len(x) < 2:
            raise ShapeClash(
                ["batch", "length", "features"],
                i,
                [],
                f"{{op}} needs {{{i}}} with at least 2 dimensions, it has {len(x)}.",
            )
    if q[-1] != k[-1]:
        raise ShapeClash(
            [*k[:-1], q[-1]],
            1,
            [(0, len(q) - 1), (1, len(k) - 1)],
            f"{{0}} has {q[-1]} features and {{1}} has {k[-1]}; they are multiplied.",
        )
    if k[-2] != v[-2]:
        raise ShapeClash(
            [*v[:-2], k[-2], v[-1]],
            2,
            [(1, len(k) - 2), (2, len(v) - 2)],
            f"{{1}} has {k[-2]} places and {{2}} has {v[-2]}; each key has one value.",
        )
    lead = broadcast(q[:-2], k[:-2], v[:-2])
    if attn_mask is not None:
        m = sizes(attn_mask)
        full = (*lead, q[-2], k[-2])
        fits = len(m) <= len(full) and all(
            a in (1, b) for a, b in zip(reversed(m), reversed(full), strict=False)
        )
        if not fits:
            clash = [
                (3, len(m) - i) for i in range(1, min(len(m), len(full)) + 1) if m[-i] not in (1, full[-i])
            ]
            raise ShapeClash(
                full, 3, clash, f"{{3}} has to broadcast to queries by keys, {list(full)}; it is {list(m)}."
            )
    return (*lead, q[-2], v[-1])


def _origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    if dim == len(out) - 1:
        return [(2, len(sizes(shapes[2])) - 1)]
    at = dim - len(out) + len(sizes(shapes[0]))
    return [(0, at)] if at >= 0 else []


def scores(xp: Any, query: Any, key: Any, attn_mask: Any, causal: bool, scale: float) -> Any:
    """How well each key matches each query; minus infinity where the mask forbids it. On Tensors too."""
    made = times(xp, query * scale, turned(xp, key))
    if causal:
        made = forbid(xp, made, lower(getattr(made, "array", made)))
    if attn_mask is not None:
        mask = getattr(attn_mask, "array", attn_mask)
        made = forbid(xp, made, mask) if mask.dtype == np.bool_ else made + attn_mask
    return made


def times(xp: Any, a: Any, b: Any) -> Any:
    """`a @ b`; on Tensors too."""
    if on_gpu(xp):
        from engine.gpu import product as gpu

        if (made := gpu.product(a, b)) is not None:
            return made
    return a @ b


def turned(xp: Any, x: Any) -> Any:
    """The last two dimensions exchanged. NumPy multiplies small matrices faster when they are contiguous."""
    swapped = xp.swapaxes(x, -1, -2)
    return np.ascontiguousarray(swapped) if xp is np else swapped


def lower(raw: Any) -> Any:
    """True where a key is not after its query."""
    q, k = raw.shape[-2:]
    if isinstance(raw, np.ndarray):
        return np.tri(q, k, dtype=np.bool_)
    return namespace(raw).tri(q, k, dtype=np.bool_)


def forbid(xp: Any, made: Any, allowed: Any) -> Any:
    """Minus infinity where not `allowed`."""
    return (
        xp.where(allowed, made, made.dtype.type(-np.inf))
        if on_arrays(xp)
        else xp.where(allowed, made, -math.inf)
    )


# Bytes of scores a CPU works on at a time.
CACHE = 1 << 20


def blocks(xp: Any, query: Any, key: Any, value: Any) -> list[Any]:
    """Indices of the first dimension, a cacheful of scores each, where all have it alike; else of all."""
    n = query.shape[0] if query.ndim > 2 else 0
    alike = n > 1 and all(x.ndim == query.ndim and x.shape[0] == n for x in (key, value))
    if xp is not np or not alike:
        return [...]
    each = math.prod(query.shape[1:-1]) * key.shape[-2] * query.itemsize
    step = max(1, CACHE // max(each, 1))
    return [slice(start, start + step) for start in range(0, n, step)]


def join(joined: list[Any], query: Any, at: Any, found: Any) -> None:
    """Put the results of a block where they belong in those of all blocks."""
    if at is ...:
        joined += found
        return
    if not joined:
        joined += [laid_out(query.shape[0], piece) for piece in found]
    for whole, piece in zip(joined, found, strict=True):
        whole[at] = piece


def laid_out(n: int, piece: Any) -> Any:
    """An array for `n` results like `piece`. [n, heads, places, features] lies in memory with the heads beside the
    features, so that putting the heads together again copies nothing.
    """
    shape = (n, *piece.shape[1:])
    if len(shape) != 4 or shape[-1] == 1:
        return pool.empty(shape, piece.dtype)
    return pool.empty((n, shape[2], shape[1], shape[3]), piece.dtype).swapaxes(1, 2)


def masked_for(attn_mask: Any, query: Any, at: Any) -> Any:
    """The part of the mask for a block."""
    own = attn_mask is not None and attn_mask.ndim == query.ndim and attn_mask.shape[0] != 1
    return attn_mask[at] if own and at is not ... else attn_mask


# Scores within this distance of 0 need no largest one taken off: neither they nor their sum overflow.
SAFE = {"float32": 60.0, "float64": 600.0}


def bounded(xp: Any, query: Any, key: Any, scale: float) -> bool:
    """Whether all scores are surely near enough to 0 for `SAFE`, by the lengths of the vectors."""
    limit = SAFE.get(query.dtype.name)
    if limit is None or xp is not np or not query.size or not key.size:
        return False
    q = np.einsum("...d,...d->...", query, query).max()
    k = np.einsum("...d,...d->...", key, key).max()
    return bool(q * k * scale * scale < limit * limit)


def exponentials(xp: Any, made: Any, masked: bool, near: bool) -> tuple[Any, Any, Any]:
    """e to the scores, in place and all by one factor; their sum, and the logarithm of the true sum.

    A query that may look nowhere has exponentials of 0, and a sum that is taken for 1.
    """
    if not made.shape[-1]:
        one = xp.ones((*made.shape[:-1], 1), made.dtype)
        return made, one, xp.zeros_like(one)
    top: Any = made.dtype.type(0)
    if not near:
        top = made.max(axis=-1, keepdims=True)
        if masked:
            top = xp.where(xp.isfinite(top), top, made.dtype.type(0))
        made -= top
    xp.exp(made, out=made)
    total = made.sum(axis=-1, keepdims=True)
    if masked:
        total = xp.where(total == 0, made.dtype.type(1), total)
    return made, total, top + xp.log(total)


def dropped(xp: Any, shape: Shape, kind: Any, p: float, seed: int, counter: int) -> Any:
    """What the weights are multiplied with: 0 with probability `p`, else 1 / (1 - p).

    Drawn again, not kept.
    """
    if on_gpu(xp):
        from engine.gpu import elementwise as gpu

        if (made := gpu.dropped(shape, np.dtype(kind), p, seed, counter)) is not None:
            return made
    mask = kept(seed, counter, shape, p)
    return xp.asarray(mask) * np.dtype(kind).type(1 / (1 - p) if p < 1 else 0.0)


def _vjp(
    xp: Any, g: Any, out: Any, query: Any, key: Any, value: Any, attn_mask: Any,
    *, dropout_p: float, is_causal: bool, scale: float, seed: int, counter: int, lse: Any,
) -> Any:  # fmt: skip
    soft = attn_mask is not None and attn_mask.dtype != np.bool_ and attn_mask.dtype.kind == "f"
    keep = None
    if dropout_p:
        lead = lse.shape[:-1]
        keep = dropped(namespace(lse), (*lead, key.shape[-2]), lse.dtype, dropout_p, seed, counter)
    if not on_arrays(xp):
        made = scores(xp, query, key, attn_mask, is_causal, scale)
        p = xp.exp(made - lse)
        total = xp.sum(p, axis=-1, keepdims=True)
        # Divided although the sum is 1: it depends on the scores, which lse, a constant here, does not say.
        p = p / xp.where(total.array == 0, 1.0, total)
        found = through(xp, g, p, None, query, key, value, keep, scale)
        return *found[:3], found[3] if soft else None
    if xp is np:
        made = fast.gradients(g, out, query, key, value, attn_mask, keep, is_causal, scale, lse, soft)
        if made is not None:
            return made
    joined: list[Any] = []
    for at in blocks(xp, query, key, value):
        q, k = query[at], key[at]
        p = scores(xp, q, k, masked_for(attn_mask, query, at), is_causal, scale)
        p -= lse[at]
        xp.exp(p, out=p)
        part = None if keep is None else keep[at]
        found = through(xp, g[at], p, out[at], q, k, value[at], part, scale)
        join(joined, query, at, found if soft else found[:3])
    return *joined[:3], joined[3] if soft else None


def through(
    xp: Any, g: Any, p: Any, out: Any, query: Any, key: Any, value: Any, keep: Any, scale: float
) -> Any:
    """The gradients of query, key, value and scores, given the weights `p`. On Tensors `out` is None."""

    def swap(x: Any) -> Any:
        return xp.swapaxes(x, -1, -2)

    to_p = times(xp, g, turned(xp, value))
    used = p
    if keep is not None:
        used, to_p = p * keep, to_p * keep
    to_value = times(xp, swap(used), g)
    if out is None:
        to_scores = p * (to_p - xp.sum(p * to_p, axis=-1, keepdims=True))
    else:
        # The sum of p to_p over the keys is that of g out over the features, which are fewer.
        to_p -= xp.sum(g * out, axis=-1, keepdims=True)
        to_p *= p
        to_scores = to_p
    to_query, to_key = times(xp, to_scores, key), times(xp, swap(to_scores), query)
    return to_query * scale, to_key * scale, to_value, to_scores


@op(
    "scaled_dot_product_attention",
    family="linear",
    shape=_shape,
    dtype=dtype.first,
    origin=_origin,
    vjp=_vjp,
    saves=("query", "key", "value", "attn_mask", "out"),
    extras=("lse",),
    check=True,
    onnx="Attention",
    formula="softmax(scale · query keyᵀ + mask) value",
    source="Vaswani et al. 2017, arXiv:1706.03762; weights recomputed for the gradient as in Dao et "
    "al. 2022, arXiv:2205.14135",
)
def ATTENTION(
    xp: Any, query: Any, key: Any, value: Any, attn_mask: Any,
    *, dropout_p: float, is_causal: bool, scale: float, seed: int, counter: int,
) -> Any:  # fmt: skip
    """Each query's mean of the values. The weights, queries by keys, are not kept but computed again."""
    if is_causal and attn_mask is not None:
        raise ArgumentProblem(ValueError, "give either attn_mask or is_causal", 3)
    keep = None
    if dropout_p:
        lead = broadcast(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        shape = (*lead, query.shape[-2], key.shape[-2])
        keep = dropped(xp, shape, query.dtype, dropout_p, seed, counter)
    if xp is np and (found := fast.attend(query, key, value, attn_mask, keep, is_causal, scale)) is not None:
        return found
    joined: list[Any] = []
    added = attn_mask is not None and attn_mask.dtype != np.bool_
    near = not added and bounded(xp, query, key, scale)
    for at in blocks(xp, query, key, value):
        made = scores(xp, query[at], key[at], masked_for(attn_mask, query, at), is_causal, scale)
        made, total, lse = exponentials(xp, made, attn_mask is not None, near)
        if keep is not None:
            made = made * keep[at]
        # Divided after the product: by rows of features, which are fewer than keys.
        out = times(xp, made, value[at])
        out /= total
        join(joined, query, at, (out, lse))
    return tuple(joined)


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """Attention of [..., queries, features] over [..., keys, features] with values [..., keys, out].

    `attn_mask` broadcasts to [..., queries, keys]: True where a query may look, or numbers added to the
    scores. With `is_causal` a query sees no later key. `scale` is 1 / sqrt(features) unless given.
    `dropout_p` drops weights, also outside training. With `enable_gqa` several query heads (third dimension
    from the end) share a key head.
    Raises `ShapeMismatchError` where sizes do not fit, `ValueError` for a mask given together with
    `is_causal`.
    """
    if not 0 <= dropout_p <= 1:
        raise located(ValueError(f"dropout_p is a probability from 0 to 1, got {dropout_p}"))
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        from engine.ops.repeating import repeat_interleave

        times = query.shape[-3] // key.shape[-3]
        if times * key.shape[-3] != query.shape[-3]:
            raise located(
                ValueError(f"{query.shape[-3]} query heads cannot share {key.shape[-3]} key heads evenly")
            )
        key, value = repeat_interleave(key, times, -3), repeat_interleave(value, times, -3)
    seed = counter = 0
    if dropout_p:
        seed, counter = random.draw(math.prod(query.shape[:-1]) * key.shape[-2])
    attrs = {
        "dropout_p": dropout_p,
        "is_causal": is_causal,
        "scale": 1 / math.sqrt(query.shape[-1]) if scale is None else scale,
        "seed": seed,
        "counter": counter,
    }
    return apply(ATTENTION, (query, key, value, attn_mask), attrs)  # type: ignore[no-any-return]
