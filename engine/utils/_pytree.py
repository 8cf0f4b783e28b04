"""Nested lists, tuples and dicts taken apart and put together again, under the names that PyTorch has for it.

>>> leaves, spec = tree_flatten({"a": 1, "b": [2, (3,)]})
>>> leaves
[1, 2, 3]
>>> tree_unflatten([10, 20, 30], spec)
{'a': 10, 'b': [20, (30,)]}
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["TreeSpec", "tree_flatten", "tree_leaves", "tree_map", "tree_unflatten"]


class TreeSpec(NamedTuple):
    """How leaves are nested: the kind of the container (None: a leaf), its keys where it has some, and what is in it."""

    kind: Any
    keys: list[Any] | None
    inner: list[TreeSpec]

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.kind is None else sum(part.num_leaves for part in self.inner)


def tree_flatten(tree: Any) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and how they are nested."""
    kind = type(tree)
    keys: list[Any] | None = None
    if kind in (dict, OrderedDict):
        keys, parts = list(tree), list(tree.values())
    elif kind in (list, tuple) or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
        parts = list(tree)
    else:
        return [tree], TreeSpec(None, None, [])
    leaves, inner = [], []
    for part in parts:
        found, spec = tree_flatten(part)
        leaves += found
        inner.append(spec)
    return leaves, TreeSpec(kind, keys, inner)


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The leaves nested as `treespec` says. Raises `ValueError` for another number of them."""
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten: expected {treespec.num_leaves} leaves, got {len(given)}")
    rest = iter(given)

    def made(spec: TreeSpec) -> Any:
        if spec.kind is None:
            return next(rest)
        parts = [made(part) for part in spec.inner]
        if spec.keys is not None:
            return spec.kind(zip(spec.keys, parts, strict=True))
        return spec.kind(*parts) if hasattr(spec.kind, "_fields") else spec.kind(parts)

    return made(treespec)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves in order."""
    return tree_flatten(tree)[0]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any) -> Any:
    """`func` of each leaf, and of those at the same places of `rests`, nested as `tree` is."""
    leaves, spec = tree_flatten(tree)
    return tree_unflatten(map(func, leaves, *(tree_leaves(other) for other in rests)), spec)
