"""Nested tuples, lists and dicts of tensors as a flat list, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.located import located

Rebuild = Callable[[list[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """The leaves of `tree` in order, and what makes such a tree of other leaves.

    >>> leaves, rebuild = flatten({"a": 1, "b": (2, [3])})
    >>> leaves
    [1, 2, 3]
    >>> rebuild([10, 20, 30])
    {'a': 10, 'b': (20, [30])}
    """
    if isinstance(tree, dict):
        parts, kind = [flatten(v) for v in tree.values()], tree.keys()
        keys = list(kind)
        leaves = [leaf for part, _ in parts for leaf in part]
        return leaves, lambda new: type(tree)(zip(keys, _each(parts, new), strict=True))
    if isinstance(tree, (tuple, list)):
        parts = [flatten(v) for v in tree]
        leaves = [leaf for part, _ in parts for leaf in part]
        if hasattr(tree, "_fields"):  # a named tuple
            return leaves, lambda new: type(tree)(*_each(parts, new))
        return leaves, lambda new: type(tree)(_each(parts, new))
    return [tree], lambda new: new[0]


def _each(parts: list[tuple[list[Any], Rebuild]], new: list[Any]) -> list[Any]:
    made, at = [], 0
    for leaves, rebuild in parts:
        made.append(rebuild(new[at : at + len(leaves)]))
        at += len(leaves)
    return made


def spread(prefix: Any, tree: Any, name: str) -> list[Any]:
    """One value of `prefix` for each leaf of `tree`: a value stands for all below it.

    Raises `ValueError` where the two do not have one shape; `name` is what the prefix is called.

    >>> spread((0, None), (1, {"a": 2, "b": 3}), "in_dims")
    [0, None, None]
    """
    if not isinstance(prefix, (tuple, list, dict)):
        return [prefix] * len(flatten(tree)[0])
    same = type(tree) is type(prefix) or (
        isinstance(tree, (tuple, list)) and isinstance(prefix, (tuple, list))
    )
    if not same or len(tree) != len(prefix):
        raise located(ValueError(f"{name} {prefix!r} is not of the structure of what it is for"))
    if isinstance(prefix, dict):
        if set(prefix) != set(tree):
            raise located(ValueError(f"{name} has keys {sorted(prefix)}, what it is for has {sorted(tree)}"))
        return [value for key in tree for value in spread(prefix[key], tree[key], name)]
    return [value for p, t in zip(prefix, tree, strict=True) for value in spread(p, t, name)]
