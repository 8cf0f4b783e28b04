"""Every sample row: shape and dtype rules, differences to second order, PyTorch, and errors."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sample_row import Row
from samples import ERRORS, SAMPLES

import engine as ds
from engine import Tensor, grad
from engine.bus import bus
from engine.op import OPS

rows = pytest.mark.parametrize("row", SAMPLES, ids=[f"{i}-{row}" for i, row in enumerate(SAMPLES)])


def tensors(row: Row, dtype: str = "float64") -> list[Tensor]:
    return [Tensor(a, requires_grad=a.dtype.kind in "fc") for a in row.arrays(dtype)]


def results(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def floating(values: list[Any]) -> list[Any]:
    return [v for v in values if v.dtype.kind in "fc" and v.requires_grad]


def seeds(values: list[Any], salt: int) -> list[Any]:
    rng = np.random.default_rng(salt)
    return [drawn(rng, v) for v in values]


def drawn(rng: Any, like: Any) -> Any:
    """Normal numbers of the shape and type of `like`."""
    numbers = rng.standard_normal(like.shape).astype(like.dtype)
    return numbers + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else numbers


def along(a: Any, b: Any) -> float:
    """How far `a` reaches along `b`, both real or complex: the change of a real loss of gradient `a` in a step `b`."""
    return float(np.real(a * np.conj(b)).sum())


def test_every_op_has_a_sample() -> None:
    sampled = {row.op for row in SAMPLES}
    missing = [name for name, op in OPS.items() if name not in sampled and op.phase == 0 and not op.custom]
    assert not missing
    assert sampled <= set(OPS)


def test_every_op_is_documented() -> None:
    for op in OPS.values():
        assert op.doc, op
        assert op.formula, op


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@rows
def test_the_rules_say_what_comes(row: Row, dtype: str) -> None:
    ran: list[str] = []

    def started(kind: str, node: Any) -> None:
        if kind == "op_start":
            given = [getattr(a, "shape", a) for a in node.arrays]
            kinds = [getattr(a, "dtype", a) for a in node.arrays]
            pending[:] = [node.op.shape(*given, **node.kwargs), node.op.dtype(*kinds, **node.kwargs)]
            return
        ran.append(node.op.name)
        shape, kind_ = pending
        if node.outputs:
            each = kind_ if isinstance(kind_, (list, tuple)) else [kind_] * len(shape)
            assert [(s, np.dtype(d)) for s, d in zip(shape, each, strict=True)] == node.outputs
        else:
            assert tuple(shape) == node.shape
            assert np.dtype(kind_) == node.dtype

    failed: list[BaseException] = []

    def sink(kind: str, node: Any) -> None:
        try:
            started(kind, node)
        except BaseException as error:  # noqa: BLE001 - a sink's error would only detach it
            failed.append(error)

    pending: list[Any] = []
    inputs = tensors(row, dtype)
    with bus.subscribe(sink, "op_start", "op_finish"):
        row.ours(*inputs)
    assert not failed, failed
    assert row.op in ran


@rows
def test_gradients_are_those_of_differences(row: Row) -> None:
    inputs = tensors(row)
    outs = floating(results(row.ours(*inputs)))
    if not outs or not row.exact:
        return
    weights = seeds(outs, 1)

    def value(arrays: list[Any]) -> float:
        made = [r for r in results(row.ours(*[Tensor(a) for a in arrays])) if r.dtype.kind in "fc"]
        return sum(along(m.array, w) for m, w in zip(made, weights, strict=True))

    check(value, inputs, gradients(outs, inputs, [Tensor(w) for w in weights]))


@rows
def test_second_gradients_are_those_of_differences(row: Row) -> None:
    inputs = tensors(row)
    outs = floating(results(row.ours(*inputs)))
    if not outs:
        return
    weights = [Tensor(w) for w in seeds(outs, 1)]

    def first(arrays: list[Any], create: bool) -> list[Any]:
        points = [Tensor(a, requires_grad=a.dtype.kind in "fc") for a in arrays]
        made = floating(results(row.ours(*points)))
        return [points, gradients(made, points, weights, create)]

    points, firsts = first([t.array for t in inputs], True)
    again = [i for i, g in enumerate(firsts) if g is not None and g.requires_grad]
    if not again or not row.exact:
        return
    directions = seeds([firsts[i] for i in again], 2)

    def value(arrays: list[Any]) -> float:
        found = first(arrays, False)[1]
        return sum(along(found[i].array, d) for i, d in zip(again, directions, strict=True))

    seconds = gradients([firsts[i] for i in again], points, [Tensor(d) for d in directions])
    check(value, points, seconds, 2e-6)


def gradients(
    outs: list[Any], inputs: list[Tensor], weights: list[Tensor], create: bool = False
) -> list[Any]:
    """The gradient of each input, None for one without."""
    wanted = [t for t in inputs if t.requires_grad]
    found = iter(grad(outs, wanted, weights, create_graph=create, allow_unused=True))
    return [next(found) if t.requires_grad else None for t in inputs]


def check(value: Any, inputs: list[Tensor], found: list[Any], tolerance: float = 1e-6) -> None:
    """Along a random direction of each input, the gradient is the central difference of `value`."""
    step = 1e-6
    arrays = [t.array for t in inputs]
    for i, g in enumerate(found):
        if arrays[i].dtype.kind not in "fc":
            continue
        direction = drawn(np.random.default_rng(i), arrays[i])
        there, back = list(arrays), list(arrays)
        there[i] = arrays[i] + step * direction
        back[i] = arrays[i] - step * direction
        difference = (value(there) - value(back)) / (2 * step)
        expected = 0.0 if g is None else along(g.array, direction)
        assert expected == pytest.approx(difference, rel=tolerance * 100, abs=tolerance * 10)


numbered = [row for row in SAMPLES if row.numpy is not None]


@pytest.mark.parametrize("row", numbered, ids=[f"{i}-{row}" for i, row in enumerate(numbered)])
def test_numpy_says_the_same(row: Row) -> None:
    assert row.numpy is not None
    with np.errstate(all="ignore"):
        expected = row.numpy(*row.arrays())
    found = row.ours(*tensors(row))
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.array, expected, rtol=1e-9, atol=1e-9)


@rows
def test_pytorch_says_the_same(row: Row) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    if row.theirs is None:
        assert OPS[row.op]  # an inner part, or PyTorch cannot do it
        return
    inputs = tensors(row)
    others = [torch.tensor(a, requires_grad=a.dtype.kind in "fc") for a in row.arrays()]
    ours, theirs = results(row.ours(*inputs)), row.theirs(*others)
    theirs = [theirs] if isinstance(theirs, torch.Tensor) else list(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.array, b.detach().resolve_conj().numpy(), rtol=1e-9, atol=1e-9)
    outs = floating(ours)
    if not outs:
        return
    weights = seeds(outs, 1)
    found = [
        g
        for g, t in zip(gradients(outs, inputs, [Tensor(w) for w in weights]), inputs, strict=True)
        if t.requires_grad
    ]
    wanted = [t for t in others if t.requires_grad]
    made = [t for t in theirs if t.requires_grad]
    expected = torch.autograd.grad(made, wanted, [torch.tensor(w) for w in weights], allow_unused=True)
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            0.0 if g is None else g.array,
            0.0 if e is None else e.resolve_conj().numpy(),
            rtol=1e-8,
            atol=1e-9,
        )


@pytest.mark.parametrize("case", ERRORS, ids=[f"{i}-{e[0]}" for i, e in enumerate(ERRORS)])
def test_errors_say_what_is_wrong(case: tuple[str, Any, type[Exception], str]) -> None:
    _, call, kind, words = case
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)


HUGE = "ds.full((2,), 3e38)"


@pytest.mark.parametrize(
    "expression",
    [
        f"{HUGE} * 10",
        f"{HUGE} + {HUGE}",
        f"ds.outer({HUGE}, {HUGE}) @ {HUGE}",
        f"{HUGE} / 0",
        f"ds.nn.functional.linear({HUGE}, {HUGE}[None])",
        f"{HUGE}.half()",
    ],
)
def test_infinity_is_a_result_also_where_the_program_makes_warnings_errors(expression: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert eval(expression, {"ds": ds}).isinf().all()


def test_numpys_warnings_are_not_the_programs() -> None:
    code = f"import dsviz as ds; print(({HUGE} * 10 - {HUGE} * 10).isnan().all().item())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_short_line_has_the_gradient_of_its_running_product(count: int) -> None:
    x = Tensor(np.arange(2.0, 2.0 + count), requires_grad=True)
    (found,) = grad(x.cumprod(0).sum(), x)
    products = np.cumprod(x.array)
    np.testing.assert_allclose(found.numpy(), [products[i:].sum() / x.array[i] for i in range(count)])
