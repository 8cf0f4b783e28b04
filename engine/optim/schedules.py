"""Schedules of learning rates in several parts, with restarts, and over single steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from engine.located import located
from engine.optim.lr_scheduler import LRScheduler
from engine.optim.optimizer import Optimizer


class ConstantLR(LRScheduler):
    """Times `factor` for the first `total_iters` epochs."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        if not 0 <= factor <= 1:
            raise located(ValueError(f"factor has to be from 0 to 1, got {factor}"))
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The first rate, or its part."""
        return base * self.factor if self.last_epoch < self.total_iters else base


class PolynomialLR(LRScheduler):
    """Down to 0 in `total_iters` epochs along a power of what is left."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The first rate times the power."""
        left = 1 - min(self.last_epoch, self.total_iters) / self.total_iters
        return float(base * left**self.power)


class MultiplicativeLR(LRScheduler):
    """Times `lr_lambda(epoch)` at each epoch, on top of what it is."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self._lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """The product of all factors so far."""
        for epoch in range(1, self.last_epoch + 1):
            base *= self._lambda(epoch)
        return base

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is, without the function."""
        return {k: v for k, v in super().state_dict().items() if k != "_lambda"}


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min` in `T_0` epochs, again from the top, each time `T_mult` times as long
    (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> None:
        if T_0 < 1 or T_mult < 1:
            raise located(ValueError(f"T_0 and T_mult have to be at least 1, got {T_0} and {T_mult}"))
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """Between the first rate and `eta_min`."""
        length, at = self.T_0, self.last_epoch
        while at >= length:
            at -= length
            length *= self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * at / length)) / 2


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down to nearly nothing in `total_steps` steps (Smith and Topin 2018); momentum stays."""

    def __init__(
        self, optimizer: Optimizer, max_lr: float, total_steps: int | None = None, epochs: int | None = None,
        steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos",
        div_factor: float = 25.0, final_div_factor: float = 1e4,
    ) -> None:  # fmt: skip
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise located(ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch"))
        if anneal_strategy not in ("cos", "linear"):
            raise located(ValueError(f'anneal_strategy is "cos" or "linear", got {anneal_strategy!r}'))
        self.total_steps = total_steps or (epochs or 0) * (steps_per_epoch or 0)
        self.max_lr, self.pct_start, self.anneal_strategy = max_lr, pct_start, anneal_strategy
        self.initial, self.final = max_lr / div_factor, max_lr / div_factor / final_div_factor
        super().__init__(optimizer)

    def rate(self, base: float, group: int) -> float:
        """Between the first, the highest and the last rate."""
        top = self.pct_start * self.total_steps - 1
        end = self.total_steps - 1
        if self.last_epoch <= top:
            return self._between(self.initial, self.max_lr, self.last_epoch / top)
        return self._between(self.max_lr, self.final, (min(self.last_epoch, end) - top) / (end - top))

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * part
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


class SequentialLR:
    """One schedule after another: number i begins at `milestones[i - 1]`."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise located(
                ValueError(
                    f"{len(schedulers)} schedules need {len(schedulers) - 1} milestones, got {len(milestones)}"
                )
            )
        self.optimizer, self.schedulers, self.milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = 0
        # Each schedule was made of rates that the ones before had changed already.
        for schedule in self.schedulers:
            schedule.base_lrs = list(self.schedulers[0].base_lrs)
        self.schedulers[0]._set()

    def step(self) -> None:
        """Go to the next epoch."""
        self.last_epoch += 1
        at = bisect_right(self.milestones, self.last_epoch)
        schedule = self.schedulers[at]
        if at and self.milestones[at - 1] == self.last_epoch:
            schedule.last_epoch = 0
            schedule._set()
        else:
            schedule.step()

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedules are."""
        return {"last_epoch": self.last_epoch, "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.last_epoch = state_dict["last_epoch"]
        for schedule, kept in zip(self.schedulers, state_dict["schedulers"], strict=True):
            schedule.__dict__.update(kept)
        self.schedulers[bisect_right(self.milestones, self.last_epoch)]._set()
