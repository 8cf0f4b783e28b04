"""Images made larger or smaller, as ONNX has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.lower.table import lowers
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call


@lowers("interpolate")
def _interpolate(w: Writer, call: Call) -> Any:
    k = call.kwargs
    modes = {
        "nearest": "nearest",
        "nearest-exact": "nearest",
        "bilinear": "linear",
        "linear": "linear",
        "trilinear": "linear",
        "bicubic": "cubic",
    }
    if k["mode"] not in modes:
        raise Unsupported(f"Resize has no mode {k['mode']!r} that does the same")
    nearest = k["mode"] == "nearest"
    x, shape = w.arg(call.args[0]), w.shape_of(call.args[0])
    n = len(shape) - 2
    coordinates = "asymmetric" if nearest else "align_corners" if k["align_corners"] else "half_pixel"
    inputs = [x, "", ""]
    if k["size"] is not None:
        lead = w.add("Shape", [x], start=0, end=2)
        inputs.append(w.add("Concat", [lead, w.ints(list(k["size"]))], axis=0))
    else:
        factor = k["scale_factor"]
        factors = list(factor) if isinstance(factor, (tuple, list)) else [factor] * n
        inputs[2] = w.constant(np.asarray([1.0, 1.0, *factors], np.float32))
    return w.add(
        "Resize", inputs, mode=modes[k["mode"]], coordinate_transformation_mode=coordinates,
        nearest_mode="floor" if nearest else "round_prefer_ceil" if modes[k["mode"]] == "nearest" else None,
    )  # fmt: skip


@lowers("grid_read")
def _grid(w: Writer, call: Call) -> Any:
    """Columns and rows as places between -1 and 1, the middles of the outer pixels."""
    images, places = w.arg(call.args[0]), []
    for dim, at in zip((3, 2), call.args[1:], strict=True):
        w.fixed(call.args[0], dim)
        size = w.shape_of(call.args[0])[dim]
        if size < 2:
            raise Unsupported("an image of one pixel has no middle of another to count to")
        kind = w.kind_of(at)
        scaled = w.add("Mul", [w.arg(at), w.constant(2 / (size - 1), kind)])
        moved = w.add("Sub", [scaled, w.constant(1.0, kind)])
        places.append(w.add("Unsqueeze", [moved, w.ints([-1])]))
    grid = w.add("Concat", places, axis=-1)
    mode = "nearest" if call.kwargs["nearest"] else "linear"
    return w.add("GridSample", [images, grid], mode=mode, padding_mode="zeros", align_corners=1)
