"""What a part of a value can be seen as, and how far a step moves a parameter."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest

from dsviz.debuggee.summary import moved, sampled
from dsviz.debuggee.view import look


def softmax(x: Any) -> Any:
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [((3, 16, 20), ["image"]), ((2, 16, 16, 3), ["image"]), ((1, 1, 9, 9), ["image"]), ((2, 5, 9, 9), []), ((3, 4, 4), []), ((64, 64), [])],
)  # fmt: skip
def test_images_are_known_by_their_channels(shape: tuple[int, ...], kinds: list[str]) -> None:
    assert look(np.random.default_rng(0).standard_normal(shape))["kinds"] == kinds


def test_an_image_keeps_its_colours_and_a_sane_size() -> None:
    pixels = np.zeros((2, 3, 300, 200), np.float32)
    pixels[0, 0, :150] = 1.0  # the upper half is red
    made = look(pixels, kind="image")["image"]
    assert (made["width"], made["height"]) == (67, 100)
    data = base64.b64decode(made["data"])
    assert len(data) == 67 * 100 * 3
    assert list(data[:3]) == [255, 0, 0]
    assert list(data[-3:]) == [0, 0, 0]
    assert "image" not in look(pixels)
    assert look(np.full((3, 9, 9), np.nan), kind="image")["image"]["width"] == 9


def test_attention_is_known_by_its_rows() -> None:
    heads = softmax(np.random.default_rng(0).standard_normal((4, 12, 12))).astype(np.float32)
    assert "attention" in look(heads)["kinds"]
    assert "attention" not in look(heads * 2)["kinds"]
    assert "attention" not in look(heads[0])["kinds"], "of one table of rows it is a guess"
    assert len(look(np.concatenate([heads] * 5), kind="attention")["maps"]) == 12


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3)), np.array([np.nan, np.inf]), np.ones(5), np.arange(6) > 2]
)
def test_histograms_are_made_of_what_is_finite(array: Any) -> None:
    finite = int(np.isfinite(array).sum())
    assert sum(look(array)["histogram"]) == finite


def test_how_far_a_step_moves() -> None:
    parameter = np.ones((100, 100), np.float32)
    before = sampled(parameter)
    assert before.size <= 4096
    parameter *= 1.01
    assert moved(before, parameter) == pytest.approx(0.01 / 1.01, rel=1e-3)
    assert moved(np.ones(3, np.float32), np.zeros(3, np.float32)) == math.inf
    assert math.isnan(moved(np.ones(2, np.float32), parameter))
    assert sampled(np.arange(3)) is None
