"""Learning rates that change from epoch to epoch: call `step()` after the optimizer's."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from engine.located import located
from engine.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: subclasses say by which factor of its first value the rate of a group is at an epoch.

    `last_epoch` counts the calls of `step`. The rates a schedule starts from are those of the optimizer when
    the schedule is made.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set()

    def rate(self, base: float, group: int) -> float:
        """The rate of a group that started at `base`, at `last_epoch`."""
        raise located(NotImplementedError(f"{type(self).__name__} has no rate"))

    def _set(self) -> None:
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            group["lr"] = self.rate(base, i)

    def step(self) -> None:
        """Go to the next epoch."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is; functions are not part of it."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer" and not callable(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.__dict__.update(state_dict)
        self._set()


class LambdaLR(LRScheduler):
    """The first rate times `lr_lambda(epoch)`, one function or one for each group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        count = len(optimizer.param_groups)
        given = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(given) != count:
            raise located(ValueError(f"lr_lambda has {len(given)} functions for {count} groups"))
        self._lambdas = tuple(given)
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The first rate times the function of the epoch."""
        return base * self._lambdas[group](self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is, without the functions."""
        return {k: v for k, v in super().state_dict().items() if k != "_lambdas"}


class StepLR(LRScheduler):
    """Times `gamma` every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise located(ValueError(f"step_size has to be at least 1, got {step_size}"))
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The first rate times `gamma` for each step so far."""
        return float(base * self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """Times `gamma` at each of `milestones`."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The first rate times `gamma` for each milestone passed."""
        return float(base * self.gamma ** bisect_right(self.milestones, self.last_epoch))


class ExponentialLR(LRScheduler):
    """Times `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The first rate times `gamma` for each epoch."""
        return float(base * self.gamma**self.last_epoch)


class CosineAnnealingLR(LRScheduler):
    """Down to `eta_min` along half a cosine in `T_max` epochs, and up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise located(ValueError(f"T_max has to be at least 1, got {T_max}"))
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """Between the first rate and `eta_min`."""
        return (
            self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        )


class LinearLR(LRScheduler):
    """From `start_factor` to `end_factor` of the first rate in `total_iters` epochs: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise located(ValueError(f"start_factor has to be above 0 and at most 1, got {start_factor}"))
        if not 0 <= end_factor <= 1:
            raise located(ValueError(f"end_factor has to be from 0 to 1, got {end_factor}"))
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The part of the way that has been gone."""
        gone = min(self.last_epoch, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return base * (self.start_factor + (self.end_factor - self.start_factor) * gone)


class ReduceLROnPlateau:
    """Times `factor` when a measure has not become better for more than `patience` epochs.

    `mode` is "min" or "max": which way is better. `threshold` is how much better counts, as a part of the best
    ("rel") or as a difference ("abs"). After a reduction `cooldown` epochs do not count.
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if mode not in ("min", "max"):
            raise located(ValueError(f'mode is "min" or "max", got {mode!r}'))
        if threshold_mode not in ("rel", "abs"):
            raise located(ValueError(f'threshold_mode is "rel" or "abs", got {threshold_mode!r}'))
        if factor >= 1:
            raise located(ValueError(f"factor has to be below 1, got {factor}"))
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.threshold = mode, factor, patience, threshold
        self.threshold_mode, self.cooldown, self.min_lr, self.eps = threshold_mode, cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: Any) -> None:
        """Look at this epoch's measure, a number or a tensor of one element."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * value < sign * self.best - self.threshold
        return sign * value < sign * self.best * (1 - sign * self.threshold)

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.__dict__.update(state_dict)


from engine.optim.schedules import (  # noqa: E402, F401 - made of the base class above, under PyTorch's name
    ConstantLR,
    CosineAnnealingWarmRestarts,
    MultiplicativeLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
)
