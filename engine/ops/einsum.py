"""Einstein's summation: products of tensors summed over the dimensions their letters share.

Every pair of operands becomes one matrix product, batched over the letters both keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.located import located
from engine.op import HOLOMORPHIC, op
from engine.ops.diagonal import DIAGONAL_ZEROS
from engine.ops.linear import product as matrix_product
from engine.ops.nested import nested
from engine.pool import stacked
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

Labels = tuple[str, ...]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# --- the equation ---------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def parse(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[Labels, ...], Labels]:
    """The letters of each operand and of the result, one for each dimension, `...` spelled out.

    Raises `ArgumentProblem` for an equation that does not fit operands of these ranks.
    """
    text = equation.replace(" ", "")
    equation = equation.replace("{", "{{").replace("}", "}}")  # messages are templates
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentProblem(
            ValueError, f"the equation {equation!r} has {len(terms)} operands, but {len(ranks)} were given"
        )
    free = [c for c in LETTERS if c not in text]
    extra = 0
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        named = len(term.replace("...", "", 1))
        check_letters(equation, term)
        if "..." in term:
            extra = max(extra, rank - named)
        if rank < named or (rank > named and "..." not in term):
            raise ArgumentProblem(
                ValueError,
                f"operand {i} has {rank} dimensions, but {term!r} in {equation!r} names {named}",
                i,
            )
    if extra > len(free):
        raise ArgumentProblem(ValueError, f"{equation!r} needs more letters than there are")
    dots = tuple(free[:extra])

    def spelled(term: str, rank: int) -> Labels:
        before, found, after = term.partition("...")
        if not found:
            return tuple(before)
        count = rank - len(before) - len(after)
        return (*before, *dots[len(dots) - count :], *after)

    labels = tuple(spelled(term, rank) for term, rank in zip(terms, ranks, strict=True))
    if arrow:
        check_letters(equation, right)
        out = spelled(right, len(right.replace("...", "", 1)) + len(dots))
        if len(set(out)) != len(out):
            raise ArgumentProblem(ValueError, f"{equation!r} names a dimension of the result twice")
        known = {c for term in labels for c in term}
        for c in out:
            if c not in known:
                raise ArgumentProblem(ValueError, f"{equation!r} has {c!r} in the result, but in no operand")
    else:
        counted = "".join(left.replace("...", "").replace(",", ""))
        out = dots + tuple(c for c in sorted(set(counted)) if counted.count(c) == 1)
    return labels, out


def check_letters(equation: str, term: str) -> None:
    """Raise `ArgumentProblem` unless `term` is letters with at most one `...`."""
    rest = term.replace("...", "", 1)
    for c in rest:
        if c not in LETTERS:
            shown = repr(c * 2 if c in "{}" else c)  # messages are templates
            raise ArgumentProblem(
                ValueError, f"{equation!r} may hold letters, commas, '->' and '...', not {shown}"
            )


def extents(labels: Sequence[Labels], shapes: Sequence[Shape]) -> dict[str, int]:
    """The size of each letter; a size of 1 stretches. Raises `ShapeClash` where sizes differ."""
    found: dict[str, int] = {}
    where: dict[str, tuple[int, int]] = {}
    for i, (term, shape) in enumerate(zip(labels, shapes, strict=True)):
        for dim, (c, n) in enumerate(zip(term, shape, strict=True)):
            have = found.get(c, 1)
            if n != 1 and have not in (1, n):
                expected: list[Any] = list(shape)
                expected[dim] = have
                other, other_dim = where[c]
                raise ShapeClash(
                    expected,
                    i,
                    [(other, other_dim), (i, dim)],
                    f"{c!r} is {have} in {{{other}}} and {n} in {{{i}}}; sizes under one letter must "
                    f"be equal or 1.",
                )
            if c not in found or (have == 1 and n != 1):
                found[c], where[c] = n, (i, dim)
    return found


# --- on raw arrays --------------------------------------------------------------------------------------


def contract(xp: Any, arrays: Sequence[Any], labels: Sequence[Labels], out: Labels) -> Any:
    """The sum the labels describe."""
    size = extents(labels, [a.shape for a in arrays])
    work = [plain(xp, a, term, size) for a, term in zip(arrays, labels, strict=True)]
    while len(work) > 1:
        i, j = min(combinations(range(len(work)), 2), key=lambda pair: cost(work, pair, out, size))
        b, a = work.pop(j), work.pop(i)
        keep = set(out).union(*(term for _, term in work))
        work.append(product(xp, a, b, keep, size))
    array, term = work[0]
    drop = tuple(i for i, c in enumerate(term) if c not in out)
    if drop:
        array = array.sum(axis=drop)
        term = tuple(c for c in term if c in out)
    return array.transpose([term.index(c) for c in out])


def plain(xp: Any, array: Any, term: Labels, size: dict[str, int]) -> tuple[Any, Labels]:
    """An operand with each letter once and no dimension that stretches."""
    i = 0
    while i < len(term):
        c = term[i]
        if term.count(c) > 1:
            j = term.index(c, i + 1)
            if array.shape[i] != array.shape[j]:  # one of them stretches
                wide = [n if k not in (i, j) else size[c] for k, n in enumerate(array.shape)]
                array = xp.broadcast_to(array, wide)
            array = xp.diagonal(array, axis1=i, axis2=j)
            term = (*(x for k, x in enumerate(term) if k not in (i, j)), c)
            i = 0
        else:
            i += 1
    thin = tuple(i for i, c in enumerate(term) if array.shape[i] == 1 and size[c] != 1)
    if thin:
        array = xp.squeeze(array, axis=thin)
        term = tuple(c for i, c in enumerate(term) if i not in thin)
    return array, term


def cost(work: Sequence[tuple[Any, Labels]], pair: tuple[int, int], out: Labels, size: dict[str, int]) -> int:
    """Multiplications that contracting a pair takes."""
    letters = set(work[pair[0]][1]) | set(work[pair[1]][1])
    return math.prod(size[c] for c in letters)


def product(
    xp: Any, a: tuple[Any, Labels], b: tuple[Any, Labels], keep: set[str], size: dict[str, int]
) -> tuple[Any, Labels]:
    """Two operands contracted over the letters they share and nobody else needs."""
    x, left = alone(a, b, keep)
    y, right = alone(b, a, keep)
    batch = [c for c in left if c in right and c in keep]
    inner = [c for c in left if c in right and c not in keep]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    x = x.transpose([left.index(c) for c in (*batch, *rows, *inner)])
    y = y.transpose([right.index(c) for c in (*batch, *inner, *columns)])

    def shape(letters: Sequence[str]) -> list[int]:
        return [size[c] for c in letters]

    lead, r, k, m = shape(batch), math.prod(shape(rows)), math.prod(shape(inner)), math.prod(shape(columns))
    x, y = x.reshape(*lead, r, k), y.reshape(*lead, k, m)
    made = x * y if not inner else stacked(x, y) if xp is np else matrix_product(xp, x, y)
    return made.reshape(lead + shape(rows) + shape(columns)), (*batch, *rows, *columns)


def alone(a: tuple[Any, Labels], b: tuple[Any, Labels], keep: set[str]) -> tuple[Any, Labels]:
    """`a` summed over letters that are only its own."""
    array, term = a
    drop = tuple(i for i, c in enumerate(term) if c not in b[1] and c not in keep)
    if not drop:
        return a
    return array.sum(axis=drop), tuple(c for i, c in enumerate(term) if i not in drop)


# --- the record -----------------------------------------------------------------------------------------


def _shape(*operands: Any, equation: str) -> Shape:
    shapes = [sizes(o) for o in operands]
    labels, out = parse(equation, tuple(len(s) for s in shapes))
    size = extents(labels, shapes)
    return tuple(size[c] for c in out)


def _origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    known = [sizes(s) for s in shapes]
    labels, result = parse(attrs["equation"], tuple(len(s) for s in known))
    c = result[dim]
    return [
        (i, k)
        for i, term in enumerate(labels)
        for k, letter in enumerate(term)
        if letter == c and known[i][k] == out[dim]
    ]


def _vjp(xp: Any, g: Any, out: Any, *operands: Any, equation: str) -> Any:
    labels, result = parse(equation, tuple(o.ndim for o in operands))
    size = extents(labels, [o.shape for o in operands])
    return tuple(_to_operand(xp, g, i, operands, labels, result, size) for i in range(len(operands)))


def _to_operand(
    xp: Any,
    g: Any,
    i: int,
    operands: Sequence[Any],
    labels: Sequence[Labels],
    result: Labels,
    size: dict[str, int],
) -> Any:
    """The gradient with the other operands, summed over what this one does not have."""
    term = labels[i]
    once = tuple(dict.fromkeys(term))
    others = [(operands[j], labels[j]) for j in range(len(operands)) if j != i]
    there = set(result).union(*(t for _, t in others))
    have = tuple(c for c in once if c in there)
    text = ",".join("".join(t) for t in (result, *(t for _, t in others))) + "->" + "".join(have)
    part = nested(xp, EINSUM, g, *(o for o, _ in others), equation=text)
    # Letters that were summed away in this operand alone: each element had the same share. One that only this
    # operand stretches is still of size 1 here.
    got = dict(zip(have, part.shape, strict=True))
    part = xp.reshape(part, tuple(got.get(c, 1) for c in once))
    part = xp.broadcast_to(part, tuple(size[c] for c in once))
    held = list(once)
    for dim, c in enumerate(term):
        if c in term[:dim]:
            # A letter named again: only the diagonal was used.
            first = held.index(c)
            order = [k for k in range(len(held)) if k != first]
            last = xp.transpose(part, (*order, first))
            shape = tuple(size[held[k]] for k in order)
            wide = (*shape, size[c], size[c])
            part = nested(
                xp, DIAGONAL_ZEROS, last, shape=wide, offset=0, dim1=len(wide) - 2, dim2=len(wide) - 1
            )
            # Back: the letter where it was, its repetition at `dim`.
            held = [held[k] for k in order] + [c, c]
            rest = list(range(len(order)))
            rest.insert(first, len(order))
            rest.insert(dim, len(order) + 1)
            part = xp.transpose(part, tuple(rest))
            held = [held[k] for k in rest]
    # A dimension of size 1 was stretched to what the others have.
    wide = tuple(d for d, n in enumerate(operands[i].shape) if n == 1 and part.shape[d] != 1)
    return xp.sum(part, axis=wide, keepdims=True) if wide else part


@op(
    "einsum",
    complex=HOLOMORPHIC,
    family="linear",
    shape=_shape,
    dtype=dtype.promoted,
    origin=_origin,
    vjp=_vjp,
    saves=("operands",),
    check=True,
    onnx="Einsum",
    formula="Σ over the letters not in the result of the product of the operands",
    arg_names=("operands",),
)
def EINSUM(xp: Any, *operands: Any, equation: str) -> Any:
    """Products summed as the equation says."""
    labels, out = parse(equation, tuple(o.ndim for o in operands))
    met = np.result_type(*(o.dtype for o in operands))
    made = contract(xp, operands, labels, out)
    # Without anything to sum NumPy gives a view of the operand, and a result is its own array.
    return xp.array(made, dtype=met) if len(operands) == 1 else xp.ascontiguousarray(made).reshape(made.shape)


def einsum(equation: Any, *operands: Any) -> Tensor:
    """`einsum("bik,bkj->bij", a, b)`: multiply and sum as the letters say.

    A letter shared by operands is multiplied element by element, one missing on the right of `->` is summed.
    Without `->` the result has the letters that occur once, in alphabetical order. `...` stands for any
    leading dimensions. Also `einsum(a, [0, 1], b, [1, 2], [0, 2])`, with numbers for letters.
    Raises `ShapeMismatchError` where one letter has two sizes, `ValueError` for an equation that does not
    fit.

    >>> from engine import tensor
    >>> einsum("i,i->", tensor([1.0, 2.0]), tensor([3.0, 4.0])).item()
    11.0
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists(equation, operands)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise located(ValueError("einsum needs at least one operand"))
    return apply(EINSUM, operands, {"equation": equation})  # type: ignore[no-any-return]


def _from_lists(first: Any, rest: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The equation and operands of the form with lists of numbers."""
    given = (first, *rest)
    operands, lists = given[0 : len(given) - len(given) % 2 : 2], given[1::2]

    def text(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else LETTERS[n] for n in numbers)

    equation = ",".join(text(numbers) for numbers in lists)
    if len(given) % 2:
        equation += "->" + text(given[-1])
    return equation, operands
