"""Schedules over single steps that go up and down again, with the momentum going the other way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from engine.located import located
from engine.optim.optimizer import Optimizer
from engine.optim.schedule import LRScheduler, for_each


class _Cycle(LRScheduler):
    """What cycles share: a momentum, or Adam's first beta, that moves against the rate."""

    use_beta1 = False

    def _take_momentum(self, optimizer: Optimizer) -> None:
        """Note which option is the momentum. Raises `ValueError` for an optimizer without any."""
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise located(
                ValueError(
                    f"cycle_momentum is True, but {type(optimizer).__name__} has neither momentum nor betas: pass "
                    "cycle_momentum=False"
                )
            )
        self.use_beta1 = "betas" in optimizer.defaults

    def _set_momentum(self, values: Sequence[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            if self.use_beta1:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value


class OneCycleLR(_Cycle):
    """Up to `max_lr` and down to nearly nothing in `total_steps` steps (Smith and Topin 2018).

    Momentum goes down and up at the same time, between `max_momentum` and `base_momentum`. With `three_phase` the
    way down is first to the first rate and then to the last. Raises `ValueError` for a step too many.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise located(ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch"))
        if anneal_strategy not in ("cos", "linear"):
            raise located(ValueError(f'anneal_strategy is "cos" or "linear", got {anneal_strategy!r}'))
        if not 0 <= pct_start <= 1:
            raise located(ValueError(f"pct_start has to be from 0 to 1, got {pct_start}"))
        self.total_steps = total_steps or (epochs or 0) * (steps_per_epoch or 0)
        if self.total_steps < 1:
            raise located(ValueError(f"total_steps has to be at least 1, got {self.total_steps}"))
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        top = float(pct_start * self.total_steps) - 1
        # Each phase: its last step, and between which of a group's rates and momenta it goes.
        self._phases = [(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            self._phases += [(2 * top, "max_lr", "initial_lr", "base_momentum", "max_momentum")]
            self._phases += [(self.total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
        else:
            self._phases += [(self.total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        tops = for_each("max_lr", max_lr, optimizer)
        if cycle_momentum:
            self._take_momentum(optimizer)
        if last_epoch == -1:
            high = for_each("max_momentum", max_momentum, optimizer)
            low = for_each("base_momentum", base_momentum, optimizer)
            for i, group in enumerate(optimizer.param_groups):
                group["initial_lr"] = tops[i] / div_factor
                group["max_lr"] = tops[i]
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["max_momentum"], group["base_momentum"] = high[i], low[i]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Between the first, the highest and the last rate; the momentum is set as well."""
        if self.last_epoch > self.total_steps:
            raise located(
                ValueError(
                    f"step {self.last_epoch} of a schedule of {self.total_steps} steps: make total_steps larger"
                )
            )
        last = len(self._phases) - 1
        at = next((i for i, phase in enumerate(self._phases) if self.last_epoch <= phase[0]), last)
        start = self._phases[at - 1][0] if at else 0.0
        end, rate0, rate1, momentum0, momentum1 = self._phases[at]
        gone = (self.last_epoch - start) / (end - start) if end != start else 1.0
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            self._set_momentum([self._between(g[momentum0], g[momentum1], gone) for g in groups])
        return [self._between(g[rate0], g[rate1], gone) for g in groups]

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)


class CyclicLR(_Cycle):
    """Up from `base_lr` to `max_lr` in `step_size_up` steps and down in `step_size_down`, again and again (Smith 2017).

    `mode` is "triangular", "triangular2" (each cycle half as high) or "exp_range" (times `gamma` each step); a
    `scale_fn` of the cycle or of the step (`scale_mode` "cycle" or "iterations") takes their place.
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | Sequence[float], max_lr: float | Sequence[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8, max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise located(
                ValueError(
                    f'mode is "triangular", "triangular2" or "exp_range", or give scale_fn; got {mode!r}'
                )
            )
        rates = for_each("base_lr", base_lr, optimizer)
        self.max_lrs: list[float] = for_each("max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = group["initial_lr"] = rate
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self._scale_fn, self.scale_mode = scale_fn, scale_mode
        if scale_fn is None and mode == "exp_range":
            self.scale_mode = "iterations"
        if cycle_momentum:
            self._take_momentum(optimizer)
            self.base_momentums: list[float] = for_each("base_momentum", base_momentum, optimizer)
            self.max_momentums: list[float] = for_each("max_momentum", max_momentum, optimizer)
        super().__init__(optimizer, last_epoch)

    def _scale(self, x: float) -> float:
        if self._scale_fn is not None:
            return self._scale_fn(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else float(self.gamma**x)

    def get_lr(self) -> list[float]:
        """Where the triangle is; the momentum is set as well."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            self._set_momentum([high - (high - low) * height * scale for low, high in pairs])
        return [
            base + (top - base) * height * scale
            for base, top in zip(self.base_lrs, self.max_lrs, strict=True)
        ]
