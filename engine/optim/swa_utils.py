"""Averages of a network's weights over its training: stochastic weight averaging (Izmailov et al. 2018), or a moving one."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.creation import zeros
from engine.grad_mode import no_grad
from engine.located import located
from engine.module import Module
from engine.optim.optimizer import Optimizer
from engine.optim.schedule import LRScheduler, for_each
from engine.tensor import Tensor

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Any, Any, Any], Any]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_swa_avg_fn() -> Average:
    """The mean of all so far: `average + (new - average) / (count + 1)`."""

    def average(averaged: Any, new: Any, count: Any) -> Any:
        return averaged + (new - averaged) / (count + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The moving mean: `decay · average + (1 - decay) · new`. Raises `ValueError` unless `decay` is from 0 to 1."""
    if not 0 <= decay <= 1:
        raise located(ValueError(f"decay has to be from 0 to 1, got {decay}"))

    def average(averaged: Any, new: Any, count: Any) -> Any:
        return averaged * decay + new * (1 - decay)

    return average


def _on_lists(average: Average) -> Averages:
    def averages(averaged: Sequence[Tensor], new: Sequence[Tensor], count: Any) -> None:
        for mine, other in zip(averaged, new, strict=True):
            mine.copy_(average(mine, other, count).to(mine.dtype))

    return averages


def get_swa_multi_avg_fn() -> Averages:
    """As `get_swa_avg_fn`, for lists, in place."""
    return _on_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """As `get_ema_avg_fn`, for lists, in place."""
    return _on_lists(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of `model` that holds the average of its parameters; call `update_parameters(model)` now and then.

    `avg_fn(average, new, count)` gives the new average of a parameter, `multi_avg_fn` changes lists of them in place;
    without either it is the plain mean. With `use_buffers` buffers are averaged too, else they are copied.

    >>> import engine as ds
    >>> net = ds.nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(net)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = net.weight.data.fill_(value)
    ...     average.update_parameters(net)
    >>> average.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None, use_buffers: bool = False,
    ) -> None:  # fmt: skip
        if avg_fn is not None and multi_avg_fn is not None:
            raise located(ValueError("give avg_fn or multi_avg_fn, not both"))
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", zeros((), dtype="int64", device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged network does."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model` into the average; the first time they are copied."""
        count = int(self.n_averaged.item())
        mine, other = self._all(self.module), self._all(model)
        with no_grad():
            if count == 0:
                for average, new in zip(mine, other, strict=True):
                    average.copy_(new)
            elif self.avg_fn is not None:
                for average, new in zip(mine, other, strict=True):
                    average.copy_(self.avg_fn(average, new, self.n_averaged))
            else:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(mine, other, self.n_averaged)
            if not self.use_buffers:
                for average, new in zip(self.module.buffers(), model.buffers(), strict=True):
                    average.detach().copy_(new.detach())
        self.n_averaged.array[...] += 1

    def _all(self, model: Module) -> list[Tensor]:
        parts: Iterable[Tensor] = model.parameters()
        if self.use_buffers:
            parts = itertools.chain(parts, model.buffers())
        return [p.detach() for p in parts]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of `model`'s batch normalisations anew, by one pass over `loader`.

    Of a batch that is a tuple or list, the first is the input.
    """
    from engine.nn.norm import _BatchNorm

    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    for m in norms:
        if m.running_mean is not None and m.running_var is not None and m.num_batches_tracked is not None:
            m.running_mean.zero_()
            m.running_var.fill_(1)
            m.num_batches_tracked.zero_()
        m.momentum = None  # the plain mean of all batches
    training = model.training
    model.train()
    with no_grad():
        for batch in loader:
            given = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(given if device is None else given.to(device))
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the rate as it is to `swa_lr` in `anneal_epochs` epochs, and constant from there."""

    def __init__(
        self, optimizer: Optimizer, swa_lr: float | Sequence[float], anneal_epochs: int = 10,
        anneal_strategy: str = "cos", last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if anneal_strategy not in ("cos", "linear"):
            raise located(ValueError(f'anneal_strategy is "cos" or "linear", got {anneal_strategy!r}'))
        if anneal_epochs < 0:
            raise located(ValueError(f"anneal_epochs has to be 0 or more, got {anneal_epochs}"))
        for rate, group in zip(for_each("swa_lr", swa_lr, optimizer), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _gone(self, step: int) -> float:
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2

    def get_lr(self) -> list[float]:
        """Between the rate the way began at, which follows from the rate as it is, and `swa_lr`."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._gone(step - 1), self._gone(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
