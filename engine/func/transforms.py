"""Functions that give the derivatives of a function, and can be nested.

Everything is made of backward passes over the ops' own gradients, so derivatives of derivatives are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.autograd import grad as gradients
from engine.creation import zeros_like
from engine.func.tree import flatten
from engine.grad_mode import enable_grad
from engine.jacobians import units
from engine.located import located
from engine.node import Node
from engine.tensor import Tensor

Function = Callable[..., Any]


def grad(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """The function that gives the gradient of `func`, which returns one number, by its argument `argnums`.

    With `has_aux` `func` returns (number, anything), and so does the new function. Raises `RuntimeError` when the
    result is no single number.

    >>> import engine as ds
    >>> grad(grad(lambda x: x**3))(ds.tensor(2.0)).item()
    12.0
    """

    def made(*args: Any, **kwargs: Any) -> Any:
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return made


def grad_and_value(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """As `grad`; the new function gives (gradient, result)."""

    def made(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            points = Points("grad", args, argnums)
            result = func(*points.args, **kwargs)
            out, aux = _parted("grad", result, has_aux)
            if not isinstance(out, Tensor) or out.numel() != 1 or out.ndim:
                what = f"shape {list(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
                raise located(RuntimeError(f"grad: func has to return a tensor of one number, got {what}"))
            found = points.rebuilt(points.pull([out], [None]))
            value, aux = points.settled(out), points.aux(aux)
        return found, ((value, aux) if has_aux else value)

    return made


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The result of `func(*primals)`, and the function that pulls a tensor like it back to the primals."""
    with enable_grad():
        points = Points("vjp", primals, tuple(range(len(primals))))
        out, aux = _parted("vjp", func(*points.args), has_aux)
    outs, rebuild = flatten(out)

    def pull(*cotangents: Any) -> Any:
        given = flatten(cotangents[0] if len(cotangents) == 1 else cotangents)[0]
        if len(given) != len(outs):
            raise located(ValueError(f"vjp: {len(outs)} tensors are pulled back, got {len(given)}"))
        with enable_grad():
            return points.rebuilt(points.pull(outs, given))

    value = rebuild([points.settled(o) for o in outs])
    aux = points.aux(aux)
    return (value, pull, aux) if has_aux else (value, pull)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """The result of `func(*primals)`, and how it changes when the primals move along `tangents`."""
    with enable_grad():
        points = Points("jvp", tuple(primals), tuple(range(len(primals))))
        out, aux = _parted("jvp", func(*points.args), has_aux)
        outs, rebuild = flatten(out)
        directions = flatten(tuple(tangents))[0]
        if len(directions) != len(points.leaves):
            raise located(
                ValueError(f"jvp: {len(points.leaves)} tensors move, got {len(directions)} tangents")
            )
        # The pulled-back vector is linear in what is pulled back: its derivative by that is the way forward.
        seeds = [zeros_like(o).detach().requires_grad_() for o in outs]
        pulled = points.pull(outs, seeds)
        live = [(p, d) for p, d in zip(pulled, directions, strict=True) if p.requires_grad]
        moved: list[Any] = [None] * len(seeds)
        if live:
            moved = list(
                gradients([p for p, _ in live], seeds, [d for _, d in live], True, True, allow_unused=True)
            )
        moved = [zeros_like(o).detach() if m is None else m for o, m in zip(outs, moved, strict=True)]
        fresh = {s.node for s in seeds}
        value = rebuild([points.settled(o) for o in outs])
        change = rebuild([points.settled(m, fresh) for m in moved])
        aux = points.aux(aux)
    return (value, change, aux) if has_aux else (value, change)


def jacrev(
    func: Function,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Function:
    """The function that gives the derivative of every element of the result by every element of an argument.

    Of shape [*result, *argument]; nested as the result, and inside as the arguments. `chunk_size` changes nothing:
    rows are pulled back one after the other.

    >>> import engine as ds
    >>> jacrev(ds.sin)(ds.tensor([0.0, 0.0])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    from engine import stack, zeros  # made of everything else

    def made(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            points = Points("jacrev", args, argnums)
            out, aux = _parted("jacrev", func(*points.args, **kwargs), has_aux)
            outs, rebuild = flatten(out)
            blocks = []
            for one in outs:
                rows = [points.pull([one], [seed]) for seed in units(one)]
                blocks.append(
                    points.rebuilt(
                        [
                            stack([row[j] for row in rows]).reshape(*one.shape, *leaf.shape)
                            if rows
                            else zeros(*one.shape, *leaf.shape)
                            for j, leaf in enumerate(points.leaves)
                        ]
                    )
                )
            found, aux = rebuild(blocks), points.aux(aux)
        return (found, aux) if has_aux else found

    return made


def jacfwd(
    func: Function,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Function:
    """As `jacrev`, and computed in the same way: the values are those of PyTorch's forward mode."""
    return jacrev(func, argnums, has_aux=has_aux, chunk_size=chunk_size)


def hessian(func: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that gives the second derivatives: the Jacobian of the Jacobian.

    >>> import engine as ds
    >>> hessian(lambda x: (x**3).sum())(ds.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacfwd(jacrev(func, argnums), argnums)


def _parted(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise located(RuntimeError(f"{name}: with has_aux func has to return (result, anything)"))
    return result


class Points:
    """Arguments as tensors a derivative is taken by; those an outer derivative already follows stay tied to it."""

    def __init__(self, name: str, args: tuple[Any, ...], argnums: int | tuple[int, ...]) -> None:
        self.name = name
        which = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for n in which:
            if not -len(args) <= n < len(args):
                raise located(ValueError(f"{name}: argnums has {n}, and there are {len(args)} arguments"))
        chosen = tuple(args[n] for n in which)
        given, self._rebuild = flatten(chosen[0] if isinstance(argnums, int) else chosen)
        for i, value in enumerate(given):
            complex_too = name in ("grad", "grad_and_value", "vjp")
            if not isinstance(value, Tensor) or not (
                value.is_floating_point() or (complex_too and value.is_complex())
            ):
                what = f"{value.dtype} tensor" if isinstance(value, Tensor) else type(value).__name__
                raise located(
                    TypeError(f"{name}: tensor {i} of argnums {argnums} has to be floating, got a {what}")
                )
        self.leaves = [v.view_as(v) if v.requires_grad else v.detach().requires_grad_() for v in given]
        self._own = {t.node for t, v in zip(self.leaves, given, strict=True) if not v.requires_grad}
        new = self._rebuild(self.leaves)
        replaced = list(args)
        for n, value in zip(which, (new,) if isinstance(argnums, int) else new, strict=True):
            replaced[n] = value
        self.args = tuple(replaced)

    def rebuilt(self, values: list[Tensor]) -> Any:
        """Values for the leaves, nested as the arguments are."""
        return self._rebuild(values)

    def pull(self, outs: list[Any], seeds: list[Any]) -> list[Tensor]:
        """The gradients of the leaves; zeros for what has no part in `outs`."""
        for i, out in enumerate(outs):
            if not isinstance(out, Tensor):
                raise located(
                    TypeError(
                        f"{self.name}: func has to return tensors, result {i} is a {type(out).__name__}"
                    )
                )
        live = [(o, s) for o, s in zip(outs, seeds, strict=True) if o.requires_grad]
        found: list[Any] = [None] * len(self.leaves)
        if live:
            found = list(
                gradients(
                    [o for o, _ in live], self.leaves, [s for _, s in live], True, True, allow_unused=True
                )
            )
        return [
            zeros_like(leaf).detach() if g is None else self.settled(g)
            for leaf, g in zip(self.leaves, found, strict=True)
        ]

    def settled(self, value: Tensor, more: set[Node] | None = None) -> Tensor:
        """`value`, without its graph if that leads nowhere but to the points of this derivative."""
        own = self._own | more if more else self._own
        seen: set[Node] = set()
        todo = [value.node]
        while todo:
            node = todo.pop()
            if not node.requires or node in seen:
                continue
            seen.add(node)
            if node.op is None and node not in own:
                return value
            todo += [n for n in node.inputs if n is not None]
        return value.detach()

    def aux(self, value: Any) -> Any:
        """What a function gave beside its result, settled."""
        leaves, rebuild = flatten(value)
        return rebuild([self.settled(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves])
