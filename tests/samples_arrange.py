"""Samples of einsum, sorting, scattering, diagonals, and of repeating and rolling."""

from __future__ import annotations

from typing import Any

import numpy as np
from sample_row import Row
from samples_spatial import inner, x

from engine import tensor
from engine.errors import ShapeMismatchError
from engine.ops import diagonal, einsum, masked, products, repeating, running, scatter, sort

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


def both(module: Any, name: str, inputs: tuple[Any, ...], *args: Any, op: str = "", **kwargs: Any) -> Row:
    """A row for a function PyTorch has under the same name and with the same further arguments."""
    note = "-".join([*(str(a) for a in args), *(f"{k}={v}" for k, v in kwargs.items())]).replace(" ", "")

    def here(*tensors: Any) -> Any:
        return getattr(module, name)(*tensors, *args, **kwargs)

    def there(*tensors: Any) -> Any:
        return getattr(torch, name)(*tensors, *args, **kwargs)

    return Row(op or name, here, None if torch is None else there, inputs, note)


SAMPLES: list[Row] = []

EQUATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "ij,jk": ((2, 3), (3, 4)),
    "ii->i": ((3, 3),),
    "ii": ((3, 3),),
    "ij->": ((3, 2),),
    "ij->j": ((3, 2),),
    "i,j->ij": ((3,), (2,)),
    "...ij,...jk->...ik": ((2, 1, 3, 4), (5, 4, 2)),
    "b...d,d->b...": ((2, 3, 4, 5), (5,)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)),
    "iij,jk->ik": ((3, 3, 2), (2, 4)),
    "ijk->kji": ((2, 3, 4),),
    "a,ab,abc->abc": ((2,), (2, 3), (2, 3, 4)),
    "iii->i": ((3, 3, 3),),
    "iji,k->j": ((3, 2, 3), (4,)),
    "...,...->...": ((2, 3), (3,)),
    "ij,ij->": ((2, 3), (1, 3)),
}


def _einsum(equation: str) -> Row:
    return Row(
        "einsum",
        lambda *operands: einsum.einsum(equation, *operands),
        None if torch is None else lambda *operands: torch.einsum(equation, *operands),
        EQUATIONS[equation],
        equation,
    )


SAMPLES += [_einsum(equation) for equation in EQUATIONS]
SAMPLES += [
    both(products, "outer", ((3,), (4,)), op="einsum"),
    both(products, "dot", ((3,), (3,)), op="einsum"),
    both(products, "mv", ((3, 4), (4,)), op="matmul"),
    both(products, "tensordot", ((2, 3, 4), (3, 4, 5)), op="einsum"),
    both(products, "tensordot", ((2, 3, 4), (4, 2, 5)), ([0, 2], [1, 0]), op="einsum"),
]

# Integers: at a tie there is no derivative to compare with.
TIES = np.array([[3, 1, 3, 2], [5, 5, -1, 5]])
for dim in (0, -1):
    for descending in (False, True):
        for given in ((3, 5, 4), TIES):
            SAMPLES.append(both(sort, "sort", (given,), dim=dim, descending=descending, stable=True))
            SAMPLES.append(both(sort, "argsort", (given,), dim=dim, descending=descending, stable=True))
    for largest in (True, False):
        SAMPLES.append(both(sort, "topk", ((30, 5, 40),), 3, dim, largest))
SAMPLES += [both(sort, "topk", ((4,),), 4), both(sort, "sort", ((),))]

INDEX = np.random.default_rng(1).integers(0, 3, (3, 4))
APART = np.array([[0, 2, 1, 3], [3, 1, 0, 2]])


def _scattered(name: str, dim: int, index: Any) -> tuple[Any, Any]:
    def here(a: Any, b: Any) -> Any:
        return getattr(scatter, name)(a, dim, tensor(index), b)

    def there(a: Any, b: Any) -> Any:
        return getattr(torch, name)(a, dim, torch.tensor(index), b)

    return here, None if torch is None else there


SAMPLES += [
    Row("scatter_add", *_scattered("scatter_add", 0, INDEX), ((3, 5), (3, 4))),
    Row("scatter_add", _scattered("scatter_add", 0, INDEX[:2])[0], None, ((3, 5), (3, 4)), "larger-source"),
    Row("scatter", *_scattered("scatter", 1, APART), ((3, 5), (2, 4))),
    Row(
        "scatter",
        lambda a: scatter.scatter(a, 1, tensor(APART), value=2.5),
        None if torch is None else lambda a: torch.scatter(a, 1, torch.tensor(APART), 2.5),
        ((3, 5),),
        "value",
    ),
    both(repeating, "repeat_interleave", ((2, 3, 4),), 3, 1),
    both(repeating, "repeat_interleave", ((2, 3),), 2),
    Row(
        "repeat_interleave",
        lambda a: repeating.repeat_interleave(a, tensor([1, 0, 3]), 1),
        None if torch is None else lambda a: torch.repeat_interleave(a, torch.tensor([1, 0, 3]), 1),
        ((2, 3, 4),),
        "each",
    ),
    Row("deinterleave", inner("deinterleave", repeats=(1, 0, 3), dim=1), None, ((2, 4, 3),)),
    both(repeating, "roll", ((2, 3, 4),), 2),
    both(repeating, "roll", ((2, 3, 4),), (1, -2), (0, 2)),
    both(running, "cumprod", ((3, 4, 2),), 1),
    both(running, "cumprod", (np.array([[2.0, 0.0, 3.0, 0.0], [1.0, 2.0, -1.0, 0.5]]),), -1),
    Row(
        "getitem",
        lambda a: masked.masked_select(a, tensor(APART > 1)),
        None if torch is None else lambda a: torch.masked_select(a, torch.tensor(APART > 1)),
        ((2, 4),),
        "masked_select",
    ),
    both(diagonal, "diagonal", ((3, 4, 5),), 1, 0, 2),
    both(diagonal, "diagonal", ((3, 4, 5),), -1, -1, 0),
    Row(
        "diagonal_zeros", inner("diagonal_zeros", shape=(3, 2, 5), offset=1, dim1=0, dim2=2), None, ((2, 3),)
    ),
]
for offset in (0, 2, -1):
    SAMPLES += [
        both(diagonal, "diag_embed", ((3, 4),), offset, 0, 2, op="diagonal_zeros"),
        both(diagonal, "diag_embed", ((3, 4),), offset, 2, 0, op="diagonal_zeros"),
        both(diagonal, "diag", ((4,),), offset, op="diagonal_zeros"),
        both(diagonal, "diag", ((4, 3),), offset, op="diagonal"),
        both(diagonal, "tril", ((3, 4, 5),), offset),
        both(diagonal, "triu", ((3, 4, 5),), offset),
    ]

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("einsum", lambda: einsum.einsum("ij,jk->ik", x(2, 3), x(4, 5)), ShapeMismatchError, "'j' is 3 in"),
    ("einsum", lambda: einsum.einsum("ij,jk->iz", x(2, 3), x(3, 5)), ValueError, "in no operand"),
    ("einsum", lambda: einsum.einsum("ij->i{", x(2, 3)), ValueError, "not '{'"),
    ("einsum", lambda: einsum.einsum("ijk->i", x(2, 3)), ValueError, "names 3"),
    ("einsum", lambda: einsum.einsum("ij,jk->ik", x(2, 3)), ValueError, "has 2 operands, but 1"),
    ("topk", lambda: sort.topk(x(3), 5), ValueError, "k has to be from 0 to the 3"),
    ("sort", lambda: sort.sort(x(3), 2), IndexError, "dim has to be from -1 to 0"),
    (
        "scatter_add",
        lambda: scatter.scatter_add(x(3, 4), 0, tensor([[0, 5]]), x(1, 2)),
        IndexError,
        "holds 5, but dimension 0",
    ),
    (
        "scatter_add",
        lambda: scatter.scatter_add(x(3, 4), 0, tensor([[0, 1]]), x(1, 1)),
        ShapeMismatchError,
        "reaches to 2",
    ),
    ("scatter", lambda: scatter.scatter(x(3, 4), 0, x(1, 2), x(1, 2)), TypeError, "has to hold integers"),
    (
        "repeat_interleave",
        lambda: repeating.repeat_interleave(x(3), [1, 2], 0),
        ValueError,
        "one number or 3",
    ),
    ("roll", lambda: repeating.roll(x(3), (1, 2), 0), ValueError, "a shift for each dim"),
    ("diagonal", lambda: diagonal.diagonal(x(3, 3), 0, 1, 1), ValueError, "have to differ"),
    ("tril", lambda: diagonal.tril(x(3)), ShapeMismatchError, "at least 2 dimensions"),
    ("cumprod", lambda: running.cumprod(x(3), 1), IndexError, "dim has to be from -1 to 0"),
]
