"""An LSTM's steps in C: the bits of the steps by NumPy, whatever functions make the products."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from dsviz import nn
from engine.dnn import cell, library, packed
from engine.native.compiler import compiler
from engine.ops.recurrent import lstm_cell

pytestmark = pytest.mark.skipif(
    library._opened() is None or compiler() is None, reason="needs oneDNN and a C compiler"
)


@pytest.fixture(scope="module", autouse=True)
def built() -> Any:
    """The compiled steps, there whatever the machine's cache holds."""
    found = cell.cells.build()
    assert found is not None
    assert packed.products.build() is not None
    return found


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Records are made anew: a test may have them made of something else."""
    for made in (cell._cell, cell._packing, cell._single):
        made.cache_clear()


@pytest.fixture
def counted(built: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the C functions that were called."""
    names: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name not in ("cell_forth", "cell_back"):  # which are tried, not used
                names.append(name)
            return getattr(built, name)

    monkeypatch.setattr(cell.cells, "ready", Counting)
    return names


def outcome(
    steps: int, batch: int, inputs: int, hidden: int, special: float | None = None, **options: Any
) -> list[Any]:
    """Results and gradients of a loss that uses every result."""
    rng = np.random.default_rng(0)
    module = nn.LSTM(inputs, hidden, **options)
    with ds.no_grad():
        for p in module.parameters():
            p.copy_(ds.tensor((rng.standard_normal(p.shape) * 0.3).astype(np.float32)))
    values = rng.standard_normal((steps, batch, inputs)).astype(np.float32)
    if special is not None:
        values[1, 0, 0] = special
    x = ds.tensor(values, requires_grad=True)
    out, (h, c) = module(x)
    ((out * out).sum() + (h * h).sum() + (c * c * c).sum()).backward()
    return [t.numpy(force=True) for t in (out, h, c, x.grad, *(p.grad for p in module.parameters()))]


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((9, 1, 16, 128), {}),  # products of a matrix and a vector
        ((5, 8, 16, 128), {}),  # turned round
        ((6, 3, 7, 5), {"bidirectional": True, "num_layers": 2}),  # plain
        ((4, 32, 16, 128), {"bias": False}),  # oneDNN's
        ((3, 200, 16, 8), {"bidirectional": True}),
        ((1, 2, 3, 2), {}),
    ],
)
def test_every_bit_is_numpys(
    sizes: Any, options: Any, packs: bool, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packs:
        monkeypatch.setattr(packed.products, "ready", lambda: None)
    fast = outcome(*sizes, **options)
    assert set(counted) == {"cell_forward", "cell_backward"}
    monkeypatch.setattr(cell.cells, "ready", lambda: None)
    for a, b in zip(fast, outcome(*sizes, **options), strict=True):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def test_threads_that_share_a_batch_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "WORTH", 1)
    found = []
    for threads in (1, 2, 3, 50):
        monkeypatch.setattr(cell, "team", lambda threads=threads: threads)
        found.append(outcome(4, 33, 16, 40, bidirectional=True, num_layers=2))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("special", [np.nan, np.inf, 1e30])
def test_values_that_are_not_finite_pass_alike(special: float, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = outcome(4, 3, 5, 6, special)
    monkeypatch.setattr(cell.cells, "ready", lambda: None)
    for a, b in zip(fast, outcome(4, 3, 5, 6, special), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("shape", "features", "biases"),
    [
        ((1, 128), 16, 2),  # products of a matrix and a vector
        ((8, 128), 128, 2),  # turned round
        ((8, 128), 7, 1),  # turned round and not
        ((32, 128), 128, 2),  # oneDNN's
        ((32, 128), 40, 1),  # oneDNN's and not
        ((32, 40), 5, 0),
        ((5, 3), 2, 2),
        ((4, 6), 1, 2),
        ((2, 3, 16), 5, 2),
        ((6,), 5, 2),
    ],
)
@pytest.mark.parametrize("which", ["h", "c", "both"])
def test_a_step_of_its_own_has_numpys_bits_too(
    shape: tuple[int, ...], features: int, biases: int, which: str, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def run() -> list[Any]:
        rng = np.random.default_rng(0)
        lead, hidden = shape[:-1], shape[-1]
        sizes = [(*lead, features), shape, shape, (4 * hidden, features), (4 * hidden, hidden)]
        sizes += [(4 * hidden,)] * biases
        arrays = [(rng.standard_normal(size) * 0.2).astype(np.float32) for size in sizes]
        given = [ds.tensor(a, requires_grad=True) for a in arrays]
        h, c = lstm_cell(*given)
        loss = {"h": (h * h).sum(), "c": (c * c).sum(), "both": (h * c).sum() + (c * h * h).sum()}[which]
        loss.backward()
        return [t.numpy(force=True) for t in (h, c, *(t.grad for t in given))]

    fast = run()
    whole = len(shape) == 2 and features > 1
    assert set(counted) == {"cell_whole" if whole else "cell_step", "cell_whole_back"}
    monkeypatch.setattr(cell.cells, "ready", lambda: None)
    for a, b in zip(fast, run(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_it_was_not_made_for_goes_to_numpy(counted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.LSTM(3, 4)
    with ds.no_grad():
        module.weight_hh_l0 = nn.Parameter(ds.randn(4, 16).T)  # lies turned in memory
    module(ds.randn(5, 2, 3))[0].sum().backward()
    nn.LSTM(3, 4).double()(ds.randn(5, 2, 3).double())[0].sum().backward()
    nn.LSTM(3, 1)(ds.randn(5, 2, 3))[0].sum().backward()
    assert counted == []
    monkeypatch.setattr(cell, "_tanh", lambda: None)  # another NumPy
    monkeypatch.setattr(cell, "_blas", lambda: None)
    without = outcome(5, 2, 3, 4)
    assert counted == []
    monkeypatch.setattr(cell.cells, "ready", lambda: None)
    for a, b in zip(without, outcome(5, 2, 3, 4), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_result_is_not_touched_by_later_calls(counted: list[str]) -> None:
    module, x = nn.LSTM(3, 4), ds.randn(5, 2, 3)
    first, (h, c) = module(x)
    kept = [t.numpy(force=True).copy() for t in (first, h, c)]
    module(x * 2)[0].sum().backward()
    for t, before in zip((first, h, c), kept, strict=True):
        np.testing.assert_array_equal(t.numpy(force=True), before)
    assert len(counted) == 3


@pytest.mark.parametrize("rows", [1, 2, 7, 12, 13, 40])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (5, 31), (16, 33), (70, 100)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_packed_product_in_pieces(rows: int, k: int, n: int, turned: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (rows, k)).astype(np.float32)  # whole numbers: exact however they are summed
    b = rng.integers(-9, 9, (n, k) if turned else (k, n)).astype(np.float32)
    b = b.T if turned else b
    laid, out = packed.room(k, n), np.full((rows + 1, n), 7, np.float32)
    packed.pack(b, laid)
    for ends in ([k], sorted({(k + 1) // 2, k})):
        made = (ctypes.c_long * len(ends))(*ends)
        packed.products.ready().packed_multiply(
            *(library.address(x), rows, k, n, library.address(laid), made, library.address(out))
        )
        np.testing.assert_array_equal(out[:rows], x @ b)
        assert (out[rows] == 7).all()


def test_pieces_are_found_by_their_bits() -> None:
    b = np.random.default_rng(1).standard_normal((1000, 48)).astype(np.float32)

    def summed(*ends: int) -> Any:
        def product(x: Any, out: Any) -> None:
            laid, made = packed.room(*b.shape), (ctypes.c_long * len(ends))(*ends)
            packed.pack(b, laid)
            packed.products.ready().packed_multiply(
                *(library.address(x), len(x), *b.shape, library.address(laid), made, library.address(out))
            )

        return packed.like(product, 5, b)

    assert list(summed(1000)) == [1000]
    assert list(summed(384, 704, 1000)) == [384, 704, 1000]
    assert list(summed(320, 640, 960, 1000)) == [320, 640, 960, 1000]
    assert summed(1, 1000) is None  # no library sums so
