"""Where the values of a distribution may lie, and the parameters of one: `constraints.positive.check(value)`."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.tensor import Tensor

__all__ = [
    "Constraint", "boolean", "cat", "corr_cholesky", "dependent", "dependent_property", "greater_than", "greater_than_eq",
    "half_open_interval", "independent", "integer_interval", "interval", "is_dependent", "less_than", "lower_cholesky",
    "lower_triangular", "multinomial", "nonnegative", "nonnegative_integer", "one_hot", "positive", "positive_definite",
    "positive_integer", "real", "real_vector", "simplex", "square", "stack", "symmetric", "unit_interval",
]  # fmt: skip


class Constraint:
    """A region of values. `event_dim` is how many of the last dimensions are one value.

    >>> import engine as ds
    >>> ds.distributions.constraints.positive.check(ds.tensor([1.0, -1.0])).tolist()
    [True, False]
    """

    is_discrete = False
    event_dim = 0

    def check(self, value: Any) -> Tensor:
        """Whether each value is inside: a bool tensor without the event's dimensions."""
        raise NotImplementedError(f"{type(self).__name__} has no check")

    def __repr__(self) -> str:
        return type(self).__name__.removeprefix("_") + "()"


class _Dependent(Constraint):
    """A region that depends on the parameters."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        """Such a region with these properties."""
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def check(self, value: Any) -> Tensor:
        """Raises `ValueError`: what it is, the distribution's `support` says."""
        raise ValueError("a dependent constraint cannot be checked without its distribution; ask its support")


class _DependentProperty(property, _Dependent):
    """`@dependent_property`: a property of an object that is a dependent constraint of the class."""

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        property.__init__(self, fn)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fn: Any) -> _DependentProperty:  # type: ignore[override]
        """Decorate `fn`."""
        return _DependentProperty(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


class _Real(Constraint):
    def check(self, value: Any) -> Tensor:
        """Every number but NaN."""
        return value == value  # type: ignore[no-any-return]


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Any) -> Tensor:
        """0 and 1."""
        return (value == 0) | (value == 1)  # type: ignore[no-any-return]


class _Range(Constraint):
    """Numbers between two bounds, each with or without the bound itself; whole ones only if `whole`."""

    def __init__(
        self, name: str, lower: Any = None, upper: Any = None, ends: str = "[]", whole: bool = False
    ) -> None:
        self._name, self._ends = name, ends
        self.lower_bound, self.upper_bound = lower, upper
        self.is_discrete = whole

    def check(self, value: Any) -> Tensor:
        """Between the bounds."""
        low, high = self.lower_bound, self.upper_bound
        inside = value == value
        if low is not None:
            inside = inside & (value >= low if self._ends[0] == "[" else value > low)
        if high is not None:
            inside = inside & (value <= high if self._ends[1] == "]" else value < high)
        if self.is_discrete:
            inside = inside & (value % 1 == 0)
        return inside  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        words = {"lower_bound": self.lower_bound, "upper_bound": self.upper_bound}
        return f"{self._name}({', '.join(f'{k}={v}' for k, v in words.items() if v is not None)})"


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """From one bound to the other, both included."""
    return _Range("Interval", lower_bound, upper_bound)


def half_open_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """From the lower bound, included, to the upper, not included."""
    return _Range("HalfOpenInterval", lower_bound, upper_bound, "[)")


def greater_than(lower_bound: Any) -> Constraint:
    """Above the bound."""
    return _Range("GreaterThan", lower_bound, None, "(]")


def greater_than_eq(lower_bound: Any) -> Constraint:
    """The bound or more."""
    return _Range("GreaterThanEq", lower_bound)


def less_than(upper_bound: Any) -> Constraint:
    """Below the bound."""
    return _Range("LessThan", None, upper_bound, "[)")


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Whole numbers from one bound to the other."""
    return _Range("IntegerInterval", lower_bound, upper_bound, whole=True)


class multinomial(Constraint):  # noqa: N801 - PyTorch's name
    """Counts that sum to at most `upper_bound`."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Tensor:
        """Whole counts whose sum is small enough."""
        return (value >= 0).all(-1) & (value % 1 == 0).all(-1) & (value.sum(-1) <= self.upper_bound)  # type: ignore[no-any-return]


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Any) -> Tensor:
        """Shares, 0 or more, that sum to 1."""
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)  # type: ignore[no-any-return]


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Any) -> Tensor:
        """One 1 and zeros."""
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)  # type: ignore[no-any-return]


class _LowerTriangular(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Tensor:
        """Nothing above the diagonal."""
        return (value.tril() == value).flatten(-2).all(-1)  # type: ignore[no-any-return]


class _LowerCholesky(_LowerTriangular):
    def check(self, value: Any) -> Tensor:
        """Lower triangular with a diagonal above 0."""
        return super().check(value) & (ds.diagonal(value, dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    def check(self, value: Any) -> Tensor:
        """Cholesky factors of correlations: each row has length 1."""
        close = float(ds.finfo(value.dtype).eps) * value.shape[-1] * 10
        unit = ((value**2).sum(-1) - 1).abs() <= close
        return super().check(value) & unit.all(-1)  # type: ignore[no-any-return]


class _Square(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Tensor:
        """As many rows as columns."""
        return ds.full(tuple(value.shape[:-2]), value.shape[-2] == value.shape[-1], dtype=ds.bool)


class _Symmetric(_Square):
    def check(self, value: Any) -> Tensor:
        """Equal to its transpose."""
        square = super().check(value)
        if not bool(square.all()):
            return square
        return ds.isclose(value, value.mT, atol=1e-6).flatten(-2).all(-1)


class _PositiveDefinite(_Symmetric):
    def check(self, value: Any) -> Tensor:
        """Symmetric, and every eigenvalue above 0."""
        symmetric = super().check(value)
        if not bool(symmetric.all()):
            return symmetric
        return (ds.linalg.eigvalsh(value.detach()) > 0).all(-1)


class independent(Constraint):  # noqa: N801 - PyTorch's name
    """A constraint with `reinterpreted_batch_ndims` more dimensions in one value."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Any) -> Tensor:
        """Where all parts of a value are inside."""
        found = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        return found.flatten(-n).all(-1) if n else found

    def __repr__(self) -> str:
        return f"Independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class _Parts(Constraint):
    """Constraints of parts along `dim`."""

    def __init__(self, cseq: Any, dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)


class cat(_Parts):  # noqa: N801 - PyTorch's name
    """Each constraint holds for its part, of `lengths`, along `dim`."""

    def __init__(self, cseq: Any, dim: int = 0, lengths: Any = None) -> None:
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    def check(self, value: Any) -> Tensor:
        """Part by part."""
        parts = ds.split(value, self.lengths, self.dim)
        return ds.cat([c.check(part) for c, part in zip(self.cseq, parts, strict=True)], self.dim)


class stack(_Parts):  # noqa: N801 - PyTorch's name
    """Each constraint holds for one slice along `dim`."""

    def check(self, value: Any) -> Tensor:
        """Slice by slice."""
        return ds.stack([c.check(value.select(self.dim, i)) for i, c in enumerate(self.cseq)], self.dim)


dependent = _Dependent()
dependent_property = _DependentProperty
boolean = _Boolean()
nonnegative_integer = _Range("IntegerGreaterThan", 0, whole=True)
positive_integer = _Range("IntegerGreaterThan", 1, whole=True)
real = _Real()
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _Simplex()
one_hot = _OneHot()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_definite = _PositiveDefinite()


def is_dependent(constraint: Constraint) -> bool:
    """Whether it depends on the parameters of a distribution."""
    return isinstance(constraint, _Dependent)
