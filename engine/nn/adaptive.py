"""Softmax over many classes, of which rare ones get smaller layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import engine as ds
from engine.located import located
from engine.module import Module
from engine.nn.container import ModuleList, Sequential
from engine.nn.linear import Linear
from engine.tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class Adapted(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` gives: of each target its log probability, and the mean loss."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log probabilities of `n_classes` classes, frequent ones first, in groups that end at `cutoffs`.

    The first group has a full layer, each later one a layer `div_value` times narrower than the one before
    (Grave et al. 2016, arXiv:1609.04309). Raises `ValueError` for cutoffs that do not rise from 1 to n_classes - 1.

    >>> import engine as ds
    >>> layer = ds.nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[5, 10])
    >>> layer(ds.randn(3, 8), ds.tensor([1, 7, 19])).output.shape
    (3,)
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
        head_bias: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        ends = [int(c) for c in cutoffs]
        if not ends or ends != sorted(set(ends)) or ends[0] < 1 or ends[-1] > n_classes - 1:
            raise located(
                ValueError(
                    "AdaptiveLogSoftmaxWithLoss: cutoffs have to be different whole numbers that rise from 1 to "
                    f"{n_classes - 1} at most, got {list(cutoffs)}"
                )
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = ends[0], len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            inner = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, inner, bias=False, **kind), Linear(inner, size, bias=False, **kind)
                )
            )

    def reset_parameters(self) -> None:
        """Start all weights afresh."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()  # type: ignore[attr-defined]

    def forward(self, input_: Any, target_: Any) -> Adapted:
        """`input_` [batch, in_features] (or [in_features]) and whole numbers `target_` [batch] (or one number)."""
        batched = target_.ndim > 0
        if input_.ndim != target_.ndim + 1 or (batched and input_.shape[0] != target_.shape[0]):
            raise located(
                RuntimeError(
                    "AdaptiveLogSoftmaxWithLoss: input and target need the same batch, got "
                    f"{list(input_.shape)} and {list(target_.shape)}"
                )
            )
        x = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        numbers = target.detach().cpu().array
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.n_classes):
            raise located(
                RuntimeError(
                    f"AdaptiveLogSoftmaxWithLoss: target has to be from 0 to {self.n_classes - 1}, got from "
                    f"{numbers.min()} to {numbers.max()}"
                )
            )
        head = ds.log_softmax(self.head(x), 1)
        group = np.searchsorted(np.asarray(self.cutoffs), numbers, side="right")
        # In the head a rare class is found under the number of its group.
        place = np.where(group == 0, numbers, self.shortlist_size + group - 1)
        output = ds.gather(head, 1, Tensor(place.astype(np.int64)).to(x.device).unsqueeze(1)).squeeze(1)
        for i, layer in enumerate(self.tail):
            rows = np.flatnonzero(group == i + 1)
            if not rows.size:
                continue
            index = Tensor(rows).to(x.device)
            within = ds.log_softmax(layer(x.index_select(0, index)), 1)
            own = Tensor((numbers[rows] - self.cutoffs[i]).astype(np.int64)).to(x.device)
            output = output.index_add(0, index, ds.gather(within, 1, own.unsqueeze(1)).squeeze(1))
        loss = (-output).mean()
        return Adapted(output if batched else output.squeeze(0), loss)

    def log_prob(self, input: Any) -> Tensor:
        """The log probabilities of all classes [batch, n_classes]."""
        head = ds.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, layer in enumerate(self.tail):
            at = self.shortlist_size + i
            parts.append(ds.log_softmax(layer(input), 1) + head[:, at : at + 1])
        return ds.cat(parts, 1)

    def predict(self, input: Any) -> Tensor:
        """The likeliest class of each [batch]."""
        return self.log_prob(input).argmax(1)
