"""From constraints to the transforms that lead into them: `transform_to(constraints.positive)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.distributions import constraints as at
from engine.distributions import transforms as maps
from engine.located import located

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]

Factory = Callable[[Any], maps.Transform]


class ConstraintRegistry:
    """Finds the transform from real numbers into a constraint; `register` adds one for a constraint or a class of them.

    >>> import engine as ds
    >>> D = ds.distributions
    >>> D.transform_to(D.constraints.positive)
    ExpTransform()
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rules: dict[Any, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Keep `factory(constraint)` for a constraint or its class; without it, a decorator."""
        if factory is None:
            return lambda given: self.register(constraint, given)
        self._rules[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> maps.Transform:
        """The transform. Raises `NotImplementedError` where there is none."""
        for known in (constraint, type(constraint)):
            if known in self._rules:
                return self._rules[known](constraint)
        if isinstance(constraint, at.independent):
            inner = self(constraint.base_constraint)
            return maps.IndependentTransform(inner, constraint.reinterpreted_batch_ndims)
        if isinstance(constraint, at._Range) and not constraint.is_discrete:
            return _into(constraint.lower_bound, constraint.upper_bound)
        raise located(
            NotImplementedError(f"{self._name}: there is no transform to {constraint!r}; register adds one")
        )


def _into(low: Any, high: Any) -> maps.Transform:
    if low is not None and high is not None:
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
            return maps.SigmoidTransform()
        return maps.ComposeTransform([maps.SigmoidTransform(), maps.AffineTransform(low, high - low)])
    if low is not None:
        if isinstance(low, (int, float)) and low == 0:
            return maps.ExpTransform()
        return maps.ComposeTransform([maps.ExpTransform(), maps.AffineTransform(low, 1)])
    return maps.ComposeTransform([maps.ExpTransform(), maps.AffineTransform(high, -1)])


biject_to = ConstraintRegistry("biject_to")
transform_to = ConstraintRegistry("transform_to")
for _registry in (biject_to, transform_to):
    _registry.register(type(at.real), lambda constraint: maps.identity_transform)
    _registry.register(type(at.lower_cholesky), lambda constraint: maps.LowerCholeskyTransform())
    _registry.register(type(at.positive_definite), lambda constraint: maps.PositiveDefiniteTransform())
biject_to.register(type(at.simplex), lambda constraint: maps.StickBreakingTransform())
transform_to.register(type(at.simplex), lambda constraint: maps.SoftmaxTransform())
