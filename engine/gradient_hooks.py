"""Functions that are called when a gradient is complete, in the middle of a backward pass."""

from __future__ import annotations

import weakref
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located
from engine.node import Node

if TYPE_CHECKING:
    from engine.tensor import Tensor

_hook_ids = count()


class RemovableHandle:
    """A registered hook; `remove()`, or the end of a `with`, takes it away."""

    __slots__ = ("_hooks", "id")

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(_hook_ids)

    def remove(self) -> None:
        """Take the hook away. Removing twice is harmless."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register_hook(node: Node, hook: Any) -> RemovableHandle:
    """Call `hook(gradient)` when the gradient of `node` is complete."""
    if not node.requires:
        raise located(RuntimeError("a hook needs a tensor that requires a gradient"))
    if node.hooks is None:
        node.hooks = {}
    handle = RemovableHandle(node.hooks)
    node.hooks[handle.id] = hook
    for key, other in list(node.hooks.items()):
        if getattr(other, "keeps", False):  # what is kept is what all the others leave
            node.hooks[key] = node.hooks.pop(key)
    return handle


# Hooks of leaves whose gradient is complete; few programs have any, so nodes have no place for them.
afterwards: weakref.WeakKeyDictionary[Node, tuple[weakref.ref[Any], dict[int, Any]]] = (
    weakref.WeakKeyDictionary()
)


def register_after(tensor: Tensor, hook: Any) -> RemovableHandle:
    """Call `hook(tensor)` when `.grad` of a leaf has been added to."""
    node = tensor.node
    if not node.requires or node.op is not None:
        raise located(
            RuntimeError("register_post_accumulate_grad_hook needs a leaf that requires a gradient")
        )
    entry = afterwards.get(node)
    if entry is None:
        entry = afterwards[node] = (weakref.ref(tensor), {})
    handle = RemovableHandle(entry[1])
    entry[1][handle.id] = hook
    return handle


def after(node: Node) -> None:
    """Call the hooks of a leaf whose gradient is complete."""
    entry = afterwards.get(node)
    tensor = None if entry is None else entry[0]()
    if entry is not None and tensor is not None:
        for hook in list(entry[1].values()):
            hook(tensor)


def retain(node: Node) -> None:
    """Keep the gradient of a node that is no leaf in its `grad`."""
    if node.op is None or node.grad_source is node:
        return
    if not node.requires:
        raise located(RuntimeError("retain_grad needs a tensor that requires a gradient"))
    node.grad_source = node  # the mark that it is kept already

    def store(g: Tensor) -> None:
        held = node.grad
        node.grad = g if held is None else held + g

    store.keeps = True  # type: ignore[attr-defined]
    register_hook(node, store)


def run_hooks(node: Node, g: Any) -> Any:
    """The gradient of `node` as its hooks leave it."""
    from engine.tensor import Tensor  # made of this

    raw = not isinstance(g, Tensor)
    value = Tensor(np.asarray(g) if isinstance(g, np.generic) else g) if raw else g
    for hook in list((node.hooks or {}).values()):
        changed = hook(value)
        if changed is not None:
            value = changed
    return value.array if raw else value
