"""The distribution of what transforms make of draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.distributions import constraints
from engine.distributions.distribution import Distribution
from engine.distributions.independent import Independent
from engine.distributions.transform import ComposeTransform, Transform, summed
from engine.grad_mode import no_grad
from engine.located import located
from engine.tensor import Tensor


class TransformedDistribution(Distribution):
    """Draws of `base_distribution`, put through `transforms` one after the other.

    Raises `ValueError` for what is no transform, and for a base with too few dimensions for them.

    >>> import engine as ds
    >>> D = ds.distributions
    >>> squashed = D.TransformedDistribution(D.Normal(0.0, 1.0), [D.TanhTransform()])
    >>> round(squashed.log_prob(ds.tensor(0.5)).item(), 4)
    -0.7821
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        given: list[Any] = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for i, t in enumerate(given):
            if not isinstance(t, Transform):
                raise located(
                    ValueError(
                        f"TransformedDistribution: transforms[{i}] has to be a Transform, got {type(t).__name__}"
                    )
                )
        self.transforms: list[Transform] = given
        whole = ComposeTransform(given)
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        dims = len(base_distribution.event_shape)
        needed = whole.domain.event_dim
        if len(shape) < needed:
            raise located(
                ValueError(
                    f"TransformedDistribution: the transforms take values of {needed} dimensions, draws of the base "
                    f"have {len(shape)}"
                )
            )
        after = tuple(whole.forward_shape(shape))
        before = tuple(whole.inverse_shape(after))
        if before != shape:
            base_distribution = base_distribution.expand(before[: len(before) - dims])
        if needed > dims:
            base_distribution = Independent(base_distribution, needed - dims)
        self.base_dist = base_distribution
        event = max(whole.codomain.event_dim, dims + whole.codomain.event_dim - needed)
        cut = len(after) - event
        super().__init__(after[:cut], after[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the base has draws with a gradient."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        """Where the last transform leads."""
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        more = len(self.event_shape) - found.event_dim
        return constraints.independent(found, more) if more > 0 else found

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of the base with a gradient, transformed."""
        x = self.base_dist.rsample(sample_shape)
        for t in self.transforms:
            x = t(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of the base without a gradient, transformed."""
        with no_grad():
            x = self.base_dist.sample(sample_shape)
            for t in self.transforms:
                x = t(x)
            return x

    def log_prob(self, value: Any) -> Tensor:
        """The base's of the values before the transforms, less how much these stretch."""
        y: Any = self._value(value)
        dims, total = len(self.event_shape), 0.0
        for t in reversed(self.transforms):
            x = t.inv(y)
            dims += t.domain.event_dim - t.codomain.event_dim
            total = total - summed(t.log_abs_det_jacobian(x, y), dims - t.domain.event_dim)
            y = x
        return summed(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape)) + total  # type: ignore[no-any-return]

    def _signed(self, share: Any) -> Any:
        sign: Any = 1
        for t in self.transforms:
            sign = sign * t.sign
        return share if isinstance(sign, int) and sign == 1 else sign * (share - 0.5) + 0.5

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`, for transforms that rise or fall."""
        y: Any = self._value(value)
        for t in reversed(self.transforms):
            y = t.inv(y)
        return self._signed(self.base_dist.cdf(y))  # type: ignore[no-any-return]

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        x: Any = self.base_dist.icdf(self._signed(self._value(value, inside=False)))
        for t in self.transforms:
            x = t(x)
        return x  # type: ignore[no-any-return]
