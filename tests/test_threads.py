"""How many threads a product takes: as many as were asked for, and one where several would only wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine import threads
from engine.dnn import product
from engine.threads import alone

pytestmark = pytest.mark.skipif(threads._library() is None, reason="NumPy comes with another library")


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    before = ds.get_num_threads()
    ds.set_num_threads(2)
    yield
    assert not alone.inside
    ds.set_num_threads(before)


def told() -> int:
    """What the library itself says."""
    found = threads._library()
    assert found is not None
    return int(found[1]())


def test_alone_is_for_a_while() -> None:
    with alone:
        assert (told(), ds.get_num_threads()) == (1, 2)
        with alone:
            assert (told(), ds.get_num_threads()) == (1, 2)
        assert told() == 1
        ds.set_num_threads(3)
        assert (told(), ds.get_num_threads()) == (1, 3)
    assert (told(), ds.get_num_threads()) == (3, 3)


def test_an_error_inside_leaves_all_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError), alone:
        _ = 1 / 0
    assert told() == 2


class Seen:
    """In the place of `alone`: how often somebody was inside."""

    count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(("rows", "expected"), [(2, 0), (64, 3), (256, 0)])
def test_which_products_are_made_alone(rows: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and two gradients; those of a few rows OpenBLAS makes by one thread itself, many are worth several."""
    seen = Seen()
    monkeypatch.setattr(product, "alone", seen)
    x, w = (ds.tensor(np.ones(shape, np.float64), requires_grad=True) for shape in ((rows, 128), (128, 128)))
    (x @ w).sum().backward()
    assert seen.count == expected
    assert x.grad is not None
    assert (x.grad == 128).all().item()


FORKED = """\
import os, threading, numpy as np, dsviz as ds
from engine.threads import alone
ds.set_num_threads(2)
inside, done = threading.Event(), threading.Event()
def other():
    with alone:
        inside.set()
        done.wait()
thread = threading.Thread(target=other)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    made = ds.ones(64, 128) @ ds.ones(128, 128)
    os._exit(0 if ds.get_num_threads() == 2 and not alone.inside and (made == 128).all() else 1)
status = os.waitpid(child, 0)[1]
done.set()
thread.join()
print(os.waitstatus_to_exitcode(status), ds.get_num_threads(), alone.inside)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_made_by_fork_while_another_thread_is_inside() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "2", "0"], done.stderr
