"""Convolution and its transpose over one, two and three dimensions.

Input is [batch, channels, spatial...] or without the batch, weight [out, in / groups, kernel...]
(transposed: [in, out / groups, kernel...]).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine import dtype
from engine.complexes import is_complex
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.op import Op, op
from engine.ops import convolve
from engine.ops.complex import complex as make_complex
from engine.ops.nested import nested, on_gpu
from engine.ops.window import Window, each, frozen, window
from engine.pending import Remade, there
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

PLACES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
SOURCE = "Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, arXiv:1603.07285"


# --- shapes --------------------------------------------------------------------------------------------


def checked(rank: int, x: Any, weight: Any, bias: Any, groups: Any, transposed: bool) -> tuple[Shape, Shape]:
    """The shapes of input and weight when they belong together, else `ShapeClash`."""
    x, weight = sizes(x), sizes(weight)
    places = PLACES[rank]
    if len(weight) != rank + 2:
        leads = ("in", "out / groups") if transposed else ("out", "in / groups")
        expected = [*leads, *(f"kernel {place}" for place in places)]
        raise ShapeClash(
            expected, 1, [], f"{{op}} needs {{1}} with {rank + 2} dimensions, {{1}} has {len(weight)}."
        )
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ArgumentProblem(ValueError, f"groups has to be an int of at least 1, got {groups!r}")
    if weight[0] % groups:
        what = "input" if transposed else "output"
        raise ArgumentProblem(
            ValueError, f"groups={groups} does not divide the {weight[0]} {what} channels of {{1}}", 1
        )
    channels = weight[0] if transposed else weight[1] * groups
    if len(x) not in (rank + 1, rank + 2):
        raise ShapeClash(
            ["batch", channels, *places],
            0,
            [],
            f"{{op}} needs {{0}} with {rank + 2} dimensions, or {rank + 1} without the batch, {{0}} "
            f"has {len(x)}.",
        )
    at = len(x) - rank - 1
    if x[at] != channels:
        expected = [*(("batch",) if at else ()), channels, *x[at + 1 :]]
        plural = "channel" if channels == 1 else "channels"
        raise ShapeClash(
            expected,
            0,
            [(0, at), (1, 0 if transposed else 1)],
            f"{{module}} expects {channels} {plural}, but {{0}} has {x[at]}.",
        )
    filters = weight[1] * groups if transposed else weight[0]
    if bias is not None and sizes(bias) != (filters,):
        raise ShapeClash(
            [filters],
            2,
            [(2, 0), (1, 1 if transposed else 0)] if len(sizes(bias)) == 1 else [],
            f"{{2}} needs one number for each of {filters} output channels, it has shape "
            f"{list(sizes(bias))}.",
        )
    return x, weight


def conv_shape(
    x: Any, weight: Any, bias: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Shape:
    """Each spatial size is the number of windows that fit."""
    rank = len(sizes(weight)) - 2
    x, weight = checked(rank, x, weight, bias, groups, False)
    w = window(weight[2:], stride, padding, dilation)
    out = w.out(x[-rank:])
    for i, n in enumerate(out):
        if n < 1:
            least = w.reach[i] + 1
            extent = x[len(x) - rank + i] + sum(w.padding[i])
            expected = list(x)
            expected[len(x) - rank + i] = f"at least {least - sum(w.padding[i])}"
            raise ShapeClash(
                expected,
                0,
                [(0, len(x) - rank + i), (1, i + 2)],
                f"a window of {{module}} covers {least} in {PLACES[rank][i]}, but {{0}} with its "
                f"padding has {extent}.",
            )
    return (*x[: len(x) - rank - 1], weight[0], *out)


def transposed_window(kernel: Shape, stride: Any, padding: Any, output_padding: Any, dilation: Any) -> Window:
    """The window of a transposed convolution; the extra rows count as padding not taken away."""
    w = window(kernel, stride, padding, dilation)
    if output_padding == 0:
        return w
    extra = each(output_padding, len(kernel), "output_padding")
    for e, s, d in zip(extra, w.stride, w.dilation, strict=True):
        if e >= max(s, d):
            raise ArgumentProblem(
                ValueError,
                f"output_padding has to be smaller than stride or dilation, got {output_padding!r}",
            )
    pairs = tuple((before, after - e) for (before, after), e in zip(w.padding, extra, strict=True))
    return w._replace(padding=pairs)


def conv_transpose_shape(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Shape:
    """Each spatial size is what has as many windows as the input has elements."""
    rank = len(sizes(weight)) - 2
    if isinstance(padding, str):
        raise ArgumentProblem(
            ValueError, f"padding of a transposed convolution has to be in numbers, got {padding!r}"
        )
    x, weight = checked(rank, x, weight, bias, groups, True)
    out = transposed_window(weight[2:], stride, padding, output_padding, dilation).back(x[-rank:])
    for i, n in enumerate(out):
        if n < 1:
            raise ArgumentProblem(
                ValueError,
                f"the output would have {n} in {PLACES[rank][i]}: padding={padding!r} takes it all away",
            )
    return (*x[: len(x) - rank - 1], weight[1] * groups, *out)


def with_rank(rank: int, rule: Any) -> Any:
    """A shape rule that knows its rank also when the weight has the wrong one."""

    def ranked(x: Any, weight: Any, bias: Any = None, **attrs: Any) -> Shape:
        if len(sizes(weight)) != rank + 2:
            checked(rank, x, weight, bias, 1, rule is conv_transpose_shape)
        return rule(x, weight, bias, **attrs)  # type: ignore[no-any-return]

    return ranked


def conv_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """Channels come from the weight, a spatial size from the input and the kernel."""
    weight, x = sizes(shapes[1]), sizes(shapes[0])
    channel = len(out) - len(weight) + 1
    if dim == channel:
        return [(1, 0)]
    return [(0, dim)] if dim < channel or not x else [(0, dim), (1, dim - channel + 1)]


def conv_transpose_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """As `conv_origin`; the output channels are the second dimension of the weight."""
    found = conv_origin(shapes, attrs, out, dim)
    return [(1, 1)] if found == [(1, 0)] else found


def conv_weight_shape(
    x: Any, grad: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Shape:
    """The shape of the weight."""
    return (sizes(grad)[1], sizes(x)[1] // groups, *kernel)


# --- gradients -----------------------------------------------------------------------------------------


def _to_bias(xp: Any, g: Any, bias: Any) -> Any:
    """The gradient of the bias, where one is wanted."""
    if bias is None or not getattr(bias, "requires", False):
        return None
    if on_gpu(xp):
        from engine.gpu.layout import flat, is_last

        if is_last(g):
            return xp.sum(flat(g), axis=(0, 1, 2))
    return xp.sum(xp.sum(g.reshape(*g.shape[:2], -1), axis=2), axis=0)


def _conv_vjp(
    xp: Any, g: Any, out: Any, input: Any, weight: Any, bias: Any,
    *, stride: Any, padding: Any, dilation: Any, groups: Any, size: Shape, kernel: Shape,
) -> Any:  # fmt: skip
    rank = len(kernel)
    input = there(input)
    if g.ndim == rank + 1:
        input = None if input is None else input[None]
        found = _conv_vjp(
            xp, g[None], out, input, weight, bias,
            stride=stride, padding=padding, dilation=dilation, groups=groups, size=size, kernel=kernel,
        )  # fmt: skip
        return (None if found[0] is None else found[0][0], *found[1:])
    w = window(kernel, stride, padding, dilation)
    to_input = to_weight = None
    if weight is not None:
        # Rows of the input that no window reached count as output padding.
        pairs = tuple(
            (before, after - (n - least))
            for (before, after), n, least in zip(w.padding, size, w.back(g.shape[2:]), strict=True)
        )
        to_input = nested(
            xp, CONV_TRANSPOSE[rank], g, weight, None,
            stride=w.stride, padding=pairs, output_padding=0, groups=groups, dilation=w.dilation,
        )  # fmt: skip
    if input is not None:
        to_weight = nested(
            xp, CONV_WEIGHT, input, g,
            kernel=kernel, stride=w.stride, padding=w.padding, dilation=w.dilation, groups=groups,
        )  # fmt: skip
    return to_input, to_weight, _to_bias(xp, g, bias)


def _conv_transpose_vjp(
    xp: Any, g: Any, out: Any, input: Any, weight: Any, bias: Any,
    *, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any, kernel: Shape,
) -> Any:  # fmt: skip
    rank = len(kernel)
    if g.ndim == rank + 1:
        input = None if input is None else input[None]
        found = _conv_transpose_vjp(
            xp, g[None], out, input, weight, bias, stride=stride, padding=padding,
            output_padding=output_padding, groups=groups, dilation=dilation, kernel=kernel,
        )  # fmt: skip
        return (None if found[0] is None else found[0][0], *found[1:])
    w = transposed_window(kernel, stride, padding, output_padding, dilation)
    to_input = to_weight = None
    attrs = {"stride": w.stride, "padding": w.padding, "dilation": w.dilation, "groups": groups}
    if weight is not None:
        to_input = nested(xp, CONV[rank], g, weight, None, **attrs)
    if input is not None:
        to_weight = nested(xp, CONV_WEIGHT, g, input, kernel=kernel, **attrs)
    return to_input, to_weight, _to_bias(xp, g, bias)


def _conv_weight_vjp(
    xp: Any, g: Any, out: Any, input: Any, grad: Any,
    *, kernel: Shape, stride: Any, padding: Any, dilation: Any, groups: int, size: Shape,
) -> Any:  # fmt: skip
    rank = len(kernel)
    w = Window(kernel, stride, padding, dilation)
    to_input = to_grad = None
    if grad is not None:
        pairs = tuple(
            (before, after - (n - least))
            for (before, after), n, least in zip(w.padding, size, w.back(grad.shape[2:]), strict=True)
        )
        to_input = nested(
            xp, CONV_TRANSPOSE[rank], grad, g, None,
            stride=stride, padding=pairs, output_padding=0, groups=groups, dilation=dilation,
        )  # fmt: skip
    if input is not None:
        to_grad = nested(
            xp, CONV[rank], input, g, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    return to_input, to_grad


# --- the records ---------------------------------------------------------------------------------------

BILINEAR: dict[str, Any] = {
    "family": "linear",
    "dtype": dtype.promoted,
    "saves": ("input", "weight"),
    "saved_for": {"input": ("weight",), "weight": ("input",)},
    "check": True,
    "source": SOURCE,
}


def _conv(
    xp: Any, input: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Each output channel is the input correlated with a kernel of its own."""
    rank = weight.ndim - 2
    w = window(weight.shape[2:], stride, padding, dilation)
    x = input if input.ndim == rank + 2 else input[None]
    out = convolve.correlate(xp, x, weight, bias, w, groups)
    return out if input.ndim == rank + 2 else out[0], x.shape[2:], w.kernel


def _conv_transpose(
    xp: Any, input: Any, weight: Any, bias: Any,
    *, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any,
) -> Any:  # fmt: skip
    """Each element of the input adds a kernel to the output: the gradient of a convolution for its input."""
    rank = weight.ndim - 2
    w = transposed_window(weight.shape[2:], stride, padding, output_padding, dilation)
    x = input if input.ndim == rank + 2 else input[None]
    out = convolve.spread(xp, x, weight, bias, w, groups, w.back(x.shape[2:]))
    return out if input.ndim == rank + 2 else out[0], w.kernel


CONV: dict[int, Op] = {}
CONV_TRANSPOSE: dict[int, Op] = {}
for _rank in (1, 2, 3):
    CONV[_rank] = op(
        f"conv{_rank}d",
        **BILINEAR,
        shape=with_rank(_rank, conv_shape),
        origin=conv_origin,
        vjp=_conv_vjp,
        extras=("size", "kernel"),
        onnx="Conv",
        formula="out[o] = bias[o] + Σ over c, k of weight[o, c, k] · input[c, stride · i + dilation "
        "· k - padding]",
    )(_conv)
    CONV_TRANSPOSE[_rank] = op(
        f"conv_transpose{_rank}d",
        **BILINEAR,
        shape=with_rank(_rank, conv_transpose_shape),
        origin=conv_transpose_origin,
        vjp=_conv_transpose_vjp,
        extras=("kernel",),
        onnx="ConvTranspose",
        formula="out[o, stride · i + dilation · k - padding] += Σ over c of weight[c, o, k] · input[c, i]",
    )(_conv_transpose)


@op(
    "conv_weight",
    family="linear",
    shape=conv_weight_shape,
    dtype=dtype.promoted,
    vjp=_conv_weight_vjp,
    saves=("input", "grad"),
    saved_for={"input": ("grad",), "grad": ("input",)},
    extras=("size",),
    formula="out[o, c, k] = Σ over n, i of grad[n, o, i] · input[n, c, stride · i + dilation · k - padding]",
    source=SOURCE,
)
def CONV_WEIGHT(
    xp: Any, input: Any, grad: Any,
    *, kernel: Shape, stride: Any, padding: Any, dilation: Any, groups: int,
) -> Any:  # fmt: skip
    """The gradient of a convolution for its weight."""
    w = Window(kernel, stride, padding, dilation)
    return convolve.weigh(xp, input, grad, w, groups), input.shape[2:]


# --- the functions people call -------------------------------------------------------------------------


def _by_parts(rank: int, input: Any, weight: Any, bias: Any, one: Callable[[Any, Any], Tensor]) -> Tensor:
    """A convolution of complex numbers as those of their parts, each `one(input, weight)`."""
    xs, ws = ([t.real, t.imag] if is_complex(t) else [t] for t in (input, weight))
    real = one(xs[0], ws[0])
    if len(xs) == len(ws) == 2:
        real, imag = real - one(xs[1], ws[1]), one(xs[0], ws[1]) + one(xs[1], ws[0])
    else:
        imag = one(xs[-1], ws[-1])
    made = make_complex(real, imag)
    return made if bias is None else made + bias.reshape(-1, *[1] * rank)


def _convolved(
    rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    if is_complex(input) or is_complex(weight):
        return _by_parts(
            rank, input, weight, bias,
            lambda x, w: _convolved(rank, x, w, None, stride, padding, dilation, groups),
        )  # fmt: skip
    attrs = {
        "stride": frozen(stride),
        "padding": frozen(padding),
        "dilation": frozen(dilation),
        "groups": groups,
    }
    made: Tensor = apply(CONV[rank], (input, weight, bias), attrs)
    saved = made.node.saved
    if saved and saved[0] is not None:
        # What the gradient of the op before computes again is not kept here either.
        source = made.node.inputs[0]
        kept = None if source is None else source.saved
        if kept and type(kept[-1]) is Remade and kept[-1].alive() is saved[0]:
            made.node.saved = (kept[-1], *saved[1:])
    return made


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over one dimension: [batch, in, length] with `weight` [out, in / groups, kernel].

    `padding` is a number of zeros at both ends, "same" (output as long as the input) or "valid" (none).
    Raises `ShapeMismatchError` for other channels than the weight has, or an input shorter than a window.
    """
    return _convolved(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over two dimensions: [batch, in, height, width] with `weight` [out, in / groups, kernel,
    kernel].

    `stride`, `padding` and `dilation` are an int or a pair; `padding` may be "same" or "valid".
    Raises `ShapeMismatchError` for other channels than the weight has, or an input smaller than a window.
    """
    return _convolved(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over three dimensions: [batch, in, depth, height, width]; otherwise as `conv2d`."""
    return _convolved(3, input, weight, bias, stride, padding, dilation, groups)


def _transposed(
    rank: int, input: Any, weight: Any, bias: Any,
    stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    if is_complex(input) or is_complex(weight):
        return _by_parts(
            rank, input, weight, bias,
            lambda x, w: _transposed(rank, x, w, None, stride, padding, output_padding, groups, dilation),
        )  # fmt: skip
    attrs = {
        "stride": frozen(stride),
        "padding": frozen(padding),
        "output_padding": frozen(output_padding),
        "groups": groups,
        "dilation": frozen(dilation),
    }
    return apply(CONV_TRANSPOSE[rank], (input, weight, bias), attrs)  # type: ignore[no-any-return]


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution over one dimension: [batch, in, length] with `weight` [in, out / groups,
    kernel].

    The length becomes `(length - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1`.
    Raises `ShapeMismatchError` for other channels than the weight has.
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution over two dimensions; as `conv_transpose1d` in each."""
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution over three dimensions; as `conv_transpose1d` in each."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
