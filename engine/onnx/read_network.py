"""How ONNX's layers are done with the engine's own: products, convolution, pooling, normalisation, recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read import READ, Step, Unreadable, plain, reads


@reads("Gemm")
def _gemm(s: Step) -> Any:
    a, b, c = s.inputs[0], s.inputs[1], s.get(2)
    a = a.T if s.attr("transA", 0) else a
    plainly = s.attr("alpha", 1.0) == 1.0 and s.attr("beta", 1.0) == 1.0 and s.attr("transB", 0)
    if plainly and (c is None or (c.ndim == 1 and c.shape == b.shape[:1])):
        return ds.linear(a, b, c)
    out = ds.matmul(a, b.T if s.attr("transB", 0) else b)
    if s.attr("alpha", 1.0) != 1.0:
        out = out * s.attr("alpha")
    if c is not None:
        out = out + (c if s.attr("beta", 1.0) == 1.0 else c * s.attr("beta"))
    return out


@reads("Einsum")
def _einsum(s: Step) -> Any:
    return ds.einsum(s.attr("equation").replace(" ", ""), *s.inputs)


class Windows:
    """Strides, dilations and the padding on both sides of each spatial dimension."""

    def __init__(self, s: Step, kernel: list[int], shape: tuple[int, ...]) -> None:
        n = len(kernel)
        self.kernel = kernel
        self.strides = list(s.attr("strides") or [1] * n)
        self.dilations = list(s.attr("dilations") or [1] * n)
        pads = list(s.attr("pads") or [0] * (2 * n))
        auto = s.attr("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            pads = self._same(shape, auto == "SAME_UPPER")
        elif auto == "VALID":
            pads = [0] * (2 * n)
        self.before, self.after = pads[:n], pads[n:]

    def _same(self, shape: tuple[int, ...], upper: bool) -> list[int]:
        before, after = [], []
        for size, k, stride, dilation in zip(shape, self.kernel, self.strides, self.dilations, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            small = total // 2
            before.append(small if upper else total - small)
            after.append(total - small if upper else small)
        return [*before, *after]

    def padded(self, x: Any, value: float = 0.0) -> Any:
        """`x` with its padding, which need not be the same on both sides."""
        if not any((*self.before, *self.after)):
            return x
        flat = [n for b, a in reversed(list(zip(self.before, self.after, strict=True))) for n in (b, a)]
        return ds.pad(x, tuple(flat), "constant", value)


@reads("Conv")
def _conv(s: Step) -> Any:
    x, weight, bias = s.inputs[0], s.inputs[1], s.get(2)
    n = x.ndim - 2
    w = Windows(s, list(weight.shape[2:]), x.shape[2:])
    if n not in (1, 2, 3):
        raise Unreadable(f"a convolution over {n} dimensions")
    convolve = (ds.conv1d, ds.conv2d, ds.conv3d)[n - 1]
    padding: Any = tuple(w.before)
    if w.before != w.after:
        x, padding = w.padded(x), 0
    return convolve(x, weight, bias, tuple(w.strides), padding, tuple(w.dilations), s.attr("group", 1))


@reads("ConvTranspose")
def _conv_transpose(s: Step) -> Any:
    x, weight, bias = s.inputs[0], s.inputs[1], s.get(2)
    n = x.ndim - 2
    kernel = list(weight.shape[2:])
    strides, dilations = list(s.attr("strides") or [1] * n), list(s.attr("dilations") or [1] * n)
    extra, wanted = list(s.attr("output_padding") or [0] * n), s.attr("output_shape")
    pads = list(s.attr("pads") or [0] * (2 * n))
    before, after = pads[:n], pads[n:]
    auto = s.attr("auto_pad", "NOTSET")
    if auto.startswith("SAME") and not wanted:
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    if wanted:
        for i in range(n):
            whole = strides[i] * (x.shape[2 + i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1
            total = max(0, whole - wanted[i])
            extra[i] += max(0, wanted[i] - whole)
            small = total // 2
            before[i], after[i] = (small, total - small) if auto == "SAME_UPPER" else (total - small, small)
    convolve = (ds.conv_transpose1d, ds.conv_transpose2d, ds.conv_transpose3d)[n - 1]
    out = convolve(x, weight, bias, tuple(strides), 0, 0, s.attr("group", 1), tuple(dilations))
    flat = [v for i in reversed(range(n)) for v in (-before[i], extra[i] - after[i])]
    if not any(flat):
        return out
    out = ds.pad(out, tuple(flat))
    if bias is not None and any(extra):
        out = out + _missing_bias(out, bias, before, extra, after)
    return out


def _missing_bias(out: Any, bias: Any, before: list[int], extra: list[int], after: list[int]) -> Any:
    """What padding the result left without its bias."""
    mask = np.zeros(out.shape[2:], out.dtype)
    for i in range(len(extra)):
        added = max(0, extra[i] - after[i])
        if added:
            mask[tuple([slice(None)] * i + [slice(mask.shape[i] - added, None)])] = 1
    return bias.reshape(-1, *[1] * len(extra)) * plain(mask)


@reads("MaxPool")
def _max_pool(s: Step) -> Any:
    x, kernel = s.inputs[0], list(s.attributes["kernel_shape"])
    n = len(kernel)
    w = Windows(s, kernel, x.shape[2:])
    if s.attr("storage_order", 0):
        raise Unreadable("indices counted by columns")
    if x.dtype.kind != "f":
        made = _max_pool(s._replace(inputs=[x.to(dtype="float64")]))
        return [made[0].to(dtype=x.dtype), *made[1:]]
    low = -np.inf
    ceil = bool(s.attr("ceil_mode", 0))
    padding: Any = tuple(w.before)
    even = w.before == w.after and all(2 * p <= k for p, k in zip(w.before, kernel, strict=True))
    if not even or (s.outputs > 1 and any(w.before)):
        x, padding = w.padded(x, low), 0
    functional = ds.nn.functional
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[n - 1]
    made = pool(x, tuple(kernel), tuple(w.strides), padding, tuple(w.dilations), ceil, s.outputs > 1)
    if s.outputs == 1:
        return [made]
    values, places = made
    sizes = s.inputs[0].shape[2:]
    at = list(np.unravel_index(places.array, x.shape[2:]))
    if padding == 0:
        at = [a - b for a, b in zip(at, w.before, strict=True)]
    flat = np.ravel_multi_index(at, sizes)
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[0], x.shape[1], *[1] * n) * int(
        np.prod(sizes)
    )
    return [values, plain((flat + planes).astype(np.int64))]


@reads("AveragePool")
def _average_pool(s: Step) -> Any:
    x, kernel = s.inputs[0], list(s.attributes["kernel_shape"])
    w = Windows(s, kernel, x.shape[2:])
    count, ceil = bool(s.attr("count_include_pad", 0)), bool(s.attr("ceil_mode", 0))
    n = len(kernel)
    pool = (ds.avg_pool1d, ds.avg_pool2d, ds.avg_pool3d)[n - 1]
    even = w.before == w.after and all(2 * p <= k for p, k in zip(w.before, kernel, strict=True))
    if any(d != 1 for d in w.dilations):
        return _dilated_average(x, w, count, ceil)
    if even:
        return pool(x, tuple(kernel), tuple(w.strides), tuple(w.before), ceil, count)
    if count:
        return pool(w.padded(x), tuple(kernel), tuple(w.strides), 0, ceil, True)
    ones = plain(np.ones((1, 1, *x.shape[2:]), x.dtype))
    total = pool(w.padded(x), tuple(kernel), tuple(w.strides), 0, ceil)
    return total / pool(w.padded(ones), tuple(kernel), tuple(w.strides), 0, ceil)


def _dilated_average(x: Any, w: Windows, count: bool, ceil: bool) -> Any:
    if ceil:
        extra = []
        for size, k, st, d, b, a in zip(
            x.shape[2:], w.kernel, w.strides, w.dilations, w.before, w.after, strict=True
        ):
            left = (size + b + a - d * (k - 1) - 1) % st
            extra.append(st - left if left else 0)
        w.after = [a + e for a, e in zip(w.after, extra, strict=True)]
    n = len(w.kernel)
    convolve = (ds.conv1d, ds.conv2d, ds.conv3d)[n - 1]
    channels = x.shape[1]
    kernel = plain(np.ones((channels, 1, *w.kernel), x.dtype))
    total = convolve(w.padded(x), kernel, None, tuple(w.strides), 0, tuple(w.dilations), channels)
    ones = plain(np.ones((1, channels, *x.shape[2:]), x.dtype))
    seen = w.padded(ones, 1.0 if count else 0.0)
    return total / convolve(seen, kernel, None, tuple(w.strides), 0, tuple(w.dilations), channels)


@reads("LpPool")
def _lp_pool(s: Step) -> Any:
    x, p = s.inputs[0], float(s.attr("p", 2))
    w = Windows(s, list(s.attributes["kernel_shape"]), x.shape[2:])
    n, channels = len(w.kernel), x.shape[1]
    convolve = (ds.conv1d, ds.conv2d, ds.conv3d)[n - 1]
    kernel = plain(np.ones((channels, 1, *w.kernel), x.dtype))
    powers = w.padded(ds.abs(x) ** p)
    return convolve(powers, kernel, None, tuple(w.strides), 0, tuple(w.dilations), channels) ** (1 / p)


def _spatial(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


READ["GlobalAveragePool"] = lambda s: ds.mean(s.inputs[0], _spatial(s.inputs[0]), True)
READ["GlobalMaxPool"] = lambda s: ds.amax(s.inputs[0], _spatial(s.inputs[0]), True)


@reads("BatchNormalization")
def _batch_norm(s: Step) -> Any:
    x, scale, shift, mean, var = s.inputs
    eps = float(s.attr("epsilon", 1e-5))
    if not s.attr("training_mode", 0):
        return ds.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)
    axes = (0, *range(2, x.ndim))
    now_mean, now_var = ds.mean(x, axes), ds.var(x, axes, correction=0)
    momentum = float(s.attr("momentum", 0.9))
    out = ds.batch_norm(x, None, None, scale, shift, True, 0.0, eps)
    return [out, mean * momentum + now_mean * (1 - momentum), var * momentum + now_var * (1 - momentum)]


@reads("InstanceNormalization")
def _instance_norm(s: Step) -> Any:
    x, scale, shift = s.inputs
    return ds.instance_norm(x, None, None, scale, shift, True, 0.1, float(s.attr("epsilon", 1e-5)))


@reads("LRN")
def _lrn(s: Step) -> Any:
    x, size = s.inputs[0], s.attributes["size"]
    squares = x * x
    before = (size - 1) // 2
    padded = ds.pad(squares, (*[0] * (2 * (x.ndim - 2)), before, size - 1 - before))
    total = ds.narrow(padded, 1, 0, x.shape[1])
    for i in range(1, size):
        total = total + ds.narrow(padded, 1, i, x.shape[1])
    return x / (s.attr("bias", 1.0) + s.attr("alpha", 1e-4) / size * total) ** s.attr("beta", 0.75)


@reads("LpNormalization")
def _lp_norm(s: Step) -> Any:
    x, axis, p = s.inputs[0], int(s.attr("axis", -1)), int(s.attr("p", 2))
    size = ds.sum(ds.abs(x), axis, True) if p == 1 else ds.sqrt(ds.sum(x * x, axis, True))
    return ds.where(size == 0, ds.zeros_like(x), x / ds.where(size == 0, ds.ones_like(size), size))


@reads("Dropout")
def _dropout(s: Step) -> Any:
    x, ratio, training = s.inputs[0], s.get(1), s.get(2)
    p = float(ratio.array) if ratio is not None else float(s.attr("ratio", 0.5))
    if training is None or not bool(training.array) or p == 0:
        return [x, plain(np.ones(x.shape, bool))]
    raise Unreadable(
        "dropout in training mode draws other numbers than the file's author did; use Dropout outside"
    )


@reads("Resize", "Upsample")
def _resize(s: Step) -> Any:
    x = s.inputs[0]
    old = len(s.inputs) == 2
    scales, sizes = (s.get(1), None) if old else (s.get(2), s.get(3))
    mode = s.attr("mode", "nearest")
    how = "asymmetric" if old else s.attr("coordinate_transformation_mode", "half_pixel")
    if s.attr("axes") or s.attr("antialias", 0) or s.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unreadable("resizing of chosen axes, with antialias or kept aspect ratio")
    if sizes is not None and sizes.array.size:
        out = [int(n) for n in sizes.array]
    else:
        out = [int(np.floor(n * f)) for n, f in zip(x.shape, scales.array, strict=True)]
    factors = (
        list(scales.array)
        if scales is not None and scales.array.size
        else [o / n for o, n in zip(out, x.shape, strict=True)]
    )
    if mode == "nearest":
        for axis, (n, o, f) in enumerate(zip(x.shape, out, factors, strict=True)):
            if n != o or f != 1:
                x = ds.index_select(
                    x,
                    axis,
                    plain(_nearest(n, o, float(f), how, s.attr("nearest_mode", "round_prefer_floor"), old)),
                )
        return [x]
    if mode == "linear":
        for axis, (n, o, f) in enumerate(zip(x.shape, out, factors, strict=True)):
            if n != o or f != 1:
                x = _linear(x, axis, n, o, float(f), how)
        return [x]
    raise Unreadable(f"resizing in mode {mode}")


def _places(n: int, o: int, f: float, how: str) -> Any:
    at = np.arange(o, dtype=np.float64)
    if how == "asymmetric":
        return at / f
    if how == "align_corners":
        return at * (n - 1) / (o - 1) if o > 1 else at * 0
    if how == "pytorch_half_pixel" and o == 1:
        return at * 0
    if how == "half_pixel_symmetric":
        adjust = o / (n * f)
        return n / 2 * (1 - adjust) + (at + 0.5) / f - 0.5
    if how in ("half_pixel", "pytorch_half_pixel"):
        return (at + 0.5) / f - 0.5
    raise Unreadable(f"resizing with {how} coordinates")


def _nearest(n: int, o: int, f: float, how: str, mode: str, old: bool) -> Any:
    at = _places(n, o, f, how)
    if old or mode == "floor":
        at = np.floor(at)
    elif mode == "ceil":
        at = np.ceil(at)
    elif mode == "round_prefer_ceil":
        at = np.floor(at + 0.5)
    else:
        at = np.ceil(at - 0.5)
    return np.clip(at, 0, n - 1).astype(np.int64)


def _linear(x: Any, axis: int, n: int, o: int, f: float, how: str) -> Any:
    at = np.clip(_places(n, o, f, how), 0, n - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, n - 1)
    share = (at - low).astype(x.dtype).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
    return ds.index_select(x, axis, plain(low)) * plain(1 - share) + ds.index_select(
        x, axis, plain(high)
    ) * plain(share)


# --- recurrence ---

GATES: dict[str, Any] = {
    "Sigmoid": ds.sigmoid, "Tanh": ds.tanh, "Relu": ds.relu, "Softsign": ds.softsign, "HardSigmoid": ds.hardsigmoid,
    "Elu": ds.elu, "Softplus": ds.softplus,
}  # fmt: skip


def _sequence(kind: str) -> Any:
    def read(s: Step) -> Any:
        x, weight, loop, bias, lengths, h0 = (s.get(i) for i in range(6))
        if s.attr("clip") or s.attr("input_forget", 0):
            raise Unreadable("clipping, or coupled input and forget gates")
        if lengths is not None and (lengths.array != x.shape[1 if s.attr("layout", 0) else 0]).any():
            raise Unreadable("sequences of different length")
        if s.attr("layout", 0):
            x = ds.transpose(x, 0, 1)
            h0 = None if h0 is None else ds.transpose(h0, 0, 1)
        size = loop.shape[-1]
        directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
            s.attr("direction", "forward")
        ]
        usual = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}[kind]
        named = [
            a.decode() if isinstance(a, bytes) else a
            for a in s.attr("activations") or usual * len(directions)
        ]
        unknown = [a for a in named if a not in GATES]
        if unknown or s.attr("activation_alpha") or s.attr("activation_beta"):
            raise Unreadable(f"activations {named} with parameters of their own")
        outs, finals, cells = [], [], []
        for d, backwards in enumerate(directions):
            functions = [GATES[a] for a in named[d * len(usual) : (d + 1) * len(usual)]]
            zero = ds.zeros(x.shape[1], size, dtype=x.dtype)
            h = zero if h0 is None else h0[d]
            c = zero
            if kind == "LSTM" and s.get(6) is not None:
                start = ds.transpose(s.get(6), 0, 1) if s.attr("layout", 0) else s.get(6)
                c = start[d]
            peep = s.get(7)[d] if kind == "LSTM" and s.get(7) is not None else None
            b = None if bias is None else bias[d]
            steps = []
            times = range(x.shape[0])
            for t in reversed(times) if backwards else times:
                h, c = CELLS[kind](s, x[t], h, c, weight[d], loop[d], b, peep, functions, size)
                steps.append(h)
            outs.append(ds.stack(steps[::-1] if backwards else steps))
            finals.append(h)
            cells.append(c)
        y, y_h, y_c = ds.stack(outs, 1), ds.stack(finals), ds.stack(cells)
        if s.attr("layout", 0):
            y, y_h, y_c = ds.permute(y, (2, 0, 1, 3)), ds.transpose(y_h, 0, 1), ds.transpose(y_c, 0, 1)
        return [y, y_h, y_c]

    return read


def _rnn_cell(s: Step, x: Any, h: Any, c: Any, w: Any, r: Any, b: Any, peep: Any, f: Any, n: int) -> Any:
    first, second = (None, None) if b is None else (b[:n], b[n:])
    return f[0](ds.linear(x, w, first) + ds.linear(h, r, second)), c


def _lstm_cell(s: Step, x: Any, h: Any, c: Any, w: Any, r: Any, b: Any, peep: Any, f: Any, n: int) -> Any:
    first, second = (None, None) if b is None else (b[: 4 * n], b[4 * n :])
    gates = ds.linear(x, w, first) + ds.linear(h, r, second)
    i, o, forget, g = (gates[:, k * n : (k + 1) * n] for k in range(4))
    if peep is not None:
        i, forget = i + peep[:n] * c, forget + peep[2 * n :] * c
    c = f[0](forget) * c + f[0](i) * f[1](g)
    if peep is not None:
        o = o + peep[n : 2 * n] * c
    return f[0](o) * f[2](c), c


def _gru_cell(s: Step, x: Any, h: Any, c: Any, w: Any, r: Any, b: Any, peep: Any, f: Any, n: int) -> Any:
    first, second = (None, None) if b is None else (b[: 3 * n], b[3 * n :])
    to, back = ds.linear(x, w, first), ds.linear(h, r[: 2 * n], None if second is None else second[: 2 * n])
    z, reset = f[0](to[:, :n] + back[:, :n]), f[0](to[:, n : 2 * n] + back[:, n:])
    last = None if second is None else second[2 * n :]
    if s.attr("linear_before_reset", 0):
        fresh = f[1](to[:, 2 * n :] + reset * ds.linear(h, r[2 * n :], last))
    else:
        fresh = f[1](to[:, 2 * n :] + ds.linear(reset * h, r[2 * n :], last))
    return (1 - z) * fresh + z * h, c


CELLS = {"RNN": _rnn_cell, "LSTM": _lstm_cell, "GRU": _gru_cell}
for _kind in CELLS:
    READ[_kind] = _sequence(_kind)
