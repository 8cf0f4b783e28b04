"""Pruning: parameters of which a mask sets some to 0, `weight = weight_orig * weight_mask` before each call.

The names are PyTorch's: `weight_orig` is the parameter that learns, `weight_mask` a buffer, and `remove` makes it lasting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.creation import ones_like, randperm
from engine.grad_mode import no_grad
from engine.linalg import vector_norm
from engine.located import located
from engine.module import Module
from engine.restructure import structure
from engine.tensor import Tensor

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


def _count(amount: Any, size: int) -> int:
    """How many of `size` a share or a number of them is."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise located(TypeError(f"amount has to be a share or a number, got {amount!r}"))
    if amount < 0 or (isinstance(amount, float) and amount > 1):
        raise located(
            ValueError(f"amount has to be from 0 to 1, or a whole number of 0 or more, got {amount}")
        )
    count = amount if isinstance(amount, int) else round(amount * size)
    if count > size:
        raise located(ValueError(f"amount={amount} is more than the {size} there are"))
    return count


class BasePruningMethod:
    """How a mask is found. A subclass gives `compute_mask(t, default_mask)`, of ones where an element stays."""

    PRUNING_TYPE = "unstructured"  # what is left of an earlier mask: "unstructured", "structured" along `dim`, or "global"
    dim = -1
    _tensor_name = ""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask of the shape of `t`; what `default_mask` takes away stays away."""
        raise NotImplementedError

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter with its mask."""
        name = self._tensor_name
        return getattr(module, name + "_orig") * getattr(module, name + "_mask")  # type: ignore[no-any-return]

    def __call__(self, module: Module, inputs: Any) -> None:
        """Before the module is called: the parameter as the mask leaves it."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    def prune(self, t: Tensor, default_mask: Any = None, importance_scores: Any = None) -> Tensor:
        """`t` with its mask, which is not kept."""
        scores = t if importance_scores is None else importance_scores
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, mask)

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune `module.name`, in addition to what was pruned before."""
        method = cls(*args, **kwargs)
        method._tensor_name = name
        earlier = _hook_of(module, name)
        current = getattr(module, name)
        with no_grad():
            scores = (current if importance_scores is None else importance_scores).detach()
            if scores.shape != current.shape:
                raise located(ValueError(f"importance_scores has to be of shape {list(current.shape)}"))
            if earlier is None:
                mask = method.compute_mask(scores, ones_like(scores))
                module.register_parameter(name + "_orig", module._parameters.pop(name))
                hook = method
            else:
                mask = _combined(method, scores, getattr(module, name + "_mask"))
                hook = PruningContainer(earlier, method)
                _take_away(module, earlier)
        structure.version += 1
        module.register_buffer(name + "_mask", mask.to(scores.dtype))
        setattr(module, name, hook.apply_mask(module))
        module.register_forward_pre_hook(hook)
        return method

    def remove(self, module: Module) -> None:
        """Make the mask lasting."""
        name = self._tensor_name
        with no_grad():
            made = self.apply_mask(module).detach()
            kept = module._parameters.pop(name + "_orig")
            assert kept is not None
            kept.data = made
        module.__dict__.pop(name, None)
        module._buffers.pop(name + "_mask")
        setattr(module, name, kept)
        structure.version += 1


def _combined(method: BasePruningMethod, scores: Tensor, mask: Tensor) -> Tensor:
    """`mask` with what `method` takes away of that which it leaves."""
    if method.PRUNING_TYPE == "unstructured":
        left = mask == 1
        found = mask.clone()
        found[left] = method.compute_mask(scores[left], mask[left]).to(mask.dtype)
        return found
    if method.PRUNING_TYPE == "structured":
        dim = method.dim % mask.dim()
        others = [d for d in range(mask.dim()) if d != dim]
        rows = (mask.sum(others) if others else mask).nonzero().flatten()
        found = mask.clone()
        place = (*[slice(None)] * dim, rows)
        found[place] = method.compute_mask(scores[place], mask[place]).to(mask.dtype)
        return found
    return method.compute_mask(scores, mask)


def _hooks(module: Module) -> dict[int, Any]:
    """The methods by which a module is pruned, by the number of their hook."""
    hooks = module.__dict__.get("_hooks")
    before = {} if hooks is None else hooks.before
    return {key: hook for key, (hook, _) in before.items() if isinstance(hook, BasePruningMethod)}


def _hook_of(module: Module, name: str) -> Any:
    return next((hook for hook in _hooks(module).values() if hook._tensor_name == name), None)


def _take_away(module: Module, hook: BasePruningMethod) -> None:
    for key, other in _hooks(module).items():
        if other is hook:
            del module.__dict__["_hooks"].before[key]


class PruningContainer(BasePruningMethod):
    """Several methods that pruned one parameter, one after the other."""

    def __init__(self, *methods: BasePruningMethod) -> None:
        self._methods: list[BasePruningMethod] = []
        for method in methods:
            self._methods += method._methods if isinstance(method, PruningContainer) else [method]
        self._tensor_name = methods[0]._tensor_name

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What the last of them adds to `default_mask`."""
        return _combined(self._methods[-1], t, default_mask)

    def __len__(self) -> int:
        return len(self._methods)

    def __iter__(self) -> Any:
        return iter(self._methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._methods[index]


class Identity(BasePruningMethod):
    """Nothing is taken away."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask`."""
        return default_mask


class CustomFromMask(BasePruningMethod):
    """A mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The given mask, and what `default_mask` takes away."""
        return default_mask * self.mask.to(default_mask.dtype)


class RandomUnstructured(BasePruningMethod):
    """Some elements, whichever."""

    def __init__(self, amount: Any) -> None:
        _count(amount, 1 << 62)
        self.amount = amount

    def _order(self, t: Tensor) -> Tensor:
        return randperm(t.numel())

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 for so many elements of `t`."""
        mask = default_mask.clone()
        mask.view(-1)[self._order(t)[: _count(self.amount, t.numel())]] = 0
        return mask


class L1Unstructured(RandomUnstructured):
    """The smallest elements."""

    def _order(self, t: Tensor) -> Tensor:
        return t.abs().flatten().argsort()


class RandomStructured(RandomUnstructured):
    """Some slices along `dim`, whichever."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _order(self, t: Tensor) -> Tensor:
        return randperm(t.shape[self.dim])

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 for so many slices of `t`."""
        dim = self.dim % t.dim()
        gone = self._order(t)[: _count(self.amount, t.shape[dim])]
        return default_mask.index_fill(dim, gone, 0.0)


class LnStructured(RandomStructured):
    """The slices along `dim` whose `n`-norm is smallest."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _order(self, t: Tensor) -> Tensor:
        others = [d for d in range(t.dim()) if d != self.dim % t.dim()]
        n = float(self.n) if isinstance(self.n, (int, float)) else {"fro": 2.0, "nuc": 1.0}[self.n]
        return (vector_norm(t, n, others) if others else t.abs()).argsort()


def identity(module: Module, name: str) -> Module:
    """A mask of ones, so that the names are those of a pruned parameter."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Take away a share or a number of the elements of `module.name`, whichever."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Any = None) -> Module:
    """Take away the elements of `module.name` that are smallest, or whose score is.

    >>> import engine as ds
    >>> layer = ds.nn.Linear(2, 1)
    >>> _ = layer.weight.data.copy_(ds.tensor([[3.0, -1.0]]))
    >>> l1_unstructured(layer, "weight", 1).weight.tolist()
    [[3.0, -0.0]]
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Take away slices of `module.name` along `dim`, whichever."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Module:
    """Take away the slices of `module.name` along `dim` whose `n`-norm is smallest."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Take away what a mask says."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: Any = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters together, as if they were one: the smallest of all are taken away."""
    from engine import cat

    pairs = list(parameters)
    given = importance_scores or {}
    with no_grad():
        scores = cat([given.get(pair, getattr(*pair)).detach().flatten() for pair in pairs])
        masks = [getattr(m, f"{n}_mask", None) for m, n in pairs]
        before = cat([ones_like(getattr(*p)).flatten() if k is None else k.flatten() for p, k in zip(pairs, masks, strict=True)])  # fmt: skip
        found = _combined(pruning_method(**kwargs), scores, before)
    start = 0
    for module, name in pairs:
        size = getattr(module, name).numel()
        custom_from_mask(module, name, found[start : start + size].view(getattr(module, name).shape))
        start += size


def remove(module: Module, name: str) -> Module:
    """Make the mask of `module.name` lasting. Raises `ValueError` where there is none."""
    hook = _hook_of(module, name)
    if hook is None:
        raise located(ValueError(f"{name} of {type(module).__name__} is not pruned"))
    hook.remove(module)
    _take_away(module, hook)
    return module


def is_pruned(module: Module) -> bool:
    """Whether anything in a module is pruned."""
    return any(_hooks(inner) for inner in module.modules())
