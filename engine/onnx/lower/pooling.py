"""Pooling, as ONNX has it."""

from __future__ import annotations

from typing import Any

from engine.onnx.lower.table import batched, each, lowers
from engine.onnx.symbol import Size
from engine.onnx.writer import Unsupported, Writer
from engine.ops.window import Window
from engine.program import Call


@lowers(*[f"max_pool{n}d_with_indices" for n in (1, 2, 3)])
@lowers("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
def _pool(w: Writer, call: Call) -> Any:
    k, n = call.kwargs, int(call.op.removesuffix("_with_indices")[-2])
    batched(w, call, n)
    pads = each(k["padding"], n)
    kernel = each(k["kernel_size"], n)
    more: dict[str, Any] = {}
    if call.op.startswith("avg"):
        if k["divisor_override"]:
            raise Unsupported("AveragePool has no divisor of its own")
        more["count_include_pad"] = int(k["count_include_pad"])
    else:
        more["dilations"] = each(k["dilation"], n)
    both = call.op.endswith("_with_indices")
    made = w.add(
        "AveragePool" if call.op.startswith("avg") else "MaxPool", [w.arg(call.args[0])], 2 if both else 1,
        kernel_shape=kernel, strides=kernel if k["stride"] in (None, ()) else each(k["stride"], n),
        pads=[*pads, *pads], ceil_mode=int(k["ceil_mode"]), **more,
    )  # fmt: skip
    if not both:
        return made
    # ONNX counts through the whole tensor, PyTorch within each plane.
    plane = w.add("ReduceProd", [w.add("Shape", [w.arg(call.args[0])], start=2)], keepdims=0)
    return [made[0], w.add("Mod", [made[1], plane])]


@lowers("unfold")
def _unfold(w: Writer, call: Call) -> Any:
    """The rows of all windows picked, then their columns, and the elements of a window put before the windows."""
    x, k = w.arg(call.args[0]), call.kwargs
    window = Window(k["kernel"], k["stride"], ((0, 0), (0, 0)), k["dilation"])
    w.fixed(call.args[0], 2)
    w.fixed(call.args[0], 3)
    out = window.out(w.shape_of(call.args[0])[2:])
    for axis, taps, count, step, apart in zip(
        (2, 3), window.kernel, out, k["stride"], k["dilation"], strict=True
    ):
        at = [tap * apart + i * step for tap in range(taps) for i in range(count)]
        x = w.add("Gather", [x, w.ints(at)], axis=axis)
    rows = w.add("Reshape", [x, w.ints([0, -1, window.kernel[0], out[0], window.kernel[1], out[1]])])
    turned = w.add("Transpose", [rows], perm=[0, 1, 2, 4, 3, 5])
    channels = w.shape_of(call.args[0])[1] * window.kernel[0] * window.kernel[1]
    return w.add("Reshape", [turned, w.ints([0, channels, out[0] * out[1]])])


@lowers("fold")
def _fold(w: Writer, call: Call) -> Any:
    x, k = w.arg(call.args[0]), call.kwargs
    return w.add(
        "Col2Im",
        [x, w.ints(k["size"]), w.ints(k["kernel"])],
        dilations=list(k["dilation"]),
        strides=list(k["stride"]),
    )


@lowers(*[f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)])
def _adaptive(w: Writer, call: Call) -> Any:
    average, n = "avg" in call.op, int(call.op[-2])
    batched(w, call, n)
    sizes = w.shape_of(call.args[0])[-n:]
    wanted = [s if t is None else t for s, t in zip(sizes, call.kwargs["output_size"], strict=True)]
    x = w.arg(call.args[0])
    if all(size == 1 for size in wanted):
        return w.add("GlobalAveragePool" if average else "GlobalMaxPool", [x])
    if any(isinstance(t, Size) or s % t for s, t in zip(sizes, wanted, strict=True)):
        raise Unsupported(f"its windows differ in size ({list(sizes)} to {wanted})")
    w.fixed(call.args[0], *range(2, 2 + n))
    kernel = [s // t for s, t in zip(sizes, wanted, strict=True)]
    return w.add("AveragePool" if average else "MaxPool", [x], kernel_shape=kernel, strides=kernel)
