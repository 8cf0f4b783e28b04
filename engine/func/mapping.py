"""A function of one item made one of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from engine.func.tree import flatten, spread
from engine.located import located
from engine.random import default_generator
from engine.tensor import Tensor

RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """`func` for each item along `in_dims` of its arguments, the results stacked along `out_dims`.

    `in_dims` is a dimension for all arguments, or one for each of them (or for each tensor in them), None for what
    is the same for every item; keyword arguments are split along dimension 0. `func` runs once for each item, so
    the graph shows each and branches may go either way; it is no faster than the loop it stands for, and `chunk_size`
    changes nothing. `randomness`: "error" raises `RuntimeError` when random numbers are drawn, "same" draws the same
    for each item. Raises `ValueError` where the sizes differ.

    >>> import engine as ds
    >>> vmap(ds.dot)(ds.tensor([[1.0, 2.0], [3.0, 4.0]]), ds.tensor([[1.0, 1.0], [0.0, 1.0]])).tolist()
    [3.0, 4.0]
    """
    if randomness not in RANDOMNESS:
        raise located(ValueError(f"randomness is one of {', '.join(RANDOMNESS)}, got {randomness!r}"))

    @functools.wraps(func, updated=())
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, rebuild = flatten((args, kwargs))
        dims = [
            *spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args, "in_dims"),
            *[0 if isinstance(leaf, Tensor) else None for leaf in flatten(kwargs)[0]],
        ]
        size = _size(leaves, dims)
        rows: list[list[Any]] = []
        start = default_generator.get_state()
        for i in range(size):
            if randomness == "same":
                default_generator.set_state(start)
            given = [
                leaf if dim is None else leaf.select(dim, i) for leaf, dim in zip(leaves, dims, strict=True)
            ]
            words, named = rebuild(given)
            result = func(*words, **named)
            if randomness == "error" and default_generator.get_state() != start:
                raise located(
                    RuntimeError(
                        'vmap: random numbers were drawn; say randomness="different" or randomness="same"'
                    )
                )
            row, back = flatten(result)
            for j, out in enumerate(row):
                if not isinstance(out, Tensor):
                    raise located(
                        TypeError(f"vmap: func has to return tensors, result {j} is a {type(out).__name__}")
                    )
            rows.append(row)
        from engine import stack  # made of everything else

        places = spread(out_dims, result, "out_dims")
        return back([stack([row[j] for row in rows], dim) for j, dim in enumerate(places)])

    return mapped


def _size(leaves: list[Any], dims: list[Any]) -> int:
    sizes = {}
    for i, (leaf, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(leaf, Tensor):
            raise located(
                TypeError(f"in_dims has {dim} for argument {i}, a {type(leaf).__name__}: say None for it")
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise located(ValueError(f"in_dims has {dim} for argument {i}, which has {leaf.ndim} dimensions"))
        sizes[i] = leaf.shape[dim]
    if not sizes:
        raise located(ValueError("vmap: at least one in_dims has to be other than None"))
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"argument {i} has {n}" for i, n in sizes.items())
        raise located(ValueError(f"vmap: the sizes of the mapped dimensions differ: {said}"))
    size = next(iter(sizes.values()))
    if size == 0:
        raise located(ValueError("vmap: the mapped dimension has size 0"))
    return int(size)
