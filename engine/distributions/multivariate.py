"""Normal vectors."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.distributions import constraints
from engine.distributions.distribution import Centred, Distribution, above_zero, require
from engine.distributions.normal import LOG_TWO_PI
from engine.located import located
from engine.tensor import Tensor


class MultivariateNormal(Centred, Distribution):
    """Normal vectors of mean `loc`, and a covariance, its inverse or its Cholesky factor: exactly one of the three."""

    has_rsample = True
    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector

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
        self.scale_tril = scale_tril.expand(*batch, size, size)
        super().__init__(batch, (size,), validate_args)

    @property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return ds.linalg.inv(self.covariance_matrix)

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
        return -0.5 * (size * LOG_TWO_PI + (whitened**2).sum(-1)) - self._half_log_det()  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        found = 0.5 * self.event_shape[0] * (1.0 + LOG_TWO_PI) + self._half_log_det()
        return found.expand(*self.batch_shape)  # type: ignore[no-any-return]


class LowRankMultivariateNormal(Centred, Distribution):
    """Normal vectors of the covariance `cov_factor cov_factorᵀ + diag(cov_diag)`.

    `cov_factor` is [..., n, rank] and `cov_diag` [..., n].
    """

    has_rsample = True
    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.ndim < 1 or cov_factor.ndim < 2:
            raise located(
                ValueError("LowRankMultivariateNormal: loc has to be a vector and cov_factor a matrix")
            )
        size = loc.shape[-1]
        if cov_factor.shape[-2] != size or cov_diag.shape[-1] != size:
            raise located(
                ValueError(
                    f"LowRankMultivariateNormal: loc has {size} elements, cov_factor is for {cov_factor.shape[-2]} and "
                    f"cov_diag for {cov_diag.shape[-1]}"
                )
            )
        batch = ds.broadcast_shapes(
            tuple(loc.shape[:-1]), tuple(cov_factor.shape[:-2]), tuple(cov_diag.shape[:-1])
        )
        self.loc = loc.expand(*batch, size)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(*batch, size)
        super().__init__(batch, (size,), validate_args)
        if self._checks:
            require(self, "cov_diag", self.cov_diag, above_zero, "above 0")

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return (self.cov_factor**2).sum(-1) + self.cov_diag  # type: ignore[no-any-return]

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self.cov_factor @ self.cov_factor.mT + ds.diag_embed(self.cov_diag)  # type: ignore[no-any-return]

    @property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        return ds.linalg.cholesky(self.covariance_matrix)

    def _capacitance(self) -> tuple[Tensor, Tensor]:
        """Wᵀ D⁻¹, and the Cholesky factor of I + Wᵀ D⁻¹ W."""
        scaled = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        inner = scaled @ self.cov_factor
        return scaled, ds.linalg.cholesky(inner + ds.eye(inner.shape[-1], dtype=inner.dtype))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """`loc`, the factor times noise, and noise of its own for each element."""
        shape = self._shape(sample_shape)
        few = ds.randn(*shape[:-1], self.cov_factor.shape[-1], dtype=self.loc.dtype)
        own = ds.randn(*shape, dtype=self.loc.dtype)
        return self.loc + (self.cov_factor @ few.unsqueeze(-1)).squeeze(-1) + self.cov_diag.sqrt() * own  # type: ignore[no-any-return]

    def _log_det(self, capacitance: Tensor) -> Tensor:
        return 2 * ds.diagonal(capacitance, dim1=-2, dim2=-1).log().sum(-1) + self.cov_diag.log().sum(-1)  # type: ignore[no-any-return]

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, by Woodbury's identity and the determinant lemma."""
        away = self._value(value) - self.loc
        scaled, capacitance = self._capacitance()
        inner = ds.linalg.solve(capacitance, scaled @ away.unsqueeze(-1)).squeeze(-1)
        distance = (away**2 / self.cov_diag).sum(-1) - (inner**2).sum(-1)
        size = self.event_shape[0]
        return -0.5 * (size * LOG_TWO_PI + self._log_det(capacitance) + distance)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        found = 0.5 * (self.event_shape[0] * (1.0 + LOG_TWO_PI) + self._log_det(self._capacitance()[1]))
        return found.expand(*self.batch_shape)  # type: ignore[no-any-return]
