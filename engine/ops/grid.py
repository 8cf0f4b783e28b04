"""Images read at places a network chooses (Jaderberg et al. 2015, "Spatial transformer networks")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import dtype
from engine.backend import namespace
from engine.dispatch import apply
from engine.errors import Shape
from engine.located import located
from engine.op import op
from engine.ops.add_at import add_at
from engine.ops.arithmetic import abs, clamp, mul, remainder, sub
from engine.ops.comparison import where
from engine.ops.indexing import getitem, put_back
from engine.ops.layout import reshape
from engine.ops.linear import matmul
from engine.ops.nested import on_arrays
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]

# Numbers worked on at a time on a CPU: what stays in its cache.
CACHE = 1 << 16
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


# --- pixels read between their neighbours --------------------------------------------------------------------


class Corner(NamedTuple):
    """One of the pixels about each place: its number among all, whether it is inside, and its share, 0 outside."""

    number: Any
    inside: Any
    share: Any
    right: int
    below: int


def _corners(xp: Any, x: Any, y: Any, size: Shape, nearest: bool) -> list[Corner]:
    """The pixels about the places [batch, height, width] in images [..., h, w]; raw arrays."""
    _, _, h, w = size
    left, top = (xp.rint(x), xp.rint(y)) if nearest else (xp.floor(x), xp.floor(y))
    batch = xp.arange(x.shape[0]).reshape(-1, 1, 1) * (h * w)
    found = []
    for dy, dx in ((0, 0),) if nearest else ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = top + dy, left + dx
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        # What is nowhere has a share of nan.
        share = inside.astype(x.dtype)
        if not nearest:
            share = _share(x - left, dx) * _share(y - top, dy) * share
        number = xp.where(inside, row * w + column, 0).astype(np.int64) + batch
        found.append(Corner(number, inside, share, dx, dy))
    return found


def _share(part: Any, further: int) -> Any:
    return part if further else 1 - part


def _rows(xp: Any, images: Any) -> Any:
    """[batch, channels, h, w] as a row of channels a pixel."""
    return xp.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(-1, images.shape[1])


def _images(xp: Any, rows: Any, size: Shape) -> Any:
    """`_rows` undone."""
    n, c, h, w = size
    return xp.ascontiguousarray(rows.reshape(n, h, w, c).transpose(0, 3, 1, 2))


def _cachefuls(xp: Any, rows: int, width: int) -> Iterator[slice]:
    step = max(1, CACHE // max(width, 1)) if xp is np else max(rows, 1)
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _taken(xp: Any, rows: Any, numbers: Any) -> Any:
    """`rows[numbers]`; all of them are there, and NumPy is four times as fast where it need not look."""
    return np.take(rows, numbers, axis=0, mode="clip") if xp is np else rows[numbers]


def _read_shape(input: Any, x: Any, y: Any, *, nearest: bool) -> Shape:
    return (*sizes(input)[:2], *sizes(x)[1:])


def _read_vjp(xp: Any, g: Any, out: Any, input: Any, x: Any, y: Any, *, nearest: bool, size: Shape) -> Any:
    if not on_arrays(xp):
        return _of_tensors(g, input, x, y, nearest, size)
    pulls = _rows(xp, g)
    into = xp.zeros((size[0] * size[2] * size[3], size[1]), g.dtype)
    moves = (
        None if input is None or nearest else (xp.zeros(len(pulls), g.dtype), xp.zeros(len(pulls), g.dtype))
    )
    rows = None if moves is None else _rows(xp, input)
    corners = _corners(xp, x, y, size, nearest)
    parts = [(x - xp.floor(x)).reshape(-1), (y - xp.floor(y)).reshape(-1)]
    for corner in corners:
        number, share = corner.number.reshape(-1), corner.share.reshape(-1, 1)
        for at in _cachefuls(xp, len(pulls), size[1]):
            add_at(into, number[at], pulls[at] * share[at])
            if moves is None:
                continue
            met = (
                xp.einsum("pc,pc->p", pulls[at], _taken(xp, rows, number[at])) * corner.inside.reshape(-1)[at]
            )
            moves[0][at] += met * _share(parts[1][at], corner.below) * (corner.right * 2 - 1)
            moves[1][at] += met * _share(parts[0][at], corner.right) * (corner.below * 2 - 1)
    to_x, to_y = (None, None) if moves is None else (m.reshape(x.shape) for m in moves)
    return _images(xp, into, size), to_x, to_y


def _of_tensors(g: Any, input: Any, x: Any, y: Any, nearest: bool, size: Shape) -> Any:
    """The same in ops, to be differentiated again."""
    from engine.tensor import beside

    xp = namespace(x.array)
    n, c, h, w = size
    pulls = reshape(g.permute(0, 2, 3, 1), -1, c)
    corners = _corners(xp, x.array, y.array, size, nearest)
    parts = [sub(t, t.detach().floor()) for t in (x, y)]
    to_input: Any = None
    moves: list[Any] = [None, None]
    rows = None if input is None or nearest else reshape(input.permute(0, 2, 3, 1), -1, c)
    for corner in corners:
        inside = beside(x, corner.inside.astype(x.dtype))
        shares = [
            _share(part, further) for part, further in zip(parts, (corner.right, corner.below), strict=True)
        ]
        share = inside if nearest else mul(mul(*shares), inside)
        number = corner.number.reshape(-1)
        part = put_back(xp, mul(pulls, reshape(share, -1, 1)), (n * h * w, c), number)
        to_input = part if to_input is None else to_input + part
        if rows is not None:
            met = mul(reshape(mul(pulls, getitem(rows, number)).sum(1), *x.shape), inside)
            for i, sign in enumerate((corner.right * 2 - 1, corner.below * 2 - 1)):
                move = mul(met, shares[1 - i]) * sign
                moves[i] = move if moves[i] is None else moves[i] + move
    return reshape(to_input, n, h, w, c).permute(0, 3, 1, 2), *moves


@op(
    "grid_read", family="other", shape=_read_shape, dtype=dtype.first, vjp=_read_vjp, saves=("input", "x", "y"),
    saved_for={"input": ("x", "y")}, extras=("size",), formula="input between its pixels, at column x and row y",
)  # fmt: skip
def READ(xp: Any, input: Any, x: Any, y: Any, *, nearest: bool) -> Any:
    """`input` [batch, channels, h, w] at places [batch, height, width], between the four pixels about each or at the nearest.

    There is nothing but 0 outside.
    """
    rows, size = _rows(xp, input), tuple(input.shape)
    made: Any = xp.empty((x.size, size[1]), input.dtype)
    corners = [(c.number.reshape(-1), c.share.reshape(-1, 1)) for c in _corners(xp, x, y, size, nearest)]
    for at in _cachefuls(xp, len(made), size[1]):
        part = made[at]
        xp.multiply(_taken(xp, rows, corners[0][0][at]), corners[0][1][at], out=part)
        for number, share in corners[1:]:
            taken = _taken(xp, rows, number[at])
            taken *= share[at]
            part += taken
    return _images(xp, made, (size[0], size[1], *x.shape[1:])), size


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
    return apply(READ, (input, x, y), {"nearest": mode == "nearest"})  # type: ignore[no-any-return]


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
