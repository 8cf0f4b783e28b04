"""Ready parametrizations: a weight as direction and length, one of spectral norm 1, one with orthonormal rows."""

from __future__ import annotations

from typing import Any, TypeVar

from engine.creation import eye, randn
from engine.grad_mode import no_grad
from engine.linalg import matrix_exp, qr, solve
from engine.located import located
from engine.module import Module
from engine.nn.conv import _Transposed
from engine.nn.utils.normed import lengths, unit
from engine.nn.utils.parametrize import register_parametrization
from engine.ops.layout import cat
from engine.ops.pad import pad
from engine.ops.products import mv, outer
from engine.tensor import Tensor

M = TypeVar("M", bound=Module)

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        self.dim = dim

    def forward(self, g: Any, v: Any) -> Any:
        return v * (g / lengths(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return lengths(weight, self.dim), weight.clone()


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn a weight as a length (`original0`) and a direction (`original1`; Salimans and Kingma 2016)."""
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        self.dim, self.eps, self.n_power_iterations = dim, eps, n_power_iterations
        matrix = self._matrix(weight.detach())
        self.register_buffer("_u", unit(randn(matrix.shape[0], dtype=weight.dtype), eps))
        self.register_buffer("_v", unit(randn(matrix.shape[1], dtype=weight.dtype), eps))
        self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        u, v = self._u, self._v
        with no_grad():
            for _ in range(times):
                u = unit(mv(matrix, v), self.eps)
                v = unit(mv(matrix.T, u), self.eps)
        self._buffers["_u"], self._buffers["_v"] = u, v

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        return weight / (self._u * mv(matrix, self._v)).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its largest singular value, followed by power iterations (Miyato et al. 2018).

    Raises `ValueError` unless `n_power_iterations` is at least 1.
    """
    if n_power_iterations < 1:
        raise located(ValueError(f"n_power_iterations has to be at least 1, got {n_power_iterations}"))
    if dim is None:
        dim = 1 if isinstance(module, _Transposed) else 0
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise located(ValueError(f"{type(module).__name__} has no parameter or buffer {name!r}"))
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


class _Orthogonal(Module):
    """Rows or columns of length 1 at right angles: a square orthogonal matrix made of the free entries, cut to size.

    With a `base` it is `base` times that, and the free entries start where that is the identity.
    """

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", _completed(weight.detach()))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        tall = x.T if wide else x
        q = _householder(tall) if self.orthogonal_map == "householder" else self._of_skew(tall)
        if "base" in self._buffers:
            q = self.base @ q
        return q.T if wide else q

    def _of_skew(self, x: Tensor) -> Tensor:
        rows, columns = x.shape
        lower = x.tril()
        if rows > columns:
            lower = pad(lower, [0, rows - columns])
        skew = lower - lower.T
        if self.orthogonal_map == "matrix_exp":
            return matrix_exp(skew)[:, :columns]
        one = eye(rows, dtype=x.dtype)
        return solve(one + skew * -0.5, one + skew * 0.5)[:, :columns]

    def right_inverse(self, value: Tensor) -> Tensor:
        """Where the free entries start. Without a base they are the weight as it is."""
        if "base" not in self._buffers:
            return value
        self.base.copy_(_completed(value.detach()))
        return eye(*value.shape, dtype=value.dtype) * -1.0


def _householder(x: Tensor) -> Any:
    """The product of the reflections that the columns of `x` below its diagonal stand for, its columns signed."""
    rows, columns = x.shape
    below = x.tril(-1)
    q = eye(rows, columns, dtype=x.dtype)
    scale = 2.0 / (1.0 + (below * below).sum(0))
    for i in reversed(range(columns)):
        unit = eye(rows, columns, dtype=x.dtype)[:, i]
        v = below[:, i] + unit
        q = q - scale[i] * outer(v, mv(q.T, v))
    return q * x.diagonal().detach().trunc()


def _completed(weight: Tensor) -> Any:
    """A square orthogonal matrix whose first columns (rows, of a wide weight) span what the weight's do."""
    tall = weight.T if weight.shape[-2] < weight.shape[-1] else weight
    rows, columns = tall.shape
    full = cat([tall, randn(rows, rows - columns, dtype=weight.dtype)], 1) if rows > columns else tall
    q, r = qr(full)
    return q * r.diagonal().sign()  # without the sign an orthogonal weight would not be its own base


MAPS = ("matrix_exp", "cayley", "householder")


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keep a matrix orthogonal (its rows or columns, if it is not square), whatever an optimizer does to it.

    `orthogonal_map` is "matrix_exp" (usual for a square one), "cayley" or "householder" (usual for others).
    Raises `ValueError` for another map, or a weight that is no matrix.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise located(ValueError(f"{type(module).__name__} has no parameter or buffer {name!r}"))
    if weight.ndim != 2:
        raise located(ValueError(f"orthogonal needs a matrix, {name} is {list(weight.shape)}"))
    square = weight.shape[0] == weight.shape[1]
    chosen = orthogonal_map or ("matrix_exp" if square else "householder")
    if chosen not in MAPS:
        raise located(ValueError(f"orthogonal_map is one of {', '.join(MAPS)}, got {orthogonal_map!r}"))
    return register_parametrization(
        module, name, _Orthogonal(weight, chosen, use_trivialization), unsafe=True
    )
