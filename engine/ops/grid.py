"""Images read at places a network chooses (Jaderberg et al. 2015, "Spatial transformer networks")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located
from engine.ops.arithmetic import abs, clamp, mul, remainder, sub
from engine.ops.comparison import where
from engine.ops.indexing import getitem
from engine.ops.layout import reshape
from engine.ops.linear import matmul

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]

PADDINGS = ("zeros", "border", "reflection")


def _places(size: int, aligned: bool, dtype: Any) -> Any:
    """Where the pixels of a line lie between -1 and 1."""
    if aligned:
        return np.linspace(-1, 1, size, dtype=dtype) if size > 1 else np.zeros(1, dtype)
    return ((np.arange(size) * 2 + 1) / size - 1).astype(dtype)


def affine_grid(theta: Any, size: Any, align_corners: bool = False) -> Tensor:
    """The places [batch, height, width, 2] that affine maps `theta` [batch, 2, 3] send the pixels of `size` to.

    Raises `ValueError` for another shape of `theta`.
    """
    from engine.tensor import Tensor

    n, _, h, w = size
    if tuple(theta.shape) != (n, 2, 3):
        raise located(
            ValueError(f"affine_grid needs theta [{n}, 2, 3] for size {list(size)}, got {list(theta.shape)}")
        )
    ys, xs = (_places(k, align_corners, theta.dtype) for k in (h, w))
    points = np.stack([np.tile(xs, h), np.repeat(ys, w), np.ones(h * w, theta.dtype)], -1)
    base = Tensor(points, role="constant").to(device=theta.device)
    return reshape(matmul(base, theta.transpose(1, 2)), n, h, w, 2)


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Tensor:
    """`input` [batch, channels, h, w] at the places (x, y) of `grid` [batch, height, width, 2], from -1 to 1.

    `mode` is "bilinear" or "nearest"; `padding_mode` says what lies outside: "zeros", "border" or "reflection".
    Raises `ValueError` for shapes that do not go together.
    """
    if mode not in ("bilinear", "nearest"):
        raise located(ValueError(f'mode is "bilinear" or "nearest", got {mode!r}'))
    if padding_mode not in PADDINGS:
        raise located(ValueError(f"padding_mode is one of {', '.join(PADDINGS)}, got {padding_mode!r}"))
    if (
        len(input.shape) != 4
        or len(grid.shape) != 4
        or grid.shape[-1] != 2
        or grid.shape[0] != input.shape[0]
    ):
        raise located(
            ValueError(
                "grid_sample needs input [batch, channels, h, w] and grid [batch, height, width, 2], "
                f"got {list(input.shape)} and {list(grid.shape)}"
            )
        )
    h, w = input.shape[2:]
    x = _pixel(grid[..., 0], w, padding_mode, align_corners)
    y = _pixel(grid[..., 1], h, padding_mode, align_corners)
    if mode == "nearest":
        return _read(input, y.detach().round(), x.detach().round()).permute(0, 3, 1, 2)  # type: ignore[no-any-return]
    left, top = x.detach().floor(), y.detach().floor()
    right, below = sub(x, left), sub(y, top)
    made: Any = None
    for dy, wy in ((0, 1 - below), (1, below)):
        for dx, wx in ((0, 1 - right), (1, right)):
            part = mul(_read(input, top + dy, left + dx), mul(wy, wx).unsqueeze(-1))
            made = part if made is None else made + part
    return made.permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def _pixel(places: Any, size: int, padding: str, aligned: bool) -> Any:
    """Places between -1 and 1 as numbers of pixels."""
    x = (places + 1) * ((size - 1) / 2) if aligned else ((places + 1) * size - 1) / 2
    if padding == "reflection":
        low, span = (0.0, float(size - 1)) if aligned else (-0.5, float(size))
        if span == 0:
            return x * 0
        moved = abs(x - low)
        turned = remainder(moved, 2 * span)
        x = where(turned > span, 2 * span - turned, turned) + low
    return clamp(x, 0.0, size - 1.0) if padding in ("border", "reflection") else x


def _read(input: Any, rows: Any, columns: Any) -> Any:
    """The pixels [batch, height, width, channels] at whole places; 0 outside."""
    h, w = input.shape[2:]
    y, x = (t.array for t in (rows, columns))
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    at = [
        np.where(inside, t, 0).astype(np.int64) if isinstance(t, np.ndarray) else (t * inside).astype("int64")
        for t in (y, x)
    ]
    batch = np.arange(input.shape[0]).reshape(-1, 1, 1)
    taken = getitem(input.permute(0, 2, 3, 1), (batch, at[0], at[1]))
    return where(inside[..., None], taken, 0.0)
