"""PyTorch's `GradScaler`: a loss scaled up so that small float16 gradients do not vanish, and steps skipped on overflow.

Micikevicius et al. 2018, "Mixed precision training". `ds.graph_config(amp=True)` does the same by itself; this is
for training loops that bring their scaler along.
"""

from __future__ import annotations

from typing import Any

from engine.backend import namespace
from engine.located import located

__all__ = ["GradScaler"]


class GradScaler:
    """Scale the loss, unscale the gradients, step where all are finite, and adapt the scale; options are PyTorch's.

    >>> import engine as ds
    >>> p = ds.nn.Parameter(ds.ones(1))
    >>> sgd, scaler = ds.optim.SGD([p], lr=0.5), ds.amp.GradScaler(init_scale=8.0)
    >>> scaler.scale((p * 1.0).sum()).backward()
    >>> p.grad.item()
    8.0
    >>> scaler.step(sgd)
    >>> scaler.update()
    >>> p.item()
    0.5
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not growth_factor > 1:
            raise located(ValueError(f"growth_factor has to be above 1, got {growth_factor}"))
        if not 0 < backoff_factor < 1:
            raise located(ValueError(f"backoff_factor has to be between 0 and 1, got {backoff_factor}"))
        if not init_scale > 0:
            raise located(ValueError(f"init_scale has to be above 0, got {init_scale}"))
        self._scale, self._growth, self._backoff = float(init_scale), growth_factor, backoff_factor
        self._interval, self._enabled = growth_interval, enabled
        self._good = 0
        self._found: dict[
            int, bool
        ] = {}  # for each optimizer unscaled since the last update: was there an overflow
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """`outputs`, a tensor or a list of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, (tuple, list)):
            return type(outputs)(self.scale(o) for o in outputs)
        return outputs * self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of this optimizer's parameters by the scale, to clip them before `step`.

        Raises `RuntimeError` when that was done already since the last update.
        """
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise located(
                RuntimeError("unscale_() was called for this optimizer already since the last update()")
            )
        overflow = False
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    array = parameter.grad.array
                    array /= self._scale
                    overflow = overflow or not bool(namespace(array).isfinite(array).all())
        self._found[id(optimizer)] = overflow

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step()`, unless a gradient overflowed: then None, and the parameters stay as they are."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise located(
                RuntimeError("step() was called for this optimizer already since the last update()")
            )
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Halve the scale after an overflow, double it after `growth_interval` good steps, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(getattr(new_scale, "item", lambda: new_scale)())
        elif not self._found:
            raise located(RuntimeError("update() needs a step(optimizer) since the last update()"))
        elif any(self._found.values()):
            self._scale *= self._backoff
            self._good = 0
        else:
            self._good += 1
            if self._good >= self._interval:
                self._scale *= self._growth
                self._good = 0
        self._found.clear()
        self._stepped.clear()

    def get_scale(self) -> float:
        """The scale; 1.0 when not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale and counters, for `load_state_dict`."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises `ValueError` for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            raise located(
                ValueError("the state is empty: it was taken from a GradScaler that was not enabled")
            )
        self._scale, self._growth = state_dict["scale"], state_dict["growth_factor"]
        self._backoff, self._interval = state_dict["backoff_factor"], state_dict["growth_interval"]
        self._good = state_dict["_growth_tracker"]
