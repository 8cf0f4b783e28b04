"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from engine.backend import namespace
from engine.bus import bus
from engine.grad_mode import enable_grad, no_grad, state
from engine.iteration import iteration
from engine.located import located
from engine.node import OPTIMIZER
from engine.optim.optimizer import Optimizer, at_least_zero, update_op
from engine.optim.wolfe import Point, strong_wolfe

LBFGS_OP = update_op(
    "lbfgs",
    "p = p + t d,  d = -H g with H from the last differences of parameters and gradients",
    "Nocedal and Wright 2006, Numerical optimization, algorithms 7.4 and 7.5",
)


class LBFGS(Optimizer):
    """A quasi-Newton method on all parameters at once; options and defaults are PyTorch's.

    `step(closure)` runs up to `max_iter` iterations; the closure clears the gradients, computes the loss, calls
    backward and returns the loss. There is one parameter group. Raises `ValueError` for more, or without a closure.
    """

    op = LBFGS_OP
    by_element = False

    def __init__(
        self, params: Iterable[Any], lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        at_least_zero(lr=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise located(
                ValueError(f"line_search_fn has to be None or 'strong_wolfe', got {line_search_fn!r}")
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise located(ValueError(f"LBFGS takes one group of parameters, got {len(self.param_groups)}"))
        self._moves: dict[int, Any] = {}  # for each parameter's array, what the step under way adds to it

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Add this parameter's part of the step."""
        parameter += self._moves[id(parameter)]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterate until the gradient or the change is small. Returns the loss before the first iteration."""
        if closure is None:
            raise located(ValueError("LBFGS.step needs a closure: it computes the loss several times a step"))
        with no_grad(), np.errstate(all="ignore"):
            loss = self._iterate(closure)
        iteration.step()
        return loss

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        kept = self.state[group["params"][0]]
        kept.setdefault("func_evals", 0)
        kept.setdefault("n_iter", 0)
        first = self._loss(closure)
        if bus.step:
            bus.emit("step", self)
        loss = _number(first)
        kept["func_evals"] += 1
        tried = 1
        gradient = self._gradient()
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        rounds = 0
        while rounds < group["max_iter"]:
            rounds += 1
            kept["n_iter"] += 1
            direction = self._direction(gradient, kept, group["history_size"])
            kept["prev_flat_grad"], kept["prev_loss"] = gradient.copy(), loss
            t = group["lr"]
            if kept["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(abs(gradient).sum()))
            slope = float(gradient @ direction)
            if slope > -group["tolerance_change"]:
                break
            evaluations = 0
            if group["line_search_fn"] is not None:
                loss, gradient, t, evaluations = self._search(
                    closure, direction, Point(0.0, loss, gradient, slope), t, group["tolerance_change"]
                )
            else:
                self._move(direction * t)
                if rounds != group["max_iter"]:
                    loss = _number(self._loss(closure))
                    gradient = self._gradient()
                    evaluations = 1
            kept["d"], kept["t"] = direction, t
            tried += evaluations
            kept["func_evals"] += evaluations
            if (
                tried >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction * t) <= group["tolerance_change"]
                or abs(loss - kept["prev_loss"]) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, gradient: Any, kept: dict[str, Any], size: int) -> Any:
        """Minus the inverse Hessian, as the history knows it, times the gradient: the two loops of algorithm 7.4."""
        if kept["n_iter"] == 1:
            kept.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        changed = gradient - kept["prev_flat_grad"]
        moved = kept["d"] * kept["t"]
        curved = float(changed @ moved)
        dirs, steps, ro = kept["old_dirs"], kept["old_stps"], kept["ro"]
        if curved > 1e-10:
            if len(dirs) == size:
                for history in (dirs, steps, ro):
                    del history[0]
            dirs.append(changed)
            steps.append(moved)
            ro.append(1.0 / curved)
            kept["H_diag"] = curved / float(changed @ changed)
        q = -gradient
        weights = [0.0] * len(dirs)
        for i in reversed(range(len(dirs))):
            weights[i] = float(steps[i] @ q) * ro[i]
            q = q - dirs[i] * weights[i]
        r = q * kept["H_diag"]
        for i, weight in enumerate(weights):
            r = r + steps[i] * (weight - float(dirs[i] @ r) * ro[i])
        return r.astype(gradient.dtype, copy=False)

    def _search(
        self, closure: Callable[[], Any], direction: Any, start: Point, t: float, smallest: float
    ) -> tuple[float, Any, float, int]:
        at = 0.0
        origin = [p.array.copy() for p in self.param_groups[0]["params"]]

        def go(to: float) -> None:
            # From the start each time: what was added and taken away again would leave its rounding.
            nonlocal at
            for p, array in zip(self.param_groups[0]["params"], origin, strict=True):
                p.array[...] = array
            self._move(direction * to)
            at = to

        def evaluate(to: float) -> Point:
            go(to)
            loss = _number(self._loss(closure))
            gradient = self._gradient()
            return Point(to, loss, gradient, float(gradient @ direction))

        found, tried = strong_wolfe(evaluate, start, t, smallest)
        if at != found.t:
            go(found.t)
        return found.value, found.gradient, found.t, tried

    def _loss(self, closure: Callable[[], Any]) -> Any:
        with enable_grad():
            return closure()

    def _gradient(self) -> Any:
        """All gradients as one vector; zeros where a parameter has none."""
        params = self.param_groups[0]["params"]
        xp = namespace(params[0].array)
        return xp.concatenate(
            [
                xp.zeros(p.array.size, p.array.dtype) if p.grad is None else p.grad.array.reshape(-1)
                for p in params
            ]
        )

    def _move(self, change: Any) -> None:
        """Add `change`, one vector, to the parameters: a node each."""
        phase = state.phase
        state.phase = OPTIMIZER
        at = 0
        try:
            for p in self.param_groups[0]["params"]:
                part = change[at : at + p.array.size].reshape(p.array.shape)
                at += p.array.size
                if p.grad is None:
                    continue
                self._moves = {id(p.array): part}
                self._one(p, p.grad, self.param_groups[0])
        finally:
            state.phase = phase
            self._moves = {}


def _largest(array: Any) -> float:
    """The largest magnitude; 0 where there is nothing."""
    return float(abs(array).max()) if array.size else 0.0


def _number(loss: Any) -> float:
    """The loss as a number. Raises `TypeError` for a closure that returns none."""
    if loss is None:
        raise located(TypeError("the closure given to LBFGS.step has to return the loss, got None"))
    return float(loss.item() if hasattr(loss, "item") else loss)
