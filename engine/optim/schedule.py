"""What all schedules of learning rates share, under PyTorch's names and with its order of steps.

A schedule changes the rate *as it finds it* where its rule allows (times a factor), so that several schedules on one
optimizer multiply; `initial_lr` of a group is what a rule that needs the first rate starts from.
"""

from __future__ import annotations

from typing import Any

from engine.located import located
from engine.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: subclasses give `get_lr()`, the rate of each group at `self.last_epoch`.

    `last_epoch` is the last epoch that was done, -1 for a new start; to continue a training, the groups have to have
    their `initial_lr`, as they do after `optimizer.load_state_dict`. Raises `KeyError` where they do not.

    >>> import engine as ds
    >>> class Halved(LRScheduler):
    ...     def get_lr(self):
    ...         return [rate / (1 + self.last_epoch) for rate in self.base_lrs]
    >>> schedule = Halved(ds.optim.SGD([ds.zeros(2, requires_grad=True)], lr=0.5))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise located(TypeError(f"optimizer has to be an Optimizer, got {type(optimizer).__name__}"))
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise located(
                    KeyError(
                        f"last_epoch is {last_epoch}, but param_groups[{i}] has no initial_lr to continue from: load the "
                        "optimizer's state first, or leave last_epoch at -1"
                    )
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def _begin(self) -> None:
        """The first rates, of epoch 0 or the one after `last_epoch`."""
        self._step_count = 0
        self._is_initial = True
        try:
            self._advance()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group at `last_epoch`."""
        raise located(NotImplementedError(f"{type(self).__name__} has no get_lr"))

    def closed(self) -> list[float]:
        """The same made of `base_lrs` alone, for a jump to an epoch."""
        return self.get_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to `epoch`. Call it after the optimizer's step."""
        self._advance(epoch)

    def _advance(self, epoch: int | None = None) -> None:
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            rates = self.closed()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rate of each group as this schedule set it last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is; functions are not part of it."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer" and not _calls(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; the rates themselves come with the optimizer's state."""
        self.__dict__.update(state_dict)

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]


def _calls(value: Any) -> bool:
    return callable(value) or (isinstance(value, (list, tuple)) and any(callable(v) for v in value))


class Factored(LRScheduler):
    """A schedule that multiplies: subclasses give `factor()` for the step to `last_epoch`, and `part()` from the start."""

    def factor(self) -> float:
        """What the rate is multiplied by at `last_epoch`."""
        raise located(NotImplementedError(f"{type(self).__name__} has no factor"))

    def part(self) -> float:
        """The part of the first rate at `last_epoch`."""
        raise located(NotImplementedError(f"{type(self).__name__} has no part"))

    def get_lr(self) -> list[float]:
        """The rates as they are, times the factor of this epoch."""
        factor = self.factor()
        return [rate * factor for rate in self._rates()]

    def closed(self) -> list[float]:
        """The first rates times the part of this epoch."""
        part = self.part()
        return [base * part for base in self.base_lrs]


def for_each(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value a group: `value` for all, or a list as long as the groups. Raises `ValueError` for another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise located(ValueError(f"{name} has {len(value)} values for {count} groups"))
    return list(value)
