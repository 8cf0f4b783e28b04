"""`detect_anomaly`: a backward pass that makes NaN raises with the op and the line."""

from __future__ import annotations

import pytest

import engine as ds
from engine.anomaly import is_anomaly_enabled


def bad() -> None:
    x = ds.zeros(2, requires_grad=True)
    ds.sqrt(x * x).sum().backward()


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_op_and_the_line_are_named(create_graph: bool) -> None:
    x = ds.zeros(2, requires_grad=True)
    y = ds.sqrt(x) * x
    with (
        pytest.raises(RuntimeError, match=r"the gradient of sqrt .*test_anomaly\.py:\d+"),
        ds.autograd.detect_anomaly(),  # type: ignore[attr-defined]
    ):
        y.sum().backward(create_graph=create_graph)
    assert not is_anomaly_enabled()


def test_healthy_passes_and_passes_outside_are_left_alone() -> None:
    with ds.autograd.detect_anomaly():  # type: ignore[attr-defined]
        x = ds.ones(2, requires_grad=True)
        ds.sqrt(x).sum().backward()
    bad()


def test_switched_on_and_off() -> None:
    ds.autograd.set_detect_anomaly(True)  # type: ignore[attr-defined]
    try:
        with pytest.raises(RuntimeError, match="NaN"):
            bad()
    finally:
        ds.autograd.set_detect_anomaly(False)  # type: ignore[attr-defined]
    bad()
