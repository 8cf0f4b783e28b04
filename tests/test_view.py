"""Parts of arrays for pictures: what a person writes between brackets, and how a large part is made small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsviz.debuggee.view import SIDE, BadIndex, look, parse

x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("text", ["", "0", "-1, :, 1:3", "1,2,::2,0", "0, 0, 0, 0", ":, -2:, 3, ::-1"])
def test_an_index_means_what_numpy_means_by_it(text: str) -> None:
    expected = eval(f"x[{text or ':'}]")
    assert x[parse(text, x.shape)].tolist() == expected.tolist()
    assert look(x, text)["part"] == list(expected.shape)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0,0,0,0,0", "has 5 entries, but the value has 4 dimensions"),
        ("2", "dimension 0 has 2 entries, so 2 is outside"),
        ("__import__('os')", "is no index"),
        ("::0", "a step of 0"),
        (",", "'' is no index"),
    ],
)
def test_what_is_no_index_is_told(text: str, says: str) -> None:
    with pytest.raises(BadIndex, match=says.replace("(", r"\(").replace("'", "'")):
        look(x, text)


@settings(max_examples=60, deadline=None)
@given(st.text("0123456789:,- ", max_size=12))
def test_whatever_is_written_gives_a_part_or_a_sentence(text: str) -> None:
    try:
        index = parse(text, x.shape)
    except BadIndex:
        return  # the sentences are told above
    assert look(x, text)["part"] == list(x[index].shape)


def test_a_large_matrix_is_thinned_and_maps_are_told_apart() -> None:
    large = look(np.zeros((1000, 3)))
    assert (len(large["rows"]), len(large["rows"][0]), large["every"]) == (63, 3, [16, 1])
    assert len(large["rows"]) <= SIDE
    maps = look(np.ones((2, 20, 40, 40)))
    assert (len(maps["maps"]), maps["count"], len(maps["maps"][0])) == (16, 40, 20)


def test_values_that_are_not_finite_are_text_and_leave_the_range_alone() -> None:
    answer = look(np.array([1.0, np.nan, np.inf, -2.0]))
    assert answer["rows"] == [[1.0, "nan", "inf", -2.0]]
    assert answer["range"] == [-2.0, 1.0]
    assert look(np.zeros((0, 3)))["range"] == [None, None]
