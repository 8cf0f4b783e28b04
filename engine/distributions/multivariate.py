"""Normal vectors."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.distributions.distribution import Distribution
from engine.distributions.normal import LOG_TWO_PI
from engine.located import located
from engine.tensor import Tensor


class MultivariateNormal(Distribution):
    """Normal vectors of mean `loc`, and a covariance, its inverse or its Cholesky factor: exactly one of the three."""

    has_rsample = True

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise located(
                ValueError(
                    "MultivariateNormal takes covariance_matrix, precision_matrix or scale_tril, one of the three, "
                    f"got {len(given)}"
                )
            )
        if loc.ndim < 1 or given[0].ndim < 2:
            raise located(ValueError("MultivariateNormal: loc has to be a vector and its matrix a matrix"))
        if scale_tril is None:
            covariance = covariance_matrix if precision_matrix is None else ds.linalg.inv(precision_matrix)
            scale_tril = ds.linalg.cholesky(covariance)
        size = scale_tril.shape[-1]
        if loc.shape[-1] != size:
            raise located(
                ValueError(f"MultivariateNormal: loc has {loc.shape[-1]} elements, its matrix is for {size}")
            )
        batch = ds.broadcast_shapes(tuple(loc.shape[:-1]), tuple(scale_tril.shape[:-2]))
        self.loc = loc.expand(*batch, size)
        self.scale_tril = scale_tril
        super().__init__(batch, (size,), validate_args)

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc  # type: ignore[no-any-return]

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self.scale_tril @ self.scale_tril.mT  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return (self.scale_tril**2).sum(-1).expand(*self.batch_shape, *self.event_shape)  # type: ignore[no-any-return]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """`loc` and the factor times noise."""
        noise = ds.randn(*self._shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)  # type: ignore[no-any-return]

    def _half_log_det(self) -> Tensor:
        return ds.diagonal(self.scale_tril, dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        away = (self._value(value) - self.loc).unsqueeze(-1)
        whitened = ds.linalg.solve(self.scale_tril, away).squeeze(-1)
        size = self.event_shape[0]
        return -0.5 * (size * LOG_TWO_PI + (whitened**2).sum(-1)) - self._half_log_det()

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        found = 0.5 * self.event_shape[0] * (1.0 + LOG_TWO_PI) + self._half_log_det()
        return found.expand(*self.batch_shape)
