"""Ways to call a function that PyTorch takes: names of arguments, numbers alone, integers, nothing; results of one type."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import dsviz as ds

torch = pytest.importorskip("torch")
rng = np.random.default_rng(0)
GIVEN: dict[str, Any] = {
    "a": rng.standard_normal((3, 4)).astype(np.float32),
    "b": rng.standard_normal((3, 4)).astype(np.float32),
    "i": rng.integers(-5, 6, (3, 4)),
    "u": rng.integers(1, 9, (3, 4)).astype(np.uint8),
    "k": rng.integers(0, 3, (3, 4)),
    "s": np.array(2.5, np.float32),
    "z": np.zeros((0, 3), np.float32),
    "holes": np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, 0.0]], np.float32),
    "square": rng.standard_normal((3, 3)).astype(np.float32),
}
CALLS = """
a.sum(axis=1) | lib.mean(a, axis=0, keepdims=True) | lib.max(a, axis=1) | lib.max(a, other=b) | a.std(axis=1, keepdims=True)
lib.argmax(a, axis=0) | lib.amax(a, axis=1, keepdims=True) | lib.any(a > 1, axis=1) | lib.prod(a, axis=1) | a.var(axis=0)
lib.sum(u) | lib.prod(u, 0) | lib.cumsum(u, 1) | lib.mean(u, dtype=lib.float32) | lib.sum(u, dtype=lib.float64)
lib.cumsum(s, 0) | lib.cumsum(a, dim=0, dtype=lib.float64) | lib.cumprod(a, 1, dtype=lib.float64) | lib.cumsum(z, 1)
+a | u << 1 | i >> 1 | lib.bitwise_left_shift(i, 2) | i.bitwise_right_shift(k)
lib.div(i, 2, rounding_mode="trunc") | lib.div(i, -3, rounding_mode="trunc") | lib.div(i, k + 1, rounding_mode="trunc")
lib.index_select(a, 0, lib.tensor(1)) | lib.nonzero(s) | lib.unravel_index(lib.tensor(5), (2, 3)) | lib.trace(square)
lib.mode(k, 1) | lib.isin(k, lib.tensor([1, 2])) | lib.isin(k, 2)
F.linear(a, b[0]) | a.flip(0, 1) | a.squeeze(1) | a[:1].squeeze((0, -1)) | a == None | a != None
square.slogdet() | (square @ square.T).logdet() | square.svd()[1] | a.pinverse() | u.is_signed() | a.is_signed()
lib.split(a, 2, 1) | lib.arange(lib.tensor(3)) | lib.arange(i.max(), 9, lib.tensor(2)) | a.detach().view(lib.int32) | a.double().detach().view(lib.float32) | F.max_pool1d_with_indices(a[None], 2) | F.adaptive_max_pool1d_with_indices(a, 2) | 2 ** k | a[[[0, 2], [1, 3]]] | a[[k[0] % 2, k[1]]] | a[[0, 2]] | i.clamp(0.5) | i.clamp(max=2.5) | i ** i | k.clamp(1) | a.split(split_size=[1, 3], dim=1) | F.kl_div(a, b, reduction="batchmean") | F.kl_div(a, b.abs(), reduction="sum") | lib.logit(a.sigmoid()) | lib.cdist(a, b, p=1)
"""


def leaves(made: Any) -> list[Any]:
    return [x for part in made for x in leaves(part)] if isinstance(made, (tuple, list)) else [made]


def outcome(lib: Any, call: str) -> tuple[list[Any], list[Any]]:
    tensors = {
        name: lib.tensor(raw, requires_grad=True) if raw.dtype.kind == "f" else lib.tensor(raw)
        for name, raw in GIVEN.items()
    }
    outs = leaves(eval(call, {"lib": lib, "F": lib.nn.functional, **tensors}))
    if isinstance(outs[0], bool):
        return [((), "", outs[0])], []
    values = [(tuple(o.shape), str(o.dtype).removeprefix("torch."), o.detach().numpy()) for o in outs]
    flowing = [o for o in outs if o.requires_grad]
    if not flowing:
        return values, []
    seeds = [lib.ones(tuple(o.shape), dtype=o.dtype) for o in flowing]
    wanted = [t for t in tensors.values() if t.requires_grad]
    return values, [
        g if g is None else g.numpy() for g in lib.autograd.grad(flowing, wanted, seeds, allow_unused=True)
    ]


@pytest.mark.parametrize(
    "call", [c.strip() for line in CALLS.strip().splitlines() for c in line.split(" | ")]
)
def test_called_as_pytorch_is(call: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = outcome(ds, call), outcome(torch, call)
    assert [v[:2] for v in ours[0]] == [v[:2] for v in theirs[0]]
    for a, b in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(a[2], b[2], rtol=1e-5, atol=1e-6)
    for g, h in zip(*(side[1] for side in (ours, theirs)), strict=True):
        if g is not None and h is not None:
            np.testing.assert_allclose(g, h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_the_determinant_of_a_singular_matrix_has_its_gradient(rank: int) -> None:
    raw = rng.standard_normal((2, 3, rank)) @ rng.standard_normal((2, rank, 3))
    raw[0] = np.diag([1.0] * rank + [0.0] * (3 - rank))
    a = ds.tensor(raw, requires_grad=True)
    ds.linalg.det(a).sum().backward()
    minors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(raw, i, 1), j, 2)) for j in range(3)]
        for i in range(3)
    ]
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), np.moveaxis(np.array(minors), 2, 0), atol=1e-10)


@pytest.mark.parametrize("scale", [1.0, 1e80, 0.0])
def test_logarithms_of_determinants(scale: float) -> None:
    raw = rng.standard_normal((4, 3, 3)) * scale
    for ours, theirs in zip(
        ds.linalg.slogdet(ds.tensor(raw)), torch.linalg.slogdet(torch.tensor(raw)), strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("data", ["x", None, [1, "a"], {"a": 1}, np.array(["a"])])
def test_a_tensor_holds_numbers(data: Any) -> None:
    with pytest.raises(TypeError, match="a tensor holds numbers, got"):
        ds.tensor(data)


def test_a_dimension_that_is_not_there_is_not_squeezed() -> None:
    with pytest.raises(IndexError, match="dim has to be from -2 to 1, got 7"):
        ds.ones(1, 2).squeeze(7)


# What PyTorch refuses, and the kind of error it does it with.
REFUSED = """
lib.mm(a[0], a[0]) | lib.tensor([1, 2]) ** -1 | a[:0].max() | a[:0].argmax() | a[:0].max(0) | lib.stack([]) | lib.cat([])
lib.zeros(2, -1) | lib.zeros([2, "a"]) | lib.nn.Linear(2.5, 2) | a.permute(0, 0) | a.chunk(0) | a.topk(5) | a[None].t() | int(a[0])
a.scatter_(0, k + 9, 1.0) | a.gather(0, k + 9) | k.add_(1.5) | a.__setitem__(0, "x") | a.__setitem__(0, None) | a.item() | lib.nn.functional.one_hot(k - 1)
lib.where(a > 0, a) | a.unfold(0, 9, 1) | a.repeat(2) | lib.nn.functional.pad(a, (1,)) | lib.arange(0, 5, 0) | lib.linspace(0, 1, -1) | lib.eye(-1)
a.masked_select(lib.ones(3).bool()) | a.clamp() | lib.utils.data.default_collate([a, a[0]]) | lib.nn.GRU(4, 3)(a[None], lib.zeros(1, 2, 3)) | setattr(a, "grad", a[0]) | setattr(a, "grad", 3)
"""


@pytest.mark.parametrize(
    "call", [c.strip() for line in REFUSED.strip().splitlines() for c in line.split(" | ")]
)
def test_refused_with_the_kind_of_error_pytorch_has(call: str) -> None:
    kinds = []
    for lib in (torch, ds):
        tensors = {name: lib.tensor(raw) for name, raw in GIVEN.items()}
        with pytest.raises(Exception) as found:  # noqa: PT011 - which one is what is compared
            eval(call, {"lib": lib, **tensors})
        kinds.append(found.type)
    assert issubclass(kinds[1], kinds[0])


def test_the_names_of_old_types() -> None:
    x = ds.ones(2)
    assert x.type() == torch.ones(2).type()
    assert x.long().type() == "torch.LongTensor"
    assert x.type("torch.DoubleTensor").dtype == ds.float64
    assert ds.histogram(x, 2).hist.tolist() == torch.histogram(torch.ones(2), 2).hist.tolist()
