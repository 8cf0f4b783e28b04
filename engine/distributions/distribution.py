"""What all distributions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import engine as ds
from engine import random
from engine.errors import shape_text
from engine.grad_mode import no_grad
from engine.located import located
from engine.tensor import Tensor


def together(*values: Any) -> tuple[Tensor, ...]:
    """The parameters of a distribution as tensors of one shape; plain numbers take the dtype of the tensors."""
    kinds = [v.dtype for v in values if isinstance(v, Tensor) and ds.is_floating_point(v)]
    kind = kinds[0] if kinds else ds.get_default_dtype()
    tensors = [v if isinstance(v, Tensor) else ds.tensor(v, dtype=kind) for v in values]
    tensors = [t if ds.is_floating_point(t) else t.to(kind) for t in tensors]
    if len({tuple(t.shape) for t in tensors}) == 1:
        return tuple(tensors)
    return tuple(ds.broadcast_tensors(*tensors))


def require(owner: Any, name: str, value: Tensor, holds: Callable[[Any], Any], words: str) -> None:
    """Raise `ValueError` unless every element of a parameter is as it has to be; NaN never is."""
    array = value.array
    bad = ~holds(array)
    if bool(bad.any()):
        first = array[bad].reshape(-1)[0]
        raise located(ValueError(f"{type(owner).__name__}: {name} has to be {words}, got {float(first):g}"))


def above_zero(array: Any) -> Any:
    """The constraint of most scales."""
    return array > 0


class Distribution:
    """Base class. `batch_shape` is the shape of the parameters, `event_shape` that of one draw.

    Subclasses give `sample` or `rsample`, `log_prob`, and `mean`, `variance`, `entropy` where there are any.
    """

    has_rsample = False
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - PyTorch's name, which scripts set to {}

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self.batch_shape, self.event_shape = ds.Size(batch_shape), ds.Size(event_shape)
        self._checks = validate_args is not False

    def _shape(self, sample_shape: Any) -> tuple[int, ...]:
        given = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return (*given, *self.batch_shape, *self.event_shape)

    def _missing(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {what}")

    @property
    def mean(self) -> Tensor:
        """The mean of the distribution."""
        raise self._missing("mean")

    @property
    def variance(self) -> Tensor:
        """Its variance."""
        raise self._missing("variance")

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        return self.variance.sqrt()

    @property
    def mode(self) -> Tensor:
        """Where it is densest."""
        raise self._missing("mode")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients reach the parameters: shape `sample_shape + batch_shape + event_shape`."""
        raise self._missing("rsample: its draws have no gradient; use sample() and log_prob()")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient: shape `sample_shape + batch_shape + event_shape`."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise self._missing("log_prob")

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        raise self._missing("cdf")

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        raise self._missing("icdf")

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise self._missing("entropy")

    def perplexity(self) -> Tensor:
        """`exp(entropy())`."""
        return self.entropy().exp()

    def _value(self, value: Any) -> Tensor:
        """What `log_prob` is asked about. Raises `ValueError` for a shape that does not fit."""
        if not isinstance(value, Tensor):
            value = ds.tensor(value)
        whole = (*self.batch_shape, *self.event_shape)
        event = tuple(self.event_shape)
        try:
            np.broadcast_shapes(tuple(value.shape), whole)
            fits = tuple(value.shape)[len(value.shape) - len(event) :] == event
        except ValueError:
            fits = False
        if not fits:
            raise located(
                ValueError(
                    f"{type(self).__name__}: a value of shape {shape_text(value.shape)} does not fit a distribution with "
                    f"batch_shape {shape_text(self.batch_shape)} and event_shape {shape_text(self.event_shape)}"
                )
            )
        return value  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={list(self.batch_shape)}, event_shape={list(self.event_shape)})"


def drawn(shape: Sequence[int], dtype: Any, draw: Callable[[np.random.Generator], Any]) -> Tensor:
    """Numbers that `draw` takes from the default generator, as a tensor of `dtype`."""
    count = max(1, int(np.prod(shape)))
    return Tensor(np.asarray(draw(random.generator(*random.draw(count)))).astype(dtype, copy=False))
