"""Schedules that lower the rate, or raise it, by a rule of the epoch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence

from engine.located import located
from engine.optim.optimizer import Optimizer
from engine.optim.schedule import Factored, LRScheduler, for_each


class _ByFunctions(LRScheduler):
    """What the schedules of a person's functions share: one for all groups, or one for each."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = for_each("lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)


class LambdaLR(_ByFunctions):
    """The first rate times `lr_lambda(epoch)`, one function or one for each group."""

    def get_lr(self) -> list[float]:
        """The first rates times the functions of the epoch."""
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_ByFunctions):
    """Times `lr_lambda(epoch)` at each epoch, on top of what it is."""

    def get_lr(self) -> list[float]:
        """The rates as they are, times the functions of the epoch."""
        if self._is_initial:
            return self._rates()
        return [rate * f(self.last_epoch) for rate, f in zip(self._rates(), self.lr_lambdas, strict=True)]


class StepLR(Factored):
    """Times `gamma` every `step_size` epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise located(ValueError(f"step_size has to be at least 1, got {step_size}"))
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """`gamma` where a step is, else 1."""
        return 1 if self._is_initial or self.last_epoch % self.step_size else self.gamma

    def part(self) -> float:
        """`gamma` for each step so far."""
        return float(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(Factored):
    """Times `gamma` at each of `milestones`."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """`gamma` where a milestone is, as often as it is named."""
        count = 0 if self._is_initial else self.milestones[self.last_epoch]
        return float(self.gamma**count) if count else 1

    def part(self) -> float:
        """`gamma` for each milestone passed."""
        return float(self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch))


class ExponentialLR(Factored):
    """Times `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """`gamma`, but at the start."""
        return 1 if self._is_initial else self.gamma

    def part(self) -> float:
        """`gamma` for each epoch."""
        return float(self.gamma**self.last_epoch)


class ConstantLR(Factored):
    """Times `factor` for the first `total_iters` epochs."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise located(ValueError(f"factor has to be from 0 to 1, got {factor}"))
        self.constant, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """The constant at the start, and what takes it back at the end."""
        if self._is_initial:
            return self.constant
        return 1 / self.constant if self.last_epoch == self.total_iters else 1

    def part(self) -> float:
        """The constant until the end, then 1."""
        return self.constant if self.last_epoch < self.total_iters else 1


class LinearLR(Factored):
    """From `start_factor` to `end_factor` of the first rate in `total_iters` epochs: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1:
            raise located(ValueError(f"start_factor has to be above 0 and at most 1, got {start_factor}"))
        if not 0 <= end_factor <= 1:
            raise located(ValueError(f"end_factor has to be from 0 to 1, got {end_factor}"))
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """This epoch's part over the last one's."""
        if self._is_initial:
            return self.start_factor
        if self.last_epoch > self.total_iters:
            return 1
        way = self.end_factor - self.start_factor
        return 1 + way / (self.total_iters * self.start_factor + (self.last_epoch - 1) * way)

    def part(self) -> float:
        """The part of the way that has been gone."""
        gone = min(self.last_epoch, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return self.start_factor + (self.end_factor - self.start_factor) * gone


class PolynomialLR(Factored):
    """Down to 0 in `total_iters` epochs along a power of what is left."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """This epoch's part over the last one's."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        left = 1 - self.last_epoch / self.total_iters
        return float((left / (1 - (self.last_epoch - 1) / self.total_iters)) ** self.power)

    def part(self) -> float:
        """The power of what is left."""
        left = 1 - min(self.last_epoch, self.total_iters) / self.total_iters
        return float(left**self.power)


class CosineAnnealingLR(LRScheduler):
    """Down to `eta_min` along half a cosine in `T_max` epochs, and up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise located(ValueError(f"T_max has to be at least 1, got {T_max}"))
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The distance from `eta_min` times this epoch's cosine over the last one's."""
        if self._is_initial:
            return self._rates()
        if self._step_count == 1 and self.last_epoch > 0:
            return self.closed()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the lowest point: 0 over 0
            up = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                rate + (base - self.eta_min) * up
                for rate, base in zip(self._rates(), self.base_lrs, strict=True)
            ]
        here = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        return [here / before * (rate - self.eta_min) + self.eta_min for rate in self._rates()]

    def closed(self) -> list[float]:
        """Between the first rates and `eta_min`."""
        part = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min` in `T_0` epochs, again from the top, each time `T_mult` times as long
    (Loshchilov and Hutter 2017). `step(epoch)` takes parts of an epoch."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise located(ValueError(f"T_0 and T_mult have to be at least 1, got {T_0} and {T_mult}"))
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Between the first rates and `eta_min`."""
        length, at = self.T_0, self.last_epoch
        while at >= length:
            at -= length
            length *= self.T_mult
        part = (1 + math.cos(math.pi * at / length)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]
