"""Samples of convolution, pooling, resizing and padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from sample_row import Row

from engine import randn, tensor
from engine.dispatch import apply
from engine.errors import ShapeMismatchError
from engine.op import OPS
from engine.ops import adaptive, conv, pad, pool, repeating, resample, resize

try:
    import torch.nn.functional as F
except ImportError:  # the rows are used without PyTorch too
    F = None  # type: ignore[assignment]


def theirs(name: str, *args: Any, **kwargs: Any) -> Any:
    """PyTorch's function of that name with these further arguments."""
    return None if F is None else lambda *tensors: getattr(F, name)(*tensors, *args, **kwargs)


def ours(module: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Ours of that name."""
    return lambda *tensors: getattr(module, name)(*tensors, *args, **kwargs)


def both(module: Any, name: str, inputs: tuple[Any, ...], *args: Any, op: str = "", **kwargs: Any) -> Row:
    """A row for a function that both have under one name, with the same further arguments."""
    note = "-".join([*(str(a) for a in args), *(f"{k}={v}" for k, v in kwargs.items())]).replace(" ", "")
    return Row(op or name, ours(module, name, *args, **kwargs), theirs(name, *args, **kwargs), inputs, note)


SAMPLES: list[Row] = []
SIZE = (6, 5, 7)

for r in (1, 2, 3):
    size, small, kernel = SIZE[:r], (3, 4, 2)[:r], (2, 3, 2)[:r]
    for options in (
        {},
        {"stride": 2, "padding": 1},
        {"padding": 1, "dilation": 2},
        {"groups": 2, "stride": 3},
        {"padding": "same"},
    ):
        weight = (4, 4 // options.get("groups", 1), *((3,) * r if "padding" in options else kernel))  # type: ignore[operator]
        SAMPLES.append(both(conv, f"conv{r}d", ((2, 4, *size), weight, (4,)), **options))
    SAMPLES.append(both(conv, f"conv{r}d", ((4, *size), (6, 4, *kernel), (6,)), 2))
    SAMPLES.append(both(conv, f"conv{r}d", ((2, 3, *size), (6, 1, *kernel)), groups=3))
    for options in ({}, {"stride": 2, "padding": 1, "output_padding": 1}, {"dilation": 2, "stride": 2}):
        SAMPLES.append(
            both(conv, f"conv_transpose{r}d", ((2, 4, *small), (4, 3, *(3,) * r), (3,)), **options)
        )
    SAMPLES.append(
        both(
            conv,
            f"conv_transpose{r}d",
            ((2, 4, *small), (4, 3, *(3,) * r)),
            groups=2,
            stride=3,
            output_padding=2,
        )
    )
    for args in ((2,), (3, 2, 1), (2, 1, 0, 2, True)):
        SAMPLES.append(both(pool, f"max_pool{r}d", ((2, 3, *size),), *args))
    SAMPLES.append(
        both(
            pool,
            f"max_pool{r}d",
            ((2, 3, *size),),
            3,
            2,
            1,
            return_indices=True,
            op=f"max_pool{r}d_with_indices",
        )
    )
    for args in ((2,), (3, 2, 1), (3, 2, 1, True, False)):
        SAMPLES.append(both(pool, f"avg_pool{r}d", ((2, 3, *size),), *args))
    for goal in (1, 2, 3, (5, 2, 3)[:r]):
        SAMPLES.append(both(adaptive, f"adaptive_avg_pool{r}d", ((2, 3, *size),), goal))
        SAMPLES.append(both(adaptive, f"adaptive_max_pool{r}d", ((2, 3, *size),), goal))
    SAMPLES.append(
        both(
            adaptive,
            f"adaptive_max_pool{r}d",
            ((2, 3, *size),),
            3,
            return_indices=True,
            op=f"adaptive_max_pool{r}d_with_indices",
        )
    )
    # Windows that are long, and so many that they are taken one dimension after the other.
    SAMPLES.append(both(adaptive, f"adaptive_avg_pool{r}d", ((1, 2, *(17, 9, 8)[:r]),), 1 if r == 3 else 2))
    SAMPLES.append(both(adaptive, f"adaptive_max_pool{r}d", ((1, 1, *(37, 18, 2)[:r]),), (9, 8, 1)[:r]))
    for mode in pad.MODES:
        SAMPLES.append(both(pad, "pad", ((2, 3, *size),), (1, 2, 2, 0, 1, 1)[: 2 * r], mode))

for mode, ranks in resize.MODES.items():
    for r in ranks:
        SAMPLES.append(both(resize, "interpolate", ((2, 2, *(4, 5, 3)[:r]),), size=(5, 9, 4)[:r], mode=mode))
        SAMPLES.append(both(resize, "interpolate", ((2, 2, *(4, 5, 3)[:r]),), scale_factor=2.0, mode=mode))
    if "linear" in mode or "cubic" in mode:
        r = ranks[-1]
        SAMPLES.append(
            both(
                resize,
                "interpolate",
                ((2, 2, *(4, 5, 3)[:r]),),
                size=(7, 3, 5)[:r],
                mode=mode,
                align_corners=True,
            )
        )

SAMPLES += [
    both(pad, "pad", ((2, 3, 4),), (-1, 2), value=3.0),
    both(repeating, "pixel_shuffle", ((2, 8, 3, 4),), 2),
    both(repeating, "pixel_unshuffle", ((2, 3, 4, 6),), 2),
]


# The transposes and inner parts that gradients are made of, which nobody calls by hand.


def inner(name: str, *fixed: Any, **attrs: Any) -> Any:
    """The op itself."""
    return lambda *tensors: apply(OPS[name], (*tensors, *[tensor(f) for f in fixed]), attrs)


WINDOW: dict[str, Any] = {"kernel": (2, 3), "stride": (2, 1), "padding": ((0, 1), (1, 1))}
# Any element of the window 0 1 2 / 3 4 5 but those that lie in the padding.
PLACES = np.full((2, 3, 5), 1, np.uint8)
PLACES[:, :2, 1:4] = np.random.default_rng(0).integers(0, 6, (2, 2, 3))
DIMS = (resample.linear(4, 7, None, False), resample.windows(5, 3))
SAMPLES += [
    Row(
        "conv_weight",
        inner(
            "conv_weight", kernel=(3, 2), stride=(2, 1), padding=((1, 1), (0, 0)), dilation=(1, 2), groups=2
        ),
        None,
        ((2, 4, 6, 5), (2, 6, 3, 3)),
    ),
    Row("window_sum", inner("window_sum", **WINDOW), None, ((2, 5, 5),)),
    Row("window_spread", inner("window_spread", **WINDOW, size=(5, 5)), None, ((2, 3, 5),)),
    Row("window_pick", inner("window_pick", PLACES, **WINDOW, dilation=(1, 1)), None, ((2, 5, 5),)),
    Row(
        "window_scatter",
        inner("window_scatter", PLACES, **WINDOW, dilation=(1, 1), size=(5, 5)),
        None,
        ((2, 3, 5),),
    ),
    Row("resample", inner("resample", dims=DIMS), None, ((2, 4, 5),)),
    Row("resample_back", inner("resample_back", dims=DIMS), None, ((2, 7, 3),)),
    Row("pad_back", inner("pad_back", pad=((1, 2), (2, 0)), mode="reflect"), None, ((2, 7, 6),)),
]


def x(*shape: int) -> Any:
    """An input for a call that fails."""
    return randn(*shape)


# (op, call, exception, words of its message)
ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    (
        "conv2d",
        lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 1, 3, 3)),
        ShapeMismatchError,
        "Expected [batch, 1, 8, 8], got [2, 3, 8, 8]",
    ),
    ("conv2d", lambda: conv.conv2d(x(2, 3, 2, 8), x(4, 3, 3, 3)), ShapeMismatchError, "covers 3 in height"),
    ("conv2d", lambda: conv.conv2d(x(3, 8), x(4, 3, 3, 3)), ShapeMismatchError, "4 dimensions"),
    ("conv2d", lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 3, 3)), ShapeMismatchError, "kernel height"),
    (
        "conv2d",
        lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 3, 3, 3), x(5)),
        ShapeMismatchError,
        "4 output channels",
    ),
    ("conv2d", lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 3, 3, 3), None, (1, 2, 3)), ValueError, "2 ints"),
    ("conv2d", lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 3, 3, 3), None, 0), ValueError, "at least 1"),
    ("conv2d", lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 3, 3, 3), padding="full"), ValueError, '"same"'),
    ("conv2d", lambda: conv.conv2d(x(2, 3, 8, 8), x(4, 3, 3, 3), None, 2, "same"), ValueError, "stride of 1"),
    ("conv2d", lambda: conv.conv2d(x(2, 4, 8, 8), x(3, 2, 3, 3), groups=2), ValueError, "does not divide"),
    (
        "conv_transpose2d",
        lambda: conv.conv_transpose2d(x(2, 3, 8, 8), x(4, 3, 3, 3)),
        ShapeMismatchError,
        "expects 4 channels",
    ),
    (
        "conv_transpose2d",
        lambda: conv.conv_transpose2d(x(2, 3, 8, 8), x(3, 4, 3, 3), output_padding=1),
        ValueError,
        "output_padding",
    ),
    ("max_pool2d", lambda: pool.max_pool2d(x(2, 3, 2, 2), 3), ShapeMismatchError, "covers 3"),
    ("max_pool2d", lambda: pool.max_pool2d(x(2, 3), 2), ShapeMismatchError, "4 dimensions"),
    ("max_pool2d", lambda: pool.max_pool2d(x(2, 3, 8, 8), 2, padding=2), ValueError, "half of kernel_size"),
    ("avg_pool1d", lambda: pool.avg_pool1d(x(2, 3, 2), 3), ShapeMismatchError, "covers 3"),
    (
        "adaptive_avg_pool2d",
        lambda: adaptive.adaptive_avg_pool2d(x(2, 3, 4, 4), (1, 2, 3)),
        ValueError,
        "output_size",
    ),
    (
        "interpolate",
        lambda: resize.interpolate(x(2, 3, 4), scale_factor=2, mode="bilinear"),
        ShapeMismatchError,
        "4 dimensions",
    ),
    ("interpolate", lambda: resize.interpolate(x(2, 3, 4, 4)), ValueError, "either size or scale_factor"),
    ("interpolate", lambda: resize.interpolate(x(2, 3, 4, 4), 2, mode="cubic"), ValueError, "mode is one of"),
    ("pad", lambda: pad.pad(x(2, 3, 4), (5, 5), "reflect"), ShapeMismatchError, "cannot pad the 4"),
    ("pad", lambda: pad.pad(x(2), (1, 1, 1, 1)), ShapeMismatchError, "names 2 dimensions"),
    ("pad", lambda: pad.pad(x(2), (1,)), ValueError, "two sizes for each dimension"),
    (
        "pixel_shuffle",
        lambda: repeating.pixel_shuffle(x(2, 3, 4, 4), 2),
        ShapeMismatchError,
        "divisible by 4",
    ),
]
