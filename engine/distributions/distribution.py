"""What all distributions share."""

from __future__ import annotations

import copy
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
    has_enumerate_support = False
    arg_constraints: Any = {}  # noqa: RUF012 - PyTorch's name, which scripts set to {}
    _validate_args = True
    _for_all: tuple[str, ...] = ()  # tensors that are no parameter of each of the batch

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = ds.Size(batch_shape), ds.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked where `validate_args` is not given."""
        if value not in (True, False):
            raise located(ValueError(f"value has to be True or False, got {value!r}"))
        Distribution._validate_args = value

    @property
    def _checks(self) -> bool:
        return self._validate_args

    @property
    def batch_shape(self) -> Any:
        """The shape of the parameters: how many distributions these are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one draw of one of them."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """The constraint that says which values it can have."""
        raise self._missing("support")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All the values it can have, along a new first dimension; `expand`ed over the batch."""
        raise self._missing("enumerate_support")

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution for a larger batch: no parameter is copied.

        Raises `ValueError` for a shape that the batch does not broadcast to.

        >>> import engine as ds
        >>> ds.distributions.Normal(ds.zeros(3), 1.0).expand((2, 3)).batch_shape
        (2, 3)
        """
        new, old = tuple(batch_shape), tuple(self.batch_shape)
        try:
            fits = np.broadcast_shapes(new, old) == new
        except ValueError:
            fits = False
        if not fits:
            raise located(
                ValueError(
                    f"{type(self).__name__}: a batch of {shape_text(old)} cannot be expanded to {shape_text(new)}"
                )
            )
        made = copy.copy(self) if _instance is None else _instance
        made._batch_shape, made._event_shape = ds.Size(new), self._event_shape
        made._validate_args = self._validate_args
        for name, value in self.__dict__.items():
            if isinstance(value, Distribution):
                inner = tuple(value.batch_shape)[len(old) :]  # what an Independent has taken from its base
                made.__dict__[name] = value.expand((*new, *inner))
            elif isinstance(value, Tensor) and name not in self._for_all:
                kept = tuple(value.shape)
                rest = kept[len(old) :] if kept[: len(old)] == old else kept
                made.__dict__[name] = value.expand(*new, *rest)
        return made

    def _shape(self, sample_shape: Any) -> tuple[int, ...]:
        given = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return (*given, *self.batch_shape, *self.event_shape)

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        """The shape of what is drawn, under the name that PyTorch's subclasses know."""
        return ds.Size(self._shape(sample_shape))

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

    def _value(self, value: Any, inside: bool = True) -> Tensor:
        """What `log_prob` is asked about. Raises `ValueError` for a shape that does not fit, and for a value outside."""
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
        if inside and self._validate_args:
            self._inside(value)
        return value  # type: ignore[no-any-return]

    def _inside(self, value: Tensor) -> None:
        """Raise `ValueError` for a value outside of the support."""
        try:
            support = self.support
        except NotImplementedError:
            return
        with no_grad():
            outside = ~support.check(value).array
        if bool(outside.any()):
            event = tuple(value.shape)[value.ndim - support.event_dim :]
            first = value.detach().broadcast_to((*outside.shape, *event)).array[outside][0]
            got = ", ".join(f"{float(v):g}" for v in first.reshape(-1)[:6])
            raise located(
                ValueError(
                    f"{type(self).__name__}: a value has to be in {support!r}, got {got}; validate_args=False lets it pass"
                )
            )

    def _validate_sample(self, value: Tensor) -> None:
        """Check a value, under the name that PyTorch's subclasses know."""
        self._value(value)

    def __repr__(self) -> str:
        words = []
        for name in self.arg_constraints if isinstance(self.arg_constraints, dict) else ():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                words.append(f"{name}: {value.detach() if value.numel() == 1 else tuple(value.shape)}")
        if words:
            return f"{type(self).__name__}({', '.join(words)})"
        return f"{type(self).__name__}(batch_shape={list(self.batch_shape)}, event_shape={list(self.event_shape)})"


def drawn(shape: Sequence[int], dtype: Any, draw: Callable[[np.random.Generator], Any]) -> Tensor:
    """Numbers that `draw` takes from the default generator, as a tensor of `dtype`."""
    count = max(1, int(np.prod(shape)))
    return Tensor(np.asarray(draw(random.generator(*random.draw(count)))).astype(dtype, copy=False))


class Centred:
    """What those share that lie alike on both sides of `loc`."""

    loc: Tensor

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc
