"""Whole matrices of derivatives, of functions: PyTorch's `autograd.functional`.

Each row of a Jacobian is one backward pass; they are exact, being made of the ops' own gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.autograd import grad
from engine.creation import zeros_like
from engine.located import located
from engine.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _points(inputs: Any, name: str) -> tuple[tuple[Tensor, ...], bool]:
    """The inputs as leaves of their own, and whether there was one alone."""
    alone = not isinstance(inputs, (tuple, list))
    given = (inputs,) if alone else tuple(inputs)
    for i, value in enumerate(given):
        if not isinstance(value, Tensor):
            raise located(TypeError(f"{name}: inputs[{i}] has to be a tensor, got {type(value).__name__}"))
    return given, alone


def _leaves(given: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    if create_graph and all(t.requires_grad for t in given):
        return tuple(t.view_as(t) for t in given)
    return tuple(t.detach().requires_grad_() for t in given)


def _outputs(result: Any, name: str) -> tuple[tuple[Tensor, ...], bool]:
    alone = not isinstance(result, (tuple, list))
    outs = (result,) if alone else tuple(result)
    for i, out in enumerate(outs):
        if not isinstance(out, Tensor):
            raise located(
                TypeError(f"{name}: func has to return tensors, result {i} is a {type(out).__name__}")
            )
    return outs, alone


def _grads(
    outs: Any, points: tuple[Tensor, ...], seeds: Any, create_graph: bool, strict: bool, name: str
) -> list[Tensor]:
    live = [(o, s) for o, s in zip(outs, seeds, strict=True) if o.requires_grad]
    found: list[Any] = [None] * len(points)
    if live:
        found = list(
            grad([o for o, _ in live], points, [s for _, s in live], True, create_graph, allow_unused=True)
        )
    for i, g in enumerate(found):
        if g is None:
            if strict:
                raise located(
                    RuntimeError(f"{name}: the result does not depend on inputs[{i}], and strict is True")
                )
            found[i] = zeros_like(points[i])
    return found


def _unwrapped(values: Any, alone: bool) -> Any:
    return values[0] if alone else tuple(values)


def units(out: Tensor) -> Iterator[Tensor]:
    """Tensors like `out` with a 1 at one element after another: each pulls one row of a Jacobian back."""
    for i in range(out.numel()):
        seed = zeros_like(out).detach()
        seed.array.reshape(-1)[i] = 1
        yield seed


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The derivative of every element of `func(*inputs)` by every element of each input.

    For one result and one input a tensor of the result's shape followed by the input's; tuples of them for several
    results (outside) and several inputs (inside). `vectorize` and `strategy` change nothing.

    >>> import engine as ds
    >>> jacobian(lambda x: x**2, ds.tensor([1.0, 3.0])).tolist()
    [[2.0, 0.0], [0.0, 6.0]]
    """
    from engine import reshape, stack, zeros  # made of everything else

    given, alone = _points(inputs, "jacobian")
    points = _leaves(given, create_graph)
    outs, single = _outputs(func(*points), "jacobian")
    table = []
    for out in outs:
        rows: list[list[Tensor]] = []
        for seed in units(out):
            rows.append(_grads((out,), points, (seed,), create_graph, strict, "jacobian"))
        blocks = [
            reshape(stack([row[j] for row in rows]), (*out.shape, *point.shape))
            if rows
            else zeros((*out.shape, *point.shape))
            for j, point in enumerate(points)
        ]
        table.append(_unwrapped(blocks if create_graph else [b.detach() for b in blocks], alone))
    return _unwrapped(table, single)


def _scalar(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    def checked(*points: Any) -> Any:
        outs, alone = _outputs(func(*points), name)
        if not alone or outs[0].numel() != 1:
            what = f"{len(outs)} results" if not alone else f"a tensor of shape {list(outs[0].shape)}"
            raise located(RuntimeError(f"{name}: func has to return one number, got {what}"))
        return outs[0].reshape(())

    return checked


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The second derivatives of a function that returns one number.

    >>> import engine as ds
    >>> hessian(lambda x: (x**3).sum(), ds.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    _, alone = _points(inputs, "hessian")
    checked = _scalar(func, "hessian")

    def first(*points: Any) -> Any:
        return jacobian(checked, points[0] if alone else points, create_graph=True, strict=strict)

    return jacobian(first, inputs, create_graph, strict)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The result of `func`, and `v` times its Jacobian: one backward pass."""
    given, alone = _points(inputs, "vjp")
    points = _leaves(given, create_graph)
    outs, single = _outputs(func(*points), "vjp")
    seeds = _vectors(v, outs, single, "vjp", "the result")
    found = _grads(outs, points, seeds, create_graph, strict, "vjp")
    if not create_graph:
        outs, found = tuple(o.detach() for o in outs), [g.detach() for g in found]
    return _unwrapped(outs, single), _unwrapped(found, alone)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The result of `func`, and its Jacobian times `v`, by differentiating the vjp once more."""
    given, alone = _points(inputs, "jvp")
    points = _leaves(given, create_graph)
    outs, single = _outputs(func(*points), "jvp")
    directions = _vectors(v, points, alone, "jvp", "the inputs")
    seeds = tuple(zeros_like(o).detach().requires_grad_() for o in outs)
    pulled = _grads(outs, points, seeds, True, strict, "jvp")
    found = _grads(pulled, seeds, directions, create_graph, False, "jvp")
    if not create_graph:
        outs, found = tuple(o.detach() for o in outs), [g.detach() for g in found]
    return _unwrapped(outs, single), _unwrapped(found, single)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a function that returns one number, and `v` times its second derivatives."""
    given, alone = _points(inputs, "vhp")
    points = _leaves(given, create_graph)
    out = _scalar(func, "vhp")(*points)
    directions = _vectors(v, points, alone, "vhp", "the inputs")
    first = _grads((out,), points, (None,), True, strict, "vhp")
    found = _grads(first, points, directions, create_graph, False, "vhp")
    if not create_graph:
        out, found = out.detach(), [g.detach() for g in found]
    return out, _unwrapped(found, alone)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """As `vhp`: second derivatives are symmetric."""
    return vhp(func, inputs, v, create_graph, strict)


def _vectors(v: Any, like: tuple[Tensor, ...], alone: bool, name: str, what: str) -> tuple[Any, ...]:
    if v is None:
        if not alone or like[0].numel() != 1:
            raise located(RuntimeError(f"{name}: v can be left out only where {what} is one number"))
        return (None,)
    given = tuple(v) if isinstance(v, (tuple, list)) else (v,)
    if len(given) != len(like):
        raise located(
            RuntimeError(f"{name}: v has to be as many tensors as {what}, {len(like)}, got {len(given)}")
        )
    for i, (one, other) in enumerate(zip(given, like, strict=True)):
        if tuple(one.shape) != tuple(other.shape):
            raise located(
                RuntimeError(
                    f"{name}: v[{i}] has shape {list(one.shape)}, expected {list(other.shape)}, that of {what}"
                )
            )
    return given
