"""Maximum and mean over sliding windows. Input is [batch, channels, spatial...] or without the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine import dtype
from engine.backend import namespace
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.op import Op, op
from engine.ops import pooling as arrays
from engine.ops.nested import nested
from engine.ops.window import Window, each, frozen, window
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

# --- shapes --------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def pooling(
    rank: int, size: Shape, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Window:
    """The window of a pooling of an input of spatial `size`; with `ceil_mode` it may hang over the end."""
    kernel = each(kernel_size, rank, "kernel_size", 1)
    w = window(kernel, kernel if stride is None else stride, each(padding, rank, "padding"), dilation)
    for k, (pad, _) in zip(kernel, w.padding, strict=True):
        if 2 * pad > k:
            raise ArgumentProblem(
                ValueError,
                f"padding has to be at most half of kernel_size, got padding={padding} and "
                f"kernel_size={kernel_size}",
            )
    if not ceil_mode:
        return w
    pairs = []
    for n, (pad, _), s, reach in zip(size, w.padding, w.stride, w.reach, strict=True):
        count = -(-(n + 2 * pad - reach - 1) // s) + 1
        if (count - 1) * s >= n + pad:  # the last window has to start inside
            count -= 1
        pairs.append((pad, max(pad, (count - 1) * s + reach + 1 - n - pad)))
    return w._replace(padding=tuple(pairs))


def pooled(
    rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Shape:
    """The shape after pooling. Raises `ShapeClash` where the input has no place for a window."""
    x = sizes(x)
    check_rank(rank, x)
    w = pooling(rank, x[-rank:], kernel_size, stride, padding, dilation, ceil_mode)
    out = w.out(x[-rank:])
    for i, n in enumerate(out):
        if n < 1:
            dim = len(x) - rank + i
            expected = list(x)
            expected[dim] = f"at least {w.reach[i] + 1 - sum(w.padding[i])}"
            raise ShapeClash(
                expected, 0, [(0, dim)],
                f"a window of {{op}} covers {w.reach[i] + 1}, but {{0}} with its padding has "
                f"{x[dim] + sum(w.padding[i])}.",
            )  # fmt: skip
    return (*x[:-rank], *out)


def check_rank(rank: int, x: Shape) -> None:
    """Raise `ShapeClash` for an input without `rank` spatial dimensions."""
    if len(x) not in (rank + 1, rank + 2):
        raise ShapeClash(
            ["batch", "channels", *("length", "height", "width", "depth")[1 if rank > 1 else 0 :][:rank]],
            0,
            [],
            f"{{op}} needs {{0}} with {rank + 2} dimensions, or {rank + 1} without the batch, {{0}} "
            f"has {len(x)}.",
        )


def pool_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """Every dimension comes from the same one of the input."""
    return [(0, dim)]


# --- the transposes of picking and of summing ------------------------------------------------------------

WINDOWED: dict[str, Any] = {"family": "reduce", "dtype": dtype.first, "origin": pool_origin}


def _scatter_shape(g: Any, places: Any, *, size: Shape, **_: Any) -> Shape:
    return (*sizes(g)[: len(sizes(g)) - len(size)], *size)


def _scatter_vjp(xp: Any, g: Any, out: Any, input: Any, places: Any, *, size: Shape, **attrs: Any) -> Any:
    return nested(xp, WINDOW_PICK, g, places, **attrs), None


@op("window_scatter", **WINDOWED, shape=_scatter_shape, saves=("places",), vjp=_scatter_vjp,
    formula="out[window i, places[i]] += input[i]")  # fmt: skip
def WINDOW_SCATTER(
    xp: Any, input: Any, places: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any, size: Any
) -> Any:
    """Each element goes to the named element of its window: the gradient of a maximum over windows."""
    return arrays.scatter_windows(xp, input, places, Window(kernel, stride, padding, dilation), size)


def _pick_vjp(xp: Any, g: Any, out: Any, input: Any, places: Any, **attrs: Any) -> Any:
    size = input.shape[-len(attrs["kernel"]) :]
    return nested(xp, WINDOW_SCATTER, g, places, size=size, **attrs), None


def _pick_shape(input: Any, places: Any, **_: Any) -> Shape:
    return sizes(places)


@op(
    "window_pick",
    **WINDOWED,
    shape=_pick_shape,
    saves=("places",),
    vjp=_pick_vjp,
    formula="input[window i, places[i]]",
)
def WINDOW_PICK(
    xp: Any, input: Any, places: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    """The named element of each window."""
    return arrays.pick_windows(xp, input, places, Window(kernel, stride, padding, dilation))


def _spread_vjp(xp: Any, g: Any, out: Any, input: Any, **attrs: Any) -> Any:
    attrs.pop("size")
    return nested(xp, WINDOW_SUM, g, **attrs)


def _spread_shape(input: Any, *, size: Shape, **_: Any) -> Shape:
    return (*sizes(input)[: -len(size)], *size)


@op("window_spread", **WINDOWED, shape=_spread_shape, vjp=_spread_vjp, formula="out[window i] += input[i]")
def WINDOW_SPREAD(xp: Any, input: Any, *, kernel: Any, stride: Any, padding: Any, size: Any) -> Any:
    """Each element goes to all elements of its window: the gradient of a sum over windows."""
    return arrays.spread_windows(xp, input, Window(kernel, stride, padding, (1,) * len(kernel)), size)


def _sum_shape(input: Any, *, kernel: Any, stride: Any, padding: Any) -> Shape:
    shape = sizes(input)
    w = Window(kernel, stride, padding, (1,) * len(kernel))
    return (*shape[: -len(kernel)], *w.out(shape[-len(kernel) :]))


def _sum_vjp(xp: Any, g: Any, out: Any, input: Any, **attrs: Any) -> Any:
    return nested(xp, WINDOW_SPREAD, g, size=input.shape[-len(attrs["kernel"]) :], **attrs)


@op("window_sum", **WINDOWED, shape=_sum_shape, vjp=_sum_vjp, formula="Σ input[window i]")
def WINDOW_SUM(xp: Any, input: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """The sum of each window."""
    return arrays.sum_windows(xp, input, Window(kernel, stride, padding, (1,) * len(kernel)))


# --- the records, for one, two and three dimensions -------------------------------------------------------


def _max_record(rank: int, indices: bool) -> Op:
    """`max_pool`, or the op that gives the indices too."""

    def shape(x: Any, **attrs: Any) -> Any:
        out = pooled(rank, x, *attrs.values())
        return (out, out) if indices else out

    def vjp(
        xp: Any, g: Any, out: Any, input: Any,
        *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, places: Any,
    ) -> Any:  # fmt: skip
        size = input.shape[-rank:]
        w = pooling(rank, size, kernel_size, stride, padding, dilation, ceil_mode)
        return nested(xp, WINDOW_SCATTER, g[0] if indices else g, places, size=size, **w._asdict())

    def forward(
        xp: Any, input: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
    ) -> Any:
        """The largest element of each window. A window's first maximum takes all of its gradient."""
        size = input.shape[-rank:]
        w = pooling(rank, size, kernel_size, stride, padding, dilation, ceil_mode)
        out, places = arrays.max_windows(xp, input, w)
        return (out, arrays.flat_index(xp, places, w, size)) if indices else out, places

    def kinds(d: Any, **_: Any) -> Any:
        return (d, dtype.int64) if indices else d

    return op(
        f"max_pool{rank}d" + ("_with_indices" if indices else ""),
        family="reduce",
        shape=shape,
        dtype=kinds,
        origin=pool_origin,
        vjp=vjp,
        extras=("places",),
        outputs=2 if indices else 1,
        check=True,
        onnx="MaxPool",
        formula="max over k of input[stride · i + dilation · k - padding]",
    )(forward)


def _mean_record(rank: int) -> Op:
    def scale(
        w: Window, size: Any, rank_padding: Any, include: bool, divisor: Any, like: Any, xp: Any
    ) -> Any:
        if divisor:
            return divisor
        number = arrays.counts(w, size, rank_padding, include)
        return number if isinstance(number, int) else xp.asarray(number, dtype=like.dtype)

    def geometry(
        size: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool
    ) -> tuple[Window, Any]:
        w = pooling(rank, size, kernel_size, stride, padding, 1, ceil_mode)
        return w, tuple((pad, pad) for pad, _ in w.padding)

    def shape(x: Any, *, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, **_: Any) -> Shape:
        return pooled(rank, x, kernel_size, stride, padding, 1, ceil_mode)

    def vjp(
        xp: Any, g: Any, out: Any, input: Any,
        *, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
        count_include_pad: bool, divisor_override: Any,
    ) -> Any:  # fmt: skip
        size = input.shape[-rank:]
        w, pairs = geometry(size, kernel_size, stride, padding, ceil_mode)
        raw = g.array if hasattr(g, "array") else g
        g = g / scale(w, size, pairs, count_include_pad, divisor_override, raw, namespace(raw))
        return nested(xp, WINDOW_SPREAD, g, kernel=w.kernel, stride=w.stride, padding=w.padding, size=size)

    def forward(
        xp: Any, input: Any,
        *, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
        count_include_pad: bool, divisor_override: Any,
    ) -> Any:  # fmt: skip
        """The mean of each window."""
        size = input.shape[-rank:]
        w, pairs = geometry(size, kernel_size, stride, padding, ceil_mode)
        out = arrays.sum_windows(xp, input, w)
        out /= scale(w, size, pairs, count_include_pad, divisor_override, out, xp)
        return out

    return op(
        f"avg_pool{rank}d",
        family="reduce",
        shape=shape,
        dtype=dtype.first,
        origin=pool_origin,
        vjp=vjp,
        check=True,
        onnx="AveragePool",
        formula="mean over k of input[stride · i + k - padding]",
    )(forward)


MAX_POOL = {rank: _max_record(rank, False) for rank in (1, 2, 3)}
MAX_POOL_INDICES = {rank: _max_record(rank, True) for rank in (1, 2, 3)}
AVG_POOL = {rank: _mean_record(rank) for rank in (1, 2, 3)}


# --- the functions people call -------------------------------------------------------------------------


def _max(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    indices: bool,
) -> Any:
    attrs = {
        "kernel_size": frozen(kernel_size),
        "stride": frozen(stride) or None,
        "padding": frozen(padding),
        "dilation": frozen(dilation),
        "ceil_mode": ceil_mode,
    }
    return apply((MAX_POOL_INDICES if indices else MAX_POOL)[rank], (input,), attrs)


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window along the last dimension; with `return_indices` also where it lies.

    `stride` is `kernel_size` unless given. Raises `ShapeMismatchError` where no window fits.
    """
    return _max(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window over the last two dimensions; as `max_pool1d`.

    Indices count through the plane [height, width] in order.
    """
    return _max(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window over the last three dimensions; as `max_pool1d`."""
    return _max(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _mean(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    include: bool,
    divisor: Any,
) -> Tensor:
    attrs = {
        "kernel_size": frozen(kernel_size),
        "stride": frozen(stride) or None,
        "padding": frozen(padding),
        "ceil_mode": ceil_mode,
        "count_include_pad": include,
        "divisor_override": divisor,
    }
    return apply(AVG_POOL[rank], (input,), attrs)  # type: ignore[no-any-return]


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window along the last dimension; zeros of the padding count unless told otherwise."""
    return _mean(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window over two dimensions; `divisor_override` divides instead of the count."""
    return _mean(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window over the last three dimensions; as `avg_pool2d`."""
    return _mean(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
