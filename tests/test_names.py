"""What error messages call the arguments: the person's own words, whatever stands between the tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import engine as ds
from engine import nn

exact = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11 an instruction's place in its line is not known"
)


def names(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(ds.ShapeMismatchError) as caught:
        call()
    return [name for name, _ in caught.value.arguments]


rows, wide, gain, table = ds.randn(2, 5), ds.randn(2, 6), ds.randn(4), ds.randn(3, 5)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: rows + wide, ["rows", "wide"]),
        (lambda: ds.add(rows, wide), ["rows", "wide"]),
        (lambda: rows.add(wide), ["rows", "wide"]),
        (lambda: ds.add(other=wide, input=rows), ["rows", "wide"]),
        (lambda: rows @ wide, ["rows", "wide"]),
        (lambda: ds.layer_norm(rows, (5,), gain), ["rows", "gain", "bias"]),
        (lambda: nn.functional.layer_norm(rows, 5, weight=gain), ["rows", "gain", "bias"]),
        (lambda: ds.einsum("ij,kj->ik", rows, wide), ["rows", "wide"]),
        (lambda: ds.cat([rows, wide], 0), ["rows", "wide"]),
        (lambda: ds.cat((rows, wide.reshape(3, 4)), dim=1), ["rows", "wide.reshape(3, 4)"]),
        (lambda: ds.gather(rows, 1, ds.tensor([[[1]]])), ["rows", "ds.tensor([[[1]]])"]),
        (lambda: ds.scatter_add(rows, 0, ds.tensor([[0, 1]]), ds.ones(1, 1)), ["rows", "ds.tensor([[0, 1]])", "ds.ones(1, 1)"]),
        (lambda: rows.scatter_add(0, ds.tensor([[0, 1]]), gain), ["rows", "ds.tensor([[0, 1]])", "gain"]),
        (lambda: ds.cross_entropy(rows, ds.tensor([1])), ["rows", "ds.tensor([1])", "weight"]),
        (lambda: ds.mse_loss(rows, wide), ["rows", "wide"]),
        (lambda: ds.conv1d(rows.reshape(1, 2, 5), table, stride=2), ["rows.reshape(1, 2, 5)", "table", "bias"]),
        (lambda: ds.where(rows > 0, wide, 0.0), ["rows > 0", "wide", "0.0"]),
        (lambda: ds.linear(wide, table), ["wide", "table", "bias"]),
    ],
)  # fmt: skip
@exact
def test_arguments_have_the_names_of_the_source(call: Any, expected: list[str]) -> None:
    assert names(call) == expected


def test_a_parameter_is_named_by_its_path() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ds.ShapeMismatchError, match=r"linear in net\.0") as caught:
        net(rows)
    assert [name for name, _ in caught.value.arguments] == ["rows", "weight", "bias"]


def test_an_operand_made_on_the_way_is_not_given_a_variables_name() -> None:
    logs = ds.randn(4, 3)
    with pytest.raises(ds.ShapeMismatchError) as caught:
        ds.cosine_similarity(logs, rows)
    assert [name for name, _ in caught.value.arguments] == ["logs", "rows"]
