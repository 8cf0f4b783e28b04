"""Every sample row: shape and dtype rules, differences to second order, PyTorch, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples_arrange
import samples_normal
import samples_spatial
from sample_row import Row

from engine import Tensor, grad
from engine.bus import bus
from engine.op import OPS

ROWS: list[Row] = samples_spatial.SAMPLES + samples_normal.SAMPLES + samples_arrange.SAMPLES
ERRORS = samples_spatial.ERRORS + samples_normal.ERRORS + samples_arrange.ERRORS

rows = pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{row}" for i, row in enumerate(ROWS)])


def tensors(row: Row, dtype: str = "float64") -> list[Tensor]:
    return [Tensor(a, requires_grad=a.dtype.kind == "f") for a in row.arrays(dtype)]


def results(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def floating(values: list[Any]) -> list[Any]:
    return [v for v in values if v.dtype.kind == "f" and v.requires_grad]


def seeds(values: list[Any], salt: int) -> list[Any]:
    rng = np.random.default_rng(salt)
    return [rng.standard_normal(v.shape).astype(v.dtype) for v in values]


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
            assert [(s, np.dtype(d)) for s, d in zip(shape, kind_, strict=True)] == node.outputs
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
    if not outs:
        return
    weights = seeds(outs, 1)

    def value(arrays: list[Any]) -> float:
        made = [r for r in results(row.ours(*[Tensor(a) for a in arrays])) if r.dtype.kind == "f"]
        return float(sum((m.array * w).sum() for m, w in zip(made, weights, strict=True)))

    check(value, inputs, grad(outs, inputs, [Tensor(w) for w in weights], allow_unused=True))


@rows
def test_second_gradients_are_those_of_differences(row: Row) -> None:
    inputs = tensors(row)
    outs = floating(results(row.ours(*inputs)))
    if not outs:
        return
    weights = [Tensor(w) for w in seeds(outs, 1)]

    def first(arrays: list[Any], create: bool) -> list[Any]:
        points = [Tensor(a, requires_grad=True) for a in arrays]
        made = floating(results(row.ours(*points)))
        return [points, grad(made, points, weights, create_graph=create, allow_unused=True)]

    points, gradients = first([t.array for t in inputs], True)
    again = [i for i, g in enumerate(gradients) if g is not None and g.requires_grad]
    if not again:
        return
    directions = seeds([gradients[i] for i in again], 2)

    def value(arrays: list[Any]) -> float:
        found = first(arrays, False)[1]
        return float(sum((found[i].array * d).sum() for i, d in zip(again, directions, strict=True)))

    seconds = grad([gradients[i] for i in again], points, [Tensor(d) for d in directions], allow_unused=True)
    check(value, points, seconds, 2e-6)


def check(value: Any, inputs: list[Tensor], gradients: Any, tolerance: float = 1e-6) -> None:
    """Along a random direction of each input, the gradient is the central difference of `value`."""
    step = 1e-6
    arrays = [t.array for t in inputs]
    for i, g in enumerate(gradients):
        direction = np.random.default_rng(i).standard_normal(arrays[i].shape)
        there, back = list(arrays), list(arrays)
        there[i] = arrays[i] + step * direction
        back[i] = arrays[i] - step * direction
        difference = (value(there) - value(back)) / (2 * step)
        expected = 0.0 if g is None else float((g.array * direction).sum())
        assert expected == pytest.approx(difference, rel=tolerance * 100, abs=tolerance * 10)


@rows
def test_pytorch_says_the_same(row: Row) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    if row.theirs is None:
        assert OPS[row.op]  # an inner part, or PyTorch cannot do it
        return
    inputs = tensors(row)
    others = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in row.arrays()]
    ours, theirs = results(row.ours(*inputs)), row.theirs(*others)
    theirs = [theirs] if isinstance(theirs, torch.Tensor) else list(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.array, b.detach().numpy(), rtol=1e-9, atol=1e-9)
    outs = floating(ours)
    if not outs:
        return
    weights = seeds(outs, 1)
    found = grad(outs, inputs, [Tensor(w) for w in weights], allow_unused=True)
    expected = torch.autograd.grad(
        [t for t in theirs if t.requires_grad], others, [torch.tensor(w) for w in weights], allow_unused=True
    )
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            0.0 if g is None else g.array, 0.0 if e is None else e.numpy(), rtol=1e-8, atol=1e-9
        )


@pytest.mark.parametrize("case", ERRORS, ids=[f"{i}-{e[0]}" for i, e in enumerate(ERRORS)])
def test_errors_say_what_is_wrong(case: tuple[str, Any, type[Exception], str]) -> None:
    _, call, kind, words = case
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)
