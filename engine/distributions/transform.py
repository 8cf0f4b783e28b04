"""What a change of variable is, and those that are made of others: inverted, one after the other, of several dimensions.

All of it is made of ops, so gradients of any order flow through a map, its inverse and the logarithm of its Jacobian.
"""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Sequence
from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.located import located
from engine.tensor import Tensor


def summed(value: Any, dims: int) -> Any:
    """`value` summed over its last `dims` dimensions."""
    return value.sum(tuple(range(-dims, 0))) if dims > 0 else value


class Transform:
    """Base class. Subclasses give `_call`, `_inverse`, `log_abs_det_jacobian`, `domain`, `codomain` and `bijective`.

    With `cache_size=1` the inverse of the last result is the argument it came from, exactly.

    >>> import engine as ds
    >>> exp = ds.distributions.ExpTransform()
    >>> exp.inv(exp(ds.tensor([0.0]))).tolist()
    [0.0]
    """

    domain: Any = constraints.real
    codomain: Any = constraints.real
    bijective = False

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise located(
                ValueError(f"{type(self).__name__}: cache_size has to be 0 or 1, got {cache_size!r}")
            )
        self._cache_size = cache_size
        self._last: Any = (None, None)
        self._turned: Any = None

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are one value."""
        return self.domain.event_dim  # type: ignore[no-any-return]

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        found: Transform | None = None if self._turned is None else self._turned()
        if found is None:
            found = _Inverse(self)
            self._turned = weakref.ref(found)
        return found

    @property
    def sign(self) -> Any:
        """1 where it rises, -1 where it falls."""
        raise NotImplementedError(f"{type(self).__name__} has no sign")

    def with_cache(self, cache_size: int = 1) -> Transform:
        """This map with another `cache_size`."""
        if self._cache_size == cache_size:
            return self
        made = copy.copy(self)
        Transform.__init__(made, cache_size)
        return made

    def __call__(self, x: Any) -> Tensor:
        """The map of `x`."""
        if not self._cache_size:
            return self._call(x)
        if x is self._last[0]:
            return self._last[1]  # type: ignore[no-any-return]
        y = self._call(x)
        self._last = x, y
        return y

    def _inv_call(self, y: Any) -> Tensor:
        if not self._cache_size:
            return self._inverse(y)
        if y is self._last[1]:
            return self._last[0]  # type: ignore[no-any-return]
        x = self._inverse(y)
        self._last = x, y
        return x

    def _call(self, x: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """ln |dy/dx|, without the dimensions of one value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The shape of the map of a tensor of `shape`."""
        return ds.Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The shape of the inverse of a tensor of `shape`."""
        return ds.Size(shape)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """A map turned round."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._of = transform

    @property
    def domain(self) -> Any:
        """Where the results are."""
        return self._of.codomain

    @property
    def codomain(self) -> Any:
        """Where the arguments are."""
        return self._of.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """That of the map."""
        return self._of.bijective

    @property
    def sign(self) -> Any:
        """That of the map."""
        return self._of.sign

    @property
    def inv(self) -> Transform:
        """The map itself."""
        return self._of

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The inverse of the map with another `cache_size`."""
        return self._of.with_cache(cache_size).inv

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inverse) and self._of == other._of

    __hash__ = object.__hash__

    def __call__(self, x: Any) -> Tensor:
        """The inverse of `x`."""
        return self._of._inv_call(x)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """Less the map's."""
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The map's `inverse_shape`."""
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The map's `forward_shape`."""
        return self._of.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{self._of!r}.inv"


class ComposeTransform(Transform):
    """One map after the other, the first of `parts` first."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        self.parts = [p.with_cache(cache_size) if cache_size else p for p in parts]
        super().__init__(cache_size)

    @property
    def domain(self) -> Any:
        """That of the first, with as many dimensions as the others need."""
        if not self.parts:
            return constraints.real
        first, dims = self.parts[0].domain, self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            dims = max(dims + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim)
        more = dims - first.event_dim
        return constraints.independent(first, more) if more else first

    @property
    def codomain(self) -> Any:
        """That of the last, with as many dimensions as the others need."""
        if not self.parts:
            return constraints.real
        last, dims = self.parts[-1].codomain, self.parts[0].domain.event_dim
        for part in self.parts:
            dims = max(dims + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim)
        more = dims - last.event_dim
        return constraints.independent(last, more) if more else last

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether all are."""
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> Any:
        """The product of all."""
        found: Any = 1
        for p in self.parts:
            found = found * p.sign
        return found

    @property
    def inv(self) -> Transform:
        """The inverses, the last first."""
        return ComposeTransform([p.inv for p in reversed(self.parts)])

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same maps with another `cache_size`."""
        return self if self._cache_size == cache_size else ComposeTransform(self.parts, cache_size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = object.__hash__

    def __call__(self, x: Any) -> Tensor:
        """All maps of `x`, one after the other."""
        for part in self.parts:
            x = part(x)
        return x  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """The sum of theirs."""
        if not self.parts:
            return ds.zeros_like(x)
        steps = [x]
        for part in self.parts[:-1]:
            steps.append(part(steps[-1]))
        steps.append(y)
        dims, total = self.domain.event_dim, None
        for part, a, b in zip(self.parts, steps[:-1], steps[1:], strict=True):
            term = summed(part.log_abs_det_jacobian(a, b), dims - part.domain.event_dim)
            total = term if total is None else total + term
            dims += part.codomain.event_dim - part.domain.event_dim
        return total  # type: ignore[return-value]

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The shape after all."""
        for part in self.parts:
            shape = part.forward_shape(shape)
        return ds.Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The shape before all."""
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return ds.Size(shape)

    def __repr__(self) -> str:
        return f"ComposeTransform({', '.join(repr(p) for p in self.parts)})"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """`base_transform` with `reinterpreted_batch_ndims` more dimensions in one value: the Jacobian sums over them."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def domain(self) -> Any:
        """The base's, over more dimensions."""
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @property
    def codomain(self) -> Any:
        """The base's, over more dimensions."""
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """That of the base."""
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        """That of the base."""
        return self.base_transform.sign

    def _call(self, x: Any) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Tensor:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """The base's, summed over the further dimensions."""
        found = self.base_transform.log_abs_det_jacobian(x, y)
        return summed(found, self.reinterpreted_batch_ndims)  # type: ignore[no-any-return]

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The base's."""
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The base's."""
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ReshapeTransform(Transform):
    """Values of shape `in_shape` in the shape `out_shape`. Raises `ValueError` for shapes of other sizes."""

    bijective = True
    sign = 1

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = ds.Size(in_shape), ds.Size(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise located(
                ValueError(
                    f"ReshapeTransform: in_shape {list(in_shape)} and out_shape {list(out_shape)} have other sizes"
                )
            )
        super().__init__(cache_size)

    @property
    def domain(self) -> Any:
        """Real tensors of `in_shape`."""
        return constraints.independent(constraints.real, len(self.in_shape))

    @property
    def codomain(self) -> Any:
        """Real tensors of `out_shape`."""
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Tensor:
        return x.reshape(*x.shape[: x.ndim - len(self.in_shape)], *self.out_shape)  # type: ignore[no-any-return]

    def _inverse(self, y: Any) -> Tensor:
        return y.reshape(*y.shape[: y.ndim - len(self.out_shape)], *self.in_shape)  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """0."""
        return ds.zeros(*x.shape[: x.ndim - len(self.in_shape)], dtype=x.dtype)

    def _other(self, shape: Sequence[int], have: Any, want: Any) -> Any:
        cut = len(shape) - len(have)
        if tuple(shape[max(cut, 0) :]) != tuple(have):
            raise located(
                ValueError(f"ReshapeTransform: a shape that ends in {list(have)}, got {list(shape)}")
            )
        return ds.Size((*shape[:cut], *want))

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """`out_shape` in the place of `in_shape`."""
        return self._other(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """`in_shape` in the place of `out_shape`."""
        return self._other(shape, self.out_shape, self.in_shape)


class StackTransform(Transform):
    """A map for each slice along `dim`."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        self.transforms, self.dim = [t.with_cache(cache_size) if cache_size else t for t in tseq], dim
        super().__init__(cache_size)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether all are."""
        return all(t.bijective for t in self.transforms)

    @property
    def domain(self) -> Any:
        """Theirs, slice by slice."""
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @property
    def codomain(self) -> Any:
        """Theirs, slice by slice."""
        return constraints.stack([t.codomain for t in self.transforms], self.dim)

    def _slices(self, x: Any) -> Any:
        if x.shape[self.dim] != len(self.transforms):
            raise located(
                ValueError(
                    f"StackTransform: dimension {self.dim} has to have {len(self.transforms)} elements, one a "
                    f"transform, got {x.shape[self.dim]}"
                )
            )
        return ds.unbind(x, self.dim)

    def _call(self, x: Any) -> Tensor:
        return ds.stack([t(s) for t, s in zip(self.transforms, self._slices(x), strict=True)], self.dim)

    def _inverse(self, y: Any) -> Tensor:
        return ds.stack([t.inv(s) for t, s in zip(self.transforms, self._slices(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """Theirs, slice by slice."""
        each = zip(self.transforms, self._slices(x), self._slices(y), strict=True)
        return ds.stack([t.log_abs_det_jacobian(a, b) for t, a, b in each], self.dim)
