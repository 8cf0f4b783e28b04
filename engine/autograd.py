"""Gradients on demand: `backward` and `grad`, and what `ds.autograd` offers beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import backend, backpropagation
from engine.backpropagation import own, run
from engine.bus import bus
from engine.located import located

if TYPE_CHECKING:
    from engine.tensor import Tensor

# What `ds.autograd` offers beside this module's own names; made of it, so loaded when asked for.
_LAZY = {
    "Function": "engine.function",
    "detect_anomaly": "engine.anomaly",
    "enable_grad": "engine.grad_mode",
    "function": "engine.function",
    "functional": "engine.jacobians",
    "gradcheck": "engine.testing",
    "gradgradcheck": "engine.testing",
    "inference_mode": "engine.grad_mode",
    "no_grad": "engine.grad_mode",
    "set_detect_anomaly": "engine.anomaly",
    "set_grad_enabled": "engine.grad_mode",
}


def __getattr__(name: str) -> Any:
    """`Function`, `functional`, `detect_anomaly` and the gradient modes, as PyTorch has them here; `Variable` of old."""
    if name == "Variable":
        return Tensor
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(_LAZY[name])
    return module if name in ("function", "functional") else getattr(module, name)


def bind(tensor: type[Tensor]) -> None:
    """Called once by tensor.py, which is made of this."""
    global Tensor
    Tensor = tensor  # type: ignore[misc]
    backpropagation.bind(tensor)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` (one or several) to `.grad` of every leaf they depend on.

    A tensor without its own entry in `grad_tensors` is seeded with ones, whatever its shape: the gradient
    is that of the sum of its elements. With `inputs`, only these leaves get a gradient.
    Raises `RuntimeError` when no gradient flows to a tensor, or when its graph was released already.
    """
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    seeds = seeds_of(outputs, grad_tensors, create_graph)
    only = None
    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        only = {t.node for t in wanted}
    retain = create_graph if retain_graph is None else retain_graph
    if bus.root:
        for t in outputs:
            bus.emit("root", (t.node, t.array))
    run([t.node for t in outputs], seeds, retain, create_graph, only, accumulate=True)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, as a tuple of Tensors; `.grad` stays as it is.

    With `create_graph` the gradients can be differentiated again, any number of times. With `is_grads_batched` each
    of `grad_outputs` has a first dimension more, and so have the gradients: one backward pass for each of it.
    Raises `RuntimeError` for an input the outputs do not depend on, unless `allow_unused` (then None) or
    `materialize_grads` (then zeros). `only_inputs` is PyTorch's, of old: no other tensor gets a gradient in any case.
    """
    if is_grads_batched:
        return _batched(
            outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    seeds = seeds_of(outs, grad_outputs, create_graph)
    for i, t in enumerate(wanted):
        if not t.requires_grad:
            raise located(RuntimeError(f"inputs[{i}] does not require a gradient"))
    retain = create_graph if retain_graph is None else retain_graph
    found = run(
        [t.node for t in outs], seeds, retain, create_graph, {t.node for t in wanted}, accumulate=False
    )
    results: list[Any] = []
    for i, t in enumerate(wanted):
        g = found.get(t.node)
        if g is None and not allow_unused:
            raise located(
                RuntimeError(
                    f"inputs[{i}] was not used to compute the outputs; allow_unused=True gives None for it"
                )
            )
        if g is None and materialize_grads:
            g = backend.namespace(t.array).zeros(t.shape, t.dtype)
        results.append(g if g is None or isinstance(g, Tensor) else Tensor(own(g)))
    return tuple(results)


def _batched(
    outputs: Any, inputs: Any, seeds: Any, retain_graph: bool | None, create_graph: bool, allow_unused: bool | None,
    materialize_grads: bool,
) -> tuple[Any, ...]:  # fmt: skip
    from engine import stack  # made of everything else

    many = [seeds] if isinstance(seeds, Tensor) else list(seeds or ())
    if not many or len({len(s) for s in many}) > 1:
        raise located(ValueError("is_grads_batched needs grad_outputs of one size in their first dimension"))
    count = len(many[0])
    rows = [
        grad(
            outputs, inputs, [s[i] for s in many], retain_graph or create_graph or i < count - 1, create_graph,
            allow_unused=allow_unused, materialize_grads=materialize_grads,
        )
        for i in range(count)
    ]  # fmt: skip
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows, strict=True))


def seeds_of(outputs: list[Tensor], given: Any, create_graph: bool) -> list[Any]:
    """The gradient each output starts with: the given one, or ones."""
    if given is None or isinstance(given, Tensor) or backend.is_array(given):
        given = [given] * (len(outputs) if given is None else 1)
    if len(given) != len(outputs):
        raise located(RuntimeError(f"expected {len(outputs)} gradients to start with, got {len(given)}"))
    seeds = []
    for t, g in zip(outputs, given, strict=True):
        if not t.requires_grad:
            raise located(
                RuntimeError(
                    "no gradient flows to this tensor: nothing it was made from requires one, or it was made under no_grad"
                )
            )
        if t.dtype.kind == "c":
            _complex_seed(t, g)
        if g is None:
            g = backend.namespace(t.array).ones_like(t.array)
        elif not create_graph or not isinstance(g, Tensor):
            g = g.array if isinstance(g, Tensor) else g
        if g.shape != t.shape:
            raise located(
                RuntimeError(
                    f"the gradient to start with has shape {list(g.shape)}, the tensor {list(t.shape)}"
                )
            )
        if create_graph and not isinstance(g, Tensor):
            g = Tensor(g)
        seeds.append(g)
    return seeds


def _complex_seed(tensor: Tensor, g: Any) -> None:
    """Raise `RuntimeError` unless a complex tensor is given the complex gradient it starts with."""
    if g is None:
        raise located(
            RuntimeError(
                f"a gradient can be made only for real outputs, this one is {tensor.dtype}: a complex number is neither "
                "larger nor smaller than another. Take .abs(), .real or another real number of it as the loss, or give `gradient`"
            )
        )
    if g.dtype != tensor.dtype:
        raise located(
            RuntimeError(
                f"the gradient to start with is {g.dtype}, the tensor {tensor.dtype}: a complex tensor needs one of its own type"
            )
        )
