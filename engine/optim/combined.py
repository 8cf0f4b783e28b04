"""Several schedules as one: after each other, or all at each step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from engine.located import located
from engine.optim.optimizer import Optimizer
from engine.optim.plateau import ReduceLROnPlateau
from engine.optim.schedule import LRScheduler


def _checked(name: str, schedulers: Sequence[Any], optimizer: Optimizer | None) -> list[Any]:
    if not schedulers:
        raise located(ValueError(f"{name} needs at least one schedule, got none"))
    for i, schedule in enumerate(schedulers):
        if isinstance(schedule, ReduceLROnPlateau) or not isinstance(schedule, LRScheduler):
            raise located(
                TypeError(
                    f"schedulers[{i}] has to be a schedule that steps by itself, got {type(schedule).__name__}"
                )
            )
        if schedule.optimizer is not (optimizer or schedulers[0].optimizer):
            raise located(ValueError(f"schedulers[{i}] belongs to another optimizer"))
    return list(schedulers)


class SequentialLR(LRScheduler):
    """One schedule after another: number i begins at `milestones[i - 1]`."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._schedulers = _checked("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise located(
                ValueError(
                    f"{len(schedulers)} schedules need {len(schedulers) - 1} milestones, got {len(milestones)}"
                )
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each schedule took its first step when it was made; only the first one's counts.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _undo(self) -> None:
        for schedule in self._schedulers:
            if isinstance(schedule, (SequentialLR, ChainedScheduler)):
                schedule._undo()
            else:
                schedule.last_epoch -= 1

    def _begin(self) -> None:
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _advance(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        at = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[at]
        begins = epoch is not None or (at and self._milestones[at - 1] == self.last_epoch)
        schedule._advance(self.last_epoch - (self._milestones[at - 1] if at else 0) if begins else None)
        self._last_lr = schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedules are."""
        own = {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "_schedulers")}
        return {**own, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for schedule, kept in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            schedule.load_state_dict(kept)


class ChainedScheduler(LRScheduler):
    """All `schedulers` at each step: their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._schedulers = _checked("ChainedScheduler", schedulers, optimizer)
        self.optimizer = optimizer or schedulers[0].optimizer
        self._last_lr = self._rates()

    def _undo(self) -> None:
        for schedule in self._schedulers:
            schedule.last_epoch -= 1

    def _begin(self) -> None:
        for schedule in self._schedulers:
            schedule._begin()
        self._last_lr = self._rates()

    def _advance(self, epoch: int | None = None) -> None:
        for schedule in self._schedulers:
            schedule._advance(epoch)
        self._last_lr = self._rates()

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch with each."""
        for schedule in self._schedulers:
            schedule.step(epoch)
        self._last_lr = self._rates()

    state_dict = SequentialLR.state_dict
    load_state_dict = SequentialLR.load_state_dict
