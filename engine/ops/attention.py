"""Attention: each query's mean of the values, weighted by how well its key matches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, random
from engine.backend import namespace
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.op import op
from engine.ops.nested import on_arrays
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
    made = (
        xp.matmul(query * scale, xp.swapaxes(key, -1, -2))
        if on_arrays(xp)
        else (query * scale) @ key.swapaxes(-1, -2)
    )
    raw = getattr(made, "array", made)
    if causal:
        made = forbid(xp, made, lower(raw))
    if attn_mask is not None:
        mask = getattr(attn_mask, "array", attn_mask)
        made = forbid(xp, made, mask) if mask.dtype == np.bool_ else made + attn_mask
    return made


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


def weights(
    xp: Any, query: Any, key: Any, attn_mask: Any, causal: bool, scale: float, lse: Any = None
) -> Any:
    """The softmax of the scores, and the logarithm of its sum, on raw arrays; with `lse` known one pass is
    saved.

    A query that may look nowhere has weights of 0.
    """
    made = scores(xp, query, key, attn_mask, causal, scale)
    if lse is None:
        top = (
            made.max(axis=-1, keepdims=True)
            if made.shape[-1]
            else xp.zeros((*made.shape[:-1], 1), made.dtype)
        )
        top = xp.where(xp.isfinite(top), top, made.dtype.type(0))
        made -= top
        xp.exp(made, out=made)
        total = made.sum(axis=-1, keepdims=True)
        made /= xp.where(total == 0, made.dtype.type(1), total)
        with np.errstate(divide="ignore"):
            lse = top + xp.log(total)
        return made, lse
    made -= xp.where(xp.isfinite(lse), lse, made.dtype.type(0))
    xp.exp(made, out=made)
    return made, lse


def dropped(xp: Any, shape: Shape, kind: Any, p: float, seed: int, counter: int) -> Any:
    """What the weights are multiplied with: 0 with probability `p`, else 1 / (1 - p).

    Drawn again, not kept.
    """
    mask = random.uniform(seed, counter, shape, np.float32) >= p
    return xp.asarray(mask) * np.dtype(kind).type(1 / (1 - p) if p < 1 else 0.0)


def _vjp(
    xp: Any, g: Any, out: Any, query: Any, key: Any, value: Any, attn_mask: Any,
    *, dropout_p: float, is_causal: bool, scale: float, seed: int, counter: int, lse: Any,
) -> Any:  # fmt: skip
    if on_arrays(xp):
        p, _ = weights(xp, query, key, attn_mask, is_causal, scale, lse)
    else:
        made = scores(xp, query, key, attn_mask, is_causal, scale)
        arrays = namespace(lse)
        e = xp.exp(made - arrays.where(arrays.isfinite(lse), lse, 0.0).astype(lse.dtype))
        total = xp.sum(e, axis=-1, keepdims=True)
        p = e / xp.where(getattr(total, "array", total) == 0, 1.0, total)

    def swap(x: Any) -> Any:
        return xp.swapaxes(x, -1, -2)

    to_p = g @ swap(value)
    used = p
    if dropout_p:
        raw = getattr(p, "array", p)
        mask = dropped(namespace(raw), raw.shape, raw.dtype, dropout_p, seed, counter)
        used, to_p = p * mask, to_p * mask
    to_value = swap(used) @ g
    # sum(p to_p) over the keys is the derivative of the softmax's normalisation.
    to_scores = p * (to_p - xp.sum(p * to_p, axis=-1, keepdims=True))
    to_query = (to_scores @ key) * scale
    to_key = (swap(to_scores) @ query) * scale
    soft = attn_mask is not None and attn_mask.dtype != np.bool_ and attn_mask.dtype.kind == "f"
    return to_query, to_key, to_value, to_scores if soft else None


@op(
    "scaled_dot_product_attention",
    family="linear",
    shape=_shape,
    dtype=dtype.first,
    origin=_origin,
    vjp=_vjp,
    saves=("query", "key", "value", "attn_mask"),
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
    p, lse = weights(xp, query, key, attn_mask, is_causal, scale)
    if dropout_p:
        p *= dropped(xp, p.shape, p.dtype, dropout_p, seed, counter)
    return xp.matmul(p, value), lse


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
        raise ValueError(f"dropout_p is a probability from 0 to 1, got {dropout_p}")
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        from engine.ops.repeating import repeat_interleave

        times = query.shape[-3] // key.shape[-3]
        if times * key.shape[-3] != query.shape[-3]:
            raise ValueError(f"{query.shape[-3]} query heads cannot share {key.shape[-3]} key heads evenly")
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
