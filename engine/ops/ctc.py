"""Connectionist temporal classification: the sum over all ways a target can be spelled in a sequence, step after step."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import Shape
from engine.located import located
from engine.op import op
from engine.ops.comparison import where
from engine.ops.indexing import getitem
from engine.ops.layout import stack
from engine.ops.loss import mean_or_sum
from engine.ops.nested import on_arrays, on_gpu

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["ctc_loss"]


def _nothing(kind: Any) -> float:
    """The logarithm that stands for no chance at all."""
    return -1e30 if kind.itemsize >= 4 else -6e4


def _last_shape(logs: Any, *, leap: Any, runs: Any) -> Shape:
    return shapes.sizes(logs)[1:]


def _filled(xp: Any, x: Any, fill: float) -> Any:
    return xp.where(_there(xp, np.zeros(x.shape[-1], bool)), x, fill)


def _before(xp: Any, x: Any, places: int, fill: float) -> Any:
    """`x` moved to the right, filled from the left."""
    width = min(places, x.shape[-1])
    return xp.concatenate([_filled(xp, x[..., :width], fill), x[..., : x.shape[-1] - width]], axis=-1)


def _after(xp: Any, x: Any, places: int) -> Any:
    """`x` moved to the left, filled with 0: the transpose of `_before`."""
    width = min(places, x.shape[-1])
    return xp.concatenate([x[..., width:], _filled(xp, x[..., :width], 0.0)], axis=-1)


def _three(xp: Any, alpha: Any, leap: Any, nothing: float) -> tuple[Any, Any, Any]:
    """What each place is reached from: itself, the one before, and where it may be leapt to the second before."""
    return alpha, _before(xp, alpha, 1, nothing), xp.where(leap, _before(xp, alpha, 2, nothing), nothing)


def _shares(xp: Any, ways: tuple[Any, Any, Any]) -> tuple[list[Any], Any]:
    """The share of each way in their sum, and its logarithm."""
    top = xp.maximum(xp.maximum(ways[0], ways[1]), ways[2])
    # Where there is no way at all the sum is 0, and so are the shares.
    top = xp.maximum(top.detach() if hasattr(top, "node") else top, float(np.finfo(top.dtype).min))
    each = [xp.exp(way - top) for way in ways]
    total = each[0] + each[1] + each[2]
    safe = xp.maximum(total, float(np.finfo(top.dtype).tiny))
    return [e / safe for e in each], xp.log(total) + top


def _steps(xp: Any, logs: Any, leap: Any, runs: Any) -> tuple[list[Any], list[Any]]:
    """The logarithms of the chances of all places after each step, and the shares of the ways into each."""
    nothing = _nothing(logs.dtype)
    begins = (np.arange(leap.shape[1]) < 2) & (runs > 0)[:, None]
    alphas, shares = [xp.where(_there(xp, begins), logs[0], nothing)], []
    for t in range(1, logs.shape[0]):
        share, total = _shares(xp, _three(xp, alphas[-1], _there(xp, leap), nothing))
        further = total + logs[t]
        if t >= runs.min():  # a sequence that has ended stays as it is
            further = xp.where(_there(xp, t < runs)[:, None], further, alphas[-1])
        alphas.append(further)
        shares.append(share)
    return alphas, shares


def _there(xp: Any, mask: Any) -> Any:
    return xp.asarray(mask) if on_gpu(xp) else mask


def _vjp(xp: Any, g: Any, out: Any, logs: Any, *, leap: Any, runs: Any, alphas: Any) -> Any:
    if on_arrays(xp):
        ways = _three(xp, alphas[:-1], _there(xp, leap), _nothing(alphas.dtype))
        shares = list(zip(*_shares(xp, ways)[0], strict=True))
    else:
        shares = [tuple(share) for share in _steps(xp, logs, leap, runs)[1]]
    found = []
    for t in range(len(shares), 0, -1):
        stay, once, twice = shares[t - 1]
        back = g * stay + _after(xp, g * once, 1) + _after(xp, g * twice, 2)
        if t >= runs.min():
            on = _there(xp, t < runs)[:, None]
            found.append(xp.where(on, g, 0.0))
            g = xp.where(on, back, g)
        else:
            found.append(g)
            g = back
    begins = (np.arange(leap.shape[1]) < 2) & (runs > 0)[:, None]
    found.append(xp.where(_there(xp, begins), g, 0.0))
    return xp.stack(found[::-1], axis=0)


@op(
    "ctc", family="other", shape=_last_shape, dtype=dtype.floating, vjp=_vjp, saves=("logs",), extras=("alphas",), quiet=True,
    formula="ln Σ over the ways to each place of Π exp(logs)",
    source="Graves et al. 2006, Connectionist temporal classification, equations 6 and 7",
)  # fmt: skip
def CTC(xp: Any, logs: Any, *, leap: Any, runs: Any) -> Any:
    """Logarithms of the chances of all places [batch, places] after the last of [steps, batch, places].

    Each step goes on in its place, or to the next, or where it may `leap` to the second next; a sequence has as many
    steps as `runs` says.
    """
    alphas = xp.stack(_steps(xp, logs, leap, runs)[0], axis=0) if xp is not np else _lines(logs, leap, runs)
    return alphas[-1].copy(), alphas


def _lines(logs: Any, leap: Any, runs: Any) -> Any:
    """`_steps` of NumPy's arrays, in place."""
    nothing = _nothing(logs.dtype)
    alphas = np.empty_like(logs)
    begins = (np.arange(leap.shape[1]) < 2) & (runs > 0)[:, None]
    alphas[0] = np.where(begins, logs[0], nothing)
    room = np.full((logs.shape[1], logs.shape[2] + 2), nothing, logs.dtype)
    stay, once, twice = room[:, 2:], room[:, 1:-1], room[:, :-2]
    barrier = np.where(leap, 0, nothing).astype(logs.dtype)
    top, part, leapt = np.empty_like(logs[0]), np.empty_like(logs[0]), np.empty_like(logs[0])
    least = np.finfo(logs.dtype).min
    shortest = int(runs.min(initial=len(logs)))
    for t in range(1, len(logs)):
        stay[...] = alphas[t - 1]
        np.add(twice, barrier, out=leapt)
        np.maximum(stay, once, out=top)
        np.maximum(top, leapt, out=top)
        np.maximum(top, least, out=top)
        total = alphas[t]
        np.exp(np.subtract(stay, top, out=total), out=total)
        for way in (once, leapt):
            np.exp(np.subtract(way, top, out=part), out=part)
            total += part
        np.log(total, out=total)
        total += top
        total += logs[t]
        if t >= shortest:
            ended = t >= runs
            total[ended] = alphas[t - 1][ended]
    return alphas


# --- the loss ------------------------------------------------------------------------------------------------


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Connectionist temporal classification (Graves et al. 2006) of log probabilities [steps, batch, classes].

    `targets` is [batch, longest] or all targets one after another. "mean" divides each loss by its target's length
    first.
    """
    steps, batch = log_probs.shape[:2]
    lengths = [int(n) for n in _listed(input_lengths)]
    sizes = [int(n) for n in _listed(target_lengths)]
    raw = targets.detach().cpu().array if hasattr(targets, "node") else np.asarray(targets)
    if raw.ndim == 1:
        ends = np.cumsum([0, *sizes])
        labels = [raw[a:b] for a, b in itertools.pairwise(ends)]
    else:
        labels = [raw[i, :n] for i, n in enumerate(sizes)]
    if len(lengths) != batch or len(sizes) != batch or max(lengths, default=0) > steps:
        raise located(
            ValueError(
                f"input_lengths and target_lengths need {batch} lengths each, of {steps} steps at most, "
                f"got {lengths} and {sizes}"
            )
        )
    loss = _ctc(log_probs, lengths, labels, blank)
    if zero_infinity:
        loss = where(loss.isinf(), 0.0, loss)
    if reduction == "mean":
        loss = loss / np.maximum(sizes, 1).astype(loss.dtype)
    return mean_or_sum(loss, reduction)  # type: ignore[no-any-return]


def _listed(lengths: Any) -> list[Any]:
    return lengths.tolist() if hasattr(lengths, "tolist") else list(lengths)


def _ctc(logs: Any, lengths: list[int], labels: list[Any], blank: int) -> Any:
    """The loss of each sequence of [steps, batch, classes]: the forward recursion, in logarithms, of all at once."""
    batch = len(labels)
    path = np.full((batch, 2 * max((len(label) for label in labels), default=0) + 1), blank)
    for row, label in zip(path, labels, strict=True):
        row[1 : 2 * len(label) : 2] = label
    # From two places back only where the label differs: not over a blank, nor between equal labels.
    leap = np.zeros(path.shape, bool)
    leap[:, 2:] = (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])
    nothing = _nothing(logs.dtype)
    steps = max(1, *lengths)
    here = getitem(logs, (np.arange(steps)[:, None, None], np.arange(batch)[:, None], path))
    runs = np.asarray(lengths)
    alpha = apply(CTC, (here,), {"leap": leap, "runs": runs})
    ends = 2 * np.asarray([len(label) for label in labels])
    rows = np.arange(batch)
    last = getitem(alpha, (rows, ends))
    before = where(ends > 0, getitem(alpha, (rows, np.maximum(ends - 1, 0))), nothing)
    total = stack([last, before]).logsumexp(0)
    return where(total > nothing / 2, -total, math.inf)
