"""Is a gradient right? Checked against differences in float64, for functions and for ops of one's own.

Central differences along random directions: (f(x + h d) - f(x - h d)) / 2h equals the gradient's product with d.
Read as `ds.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from engine.autograd import grad
from engine.custom import CustomOp
from engine.errors import shape_text
from engine.located import located
from engine.op import OPS, Op
from engine.tensor import Tensor, as_tensor


class GradientError(AssertionError, RuntimeError):
    """A gradient that is not what differences say; the text names the argument and both numbers."""


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    directions: int = 3, raise_exception: bool = True, **ways: Any,
) -> bool:  # fmt: skip
    """Check the gradient of `func(*inputs)` for every floating or complex input, in float64. Returns True.

    `inputs` are tensors, arrays or anything else that `fn` takes. Raises `GradientError` that names the input, what
    its gradient says along a direction and what the difference is; without `raise_exception` it returns False. The
    other options are PyTorch's, and change nothing.

    >>> import engine as ds
    >>> gradcheck(lambda x: ds.tanh(x) * 3, [ds.randn(4)])
    True
    """
    _known(ways)
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    try:
        _compared(func, given, eps, atol, rtol, directions)
    except GradientError:
        if raise_exception:
            raise
        return False
    return True


# How far apart floats may be that are told no distance, by PyTorch's table.
NEAR = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False,
    check_device: bool = True, check_dtype: bool = True, msg: Any = None, **ways: Any,
) -> None:  # fmt: skip
    """Raise `AssertionError` unless tensors, numbers, or lists and dicts of them agree, and say where they do not.

    They agree where |actual - expected| <= atol + rtol |expected|; told neither, both follow from the dtype.

    >>> import engine as ds
    >>> assert_close(ds.tensor([1.0, 2.0]), ds.tensor([1.0, 2.0 + 1e-7]))
    """
    both: dict[str, Any] = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_device": check_device,
        "check_dtype": check_dtype,
    }
    if isinstance(expected, dict):
        _agree(set(actual) == set(expected), msg, f"the keys are {sorted(actual)} and {sorted(expected)}")
        for key, value in expected.items():
            assert_close(actual[key], value, msg=msg or f"under {key!r}: {{}}", **both)
        return
    if isinstance(expected, (list, tuple)):
        _agree(len(actual) == len(expected), msg, f"there are {len(actual)} and {len(expected)} of them")
        for index, (a, b) in enumerate(zip(actual, expected, strict=True)):
            assert_close(a, b, msg=msg or f"at [{index}]: {{}}", **both)
        return
    if (rtol is None) != (atol is None):
        raise located(ValueError("assert_close: rtol and atol are given together or not at all"))
    a, b = as_tensor(actual).detach(), as_tensor(expected).detach()
    _agree(a.shape == b.shape, msg, f"the shapes are {shape_text(a.shape)} and {shape_text(b.shape)}")
    _agree(a.device == b.device or not check_device, msg, f"the devices are {a.device} and {b.device}")
    _agree(a.dtype == b.dtype or not check_dtype, msg, f"the dtypes are {a.dtype} and {b.dtype}")
    table = [NEAR.get(t.dtype.name, (0.0, 0.0)) for t in (a, b)]
    relative = max(row[0] for row in table) if rtol is None else rtol
    absolute = max(row[1] for row in table) if atol is None else atol
    left, right = a.cpu().array, b.cpu().array
    near = np.isclose(left, right, rtol=relative, atol=absolute, equal_nan=equal_nan)
    if near.all():
        return
    wide = np.abs(left.astype(np.result_type(left, "f8")) - right.astype(np.result_type(right, "f8")))
    worst = np.unravel_index(
        int(np.argmax(np.where(near, -1, np.where(np.isnan(wide), np.inf, wide)))), wide.shape
    )
    place = f" at {tuple(int(i) for i in worst)}" if wide.ndim else ""
    _agree(
        False, msg,
        f"{int((~near).sum())} of {near.size} elements differ, most{place}: {left[worst]} and {right[worst]} "
        f"(allowed: {absolute} + {relative} of the second)",
    )  # fmt: skip


def _agree(holds: Any, msg: Any, text: str) -> None:
    if not holds:
        raise AssertionError(msg(text) if callable(msg) else msg.format(text) if msg else text)


# PyTorch's options of what else is looked at, or how: there is one way here, which is its fast one.
WAYS = {
    "nondet_tol", "check_undefined_grad", "check_grad_dtypes", "check_batched_grad", "check_batched_forward_grad",
    "check_forward_ad", "check_backward_ad", "check_fwd_over_rev", "check_rev_over_rev", "gen_non_contig_grad_outputs",
    "fast_mode", "masked",
}  # fmt: skip


def _known(ways: dict[str, Any]) -> None:
    for name in ways:
        if name not in WAYS:
            raise located(TypeError(f"gradcheck has no option {name!r}"))


def _compared(
    func: Callable[..., Any], inputs: Sequence[Any], eps: float, atol: float, rtol: float, directions: int
) -> None:
    """Raise `GradientError` for the first gradient that differences do not agree with."""
    points = [_point(value) for value in inputs]
    rng = np.random.default_rng(0)
    outs = _results(func(*points))
    weights = [_drawn(rng, out) for out in outs]
    wanted = [p for p in points if _differentiable(p)]
    if not wanted:
        raise located(TypeError("gradcheck needs at least one floating or complex input"))
    flowing = [(out, w) for out, w in zip(outs, weights, strict=True) if out.requires_grad]
    found: list[Any] = [None] * len(wanted)
    if flowing:
        found = list(
            grad([o for o, _ in flowing], wanted, [Tensor(w) for _, w in flowing], allow_unused=True)
        )
    gradients = iter(found)

    def value(at: int, array: Any) -> float:
        moved = [Tensor(array) if i == at else p for i, p in enumerate(points)]
        return sum(_along(o.array, w) for o, w in zip(_results(func(*moved)), weights, strict=True))

    for i, point in enumerate(points):
        if not _differentiable(point):
            continue
        g = next(gradients)
        for _ in range(directions):
            d = _drawn(rng, point)
            expected = (value(i, point.array + eps * d) - value(i, point.array - eps * d)) / (2 * eps)
            got = 0.0 if g is None else _along(g.array, d)
            if not abs(got - expected) <= atol + rtol * abs(expected):
                what = "no gradient" if g is None else f"{got:.6g}"
                raise GradientError(
                    f"the gradient of inputs[{i}] (shape {shape_text(point.shape)}) along a direction is {what}, "
                    f"differences say {expected:.6g}"
                )


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, **tolerances: Any) -> bool:
    """Check the gradient of the gradient of `func(*inputs)`, as `gradcheck` does the gradient. Returns True.

    >>> import engine as ds
    >>> gradgradcheck(lambda x: x**3, [ds.randn(4)])
    True
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    places = [i for i, value in enumerate(inputs) if _differentiable(_point(value))]
    rng = np.random.default_rng(1)
    given = () if grad_outputs is None else _results(grad_outputs)
    weights = [Tensor(w.array.astype(np.result_type(w.array, np.float64))) for w in given] or [
        Tensor(_drawn(rng, o)) for o in _results(func(*[_point(v) for v in inputs]))
    ]

    def first(*points: Any) -> Any:
        leaves = [
            p if not _differentiable(p) or p.requires_grad else Tensor(p.array, requires_grad=True)
            for p in points
        ]
        outs = _results(func(*leaves))
        found = grad(outs, [leaves[i] for i in places], weights, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(first, inputs, **tolerances)


def check_op(op: Any, samples: Iterable[Any], *, second: bool = False, **tolerances: Any) -> int:
    """Check an op on `samples`, each the tuple of its arguments (a dict at the end: its attributes).

    Checks what the shape and the dtype rule promise against what comes, that raising inputs is the op's own
    business, and the gradient against differences; with `second`, the gradient's gradient too.
    Returns how many samples were checked. Raises `GradientError` or `AssertionError` that names op and sample.
    """
    record: Op = op.op if isinstance(op, CustomOp) else OPS[op] if isinstance(op, str) else op
    if not callable(op) and isinstance(op, (Op, str)):
        raise located(
            TypeError(
                f"check_op takes the function that applies {record.name}, such as what @ds.custom_op made"
            )
        )
    count = 0
    for count, sample in enumerate(samples, 1):
        args = list(sample) if isinstance(sample, (tuple, list)) else [sample]
        attributes = args.pop() if args and isinstance(args[-1], dict) else {}
        if isinstance(op, CustomOp):
            attributes = {**op.defaults, **attributes}
        where = f"{record.name}, sample {count}"
        points = [_point(a) for a in args]
        outs = _results(op(*points, **attributes))
        _promised(record, points, attributes, outs, where)
        if not any(_differentiable(p) for p in points) or not any(o.requires_grad for o in outs):
            continue

        def call(*given: Any, attributes: dict[str, Any] = attributes) -> Any:
            return op(*given, **attributes)

        try:
            gradcheck(call, args, **tolerances)
            if second:
                gradgradcheck(call, args, **tolerances)
        except GradientError as error:
            raise GradientError(f"{where}: {error}") from None
    if not count:
        raise located(ValueError(f"no samples were given for {record.name}: nothing was checked"))
    return count


def _promised(record: Op, points: list[Any], attributes: dict[str, Any], outs: list[Any], where: str) -> None:
    shapes = record.shape(*[getattr(p, "shape", p) for p in points], **attributes)
    dtypes = record.dtype(*[getattr(p, "dtype", p) for p in points], **attributes)
    if shapes is not None:
        promised = [tuple(s) for s in shapes] if record.outputs != 1 else [tuple(shapes)]
        got = [out.shape for out in outs]
        if promised != got:
            raise AssertionError(f"{where}: the shape rule promised {promised}, got {got}")
    if dtypes is not None:
        each = list(dtypes) if isinstance(dtypes, (list, tuple)) else [dtypes] * len(outs)
        names = [np.dtype(d).name for d in each]
        got_names = [out.dtype.name for out in outs]
        if names != got_names:
            raise AssertionError(f"{where}: the dtype rule promised {names}, got {got_names}")


def _drawn(rng: Any, like: Any) -> Any:
    """Normal numbers of the shape of `like`, complex where it is."""
    numbers = rng.standard_normal(like.shape)
    return numbers + 1j * rng.standard_normal(like.shape) if like.is_complex() else numbers


def _along(a: Any, b: Any) -> float:
    """How far `a` reaches along `b`, both real or complex: how a real value of gradient `a` changes in a step `b`."""
    return float((a * b.conj()).sum().real)


def _point(value: Any) -> Any:
    """Floating and complex tensors and arrays as float64 or complex128 leaves; everything else as it is."""
    array = value.array if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        return value
    if array.dtype.kind not in "fc":
        return Tensor(array)
    return Tensor(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64), requires_grad=True)


def _differentiable(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _results(value: Any) -> list[Any]:
    found = list(value) if isinstance(value, (tuple, list)) else [value]
    return [v for v in found if _differentiable(v)]
