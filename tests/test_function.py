"""`ds.autograd.Function`: a forward and a backward of one's own, beside PyTorch's, and clear words for a wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.op import OPS


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


def cube(lib: Any) -> Any:
    class Cube(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, input: Any) -> Any:
            ctx.save_for_backward(input)
            return input**3

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (input,) = ctx.saved_tensors
            return grad * 3 * input**2

    return Cube


def saved_result(lib: Any) -> Any:
    class Exponential(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, input: Any) -> Any:
            out = lib.exp(input)
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (out,) = ctx.saved_tensors
            return grad * out

    return Exponential


def scaled(lib: Any) -> Any:
    class Scaled(lib.autograd.Function):  # type: ignore[misc]
        """As the manual's: plain arguments, an optional one, needs_input_grad."""

        @staticmethod
        def forward(ctx: Any, x: Any, factor: float, weight: Any = None, mode: str = "plain") -> Any:
            ctx.factor, ctx.mode = factor, mode
            ctx.save_for_backward(x, weight)
            out = x * factor
            return out if weight is None else out @ weight

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, weight = ctx.saved_tensors
            gx = gw = None
            if ctx.needs_input_grad[0]:
                gx = grad * ctx.factor if weight is None else (grad @ weight.T) * ctx.factor
            if weight is not None and ctx.needs_input_grad[2]:
                gw = (x * ctx.factor).T @ grad
            return gx, None, gw, None

    return Scaled


def split(lib: Any) -> Any:
    class Split(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x * y, x + y

        @staticmethod
        def backward(ctx: Any, g1: Any, g2: Any) -> Any:
            x, y = ctx.saved_tensors
            return g1 * y + g2, g1 * x + g2

    return Split


def new_style(lib: Any) -> Any:
    class Sine(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any) -> Any:
            return lib.sin(x)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            (x,) = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * lib.cos(x)

    return Sine


def straight_through(lib: Any) -> Any:
    class Rounded(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return lib.round(x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad

    return Rounded


def reversal(lib: Any) -> Any:
    class Reversal(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, alpha: float) -> Any:
            ctx.alpha = alpha
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad.neg() * ctx.alpha, None

    return Reversal


PROGRAMS = {
    "cube": lambda lib, a, b: cube(lib).apply(a).sum(),
    "saved result": lambda lib, a, b: (saved_result(lib).apply(a) * b).sum(),
    "plain arguments": lambda lib, a, b: (scaled(lib).apply(a, 2.0) * b).sum(),
    "optional tensor": lambda lib, a, b: (scaled(lib).apply(a, 0.5, b, "matrix") ** 2).sum(),
    "two results": lambda lib, a, b: (lambda p, q: (p * 3 + q * q).sum())(*split(lib).apply(a, b)),
    "one of two used": lambda lib, a, b: split(lib).apply(a, b)[1].sum(),
    "setup_context": lambda lib, a, b: (new_style(lib).apply(a) * b).sum(),
    "straight through": lambda lib, a, b: (straight_through(lib).apply(a * 5) * b).sum(),
    "reversal": lambda lib, a, b: (reversal(lib).apply(a * b, 0.1) * b).sum(),
    "nested": lambda lib, a, b: cube(lib).apply(saved_result(lib).apply(a) * b).sum(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_as_pytorch_to_second_order(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'dsviz[compare]'")
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((3, 3)) for _ in range(2)]

    def run(lib: Any) -> list[Any]:
        a, b = (lib.tensor(array.tolist(), dtype=lib.float64, requires_grad=True) for array in arrays)
        out = PROGRAMS[name](lib, a, b)
        found = [out]
        first = lib.autograd.grad(out, [a, b], create_graph=True, allow_unused=True)
        found += first
        again = sum((g * g).sum() for g in first if g is not None)
        if again.requires_grad:
            found += lib.autograd.grad(again, [a, b], allow_unused=True)
        out = PROGRAMS[name](lib, a, b)
        out.backward()
        found += [a.grad, b.grad]
        return [None if t is None else t.detach().numpy() for t in found]

    for ours, theirs in zip(run(ds), run(torch), strict=True):
        if theirs is None:
            assert ours is None or not ours.any()
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_it_is_one_node_with_its_plain_arguments() -> None:
    x = ds.ones(2, 2, requires_grad=True)
    with ds.trace() as graph:
        scaled(ds).apply(x, 2.0, None, "plain").sum().backward()
    assert [n.label for n in graph.nodes] == ["Scaled", "sum", "sum'", "Scaled'"]
    assert graph.nodes[0].attrs == {"factor": 2.0, "weight": None, "mode": "plain"}


def test_marked_results_take_no_gradient_and_unused_ones_are_zeros_or_none() -> None:
    seen: list[Any] = []

    class Top(ds.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(ctx: Any, x: Any, materialize: bool) -> Any:
            ctx.set_materialize_grads(materialize)
            index = x.argmax(-1).to(x.dtype)
            ctx.mark_non_differentiable(index)
            return x * 2, x * 3, index

        @staticmethod
        def backward(ctx: Any, g1: Any, g2: Any, g3: Any) -> Any:
            seen.append((g1, g2, g3))
            return g1 * 2, None

    for materialize in (True, False):
        x = ds.randn(2, 3, requires_grad=True)
        a, _b, index = Top.apply(x, materialize)
        assert a.requires_grad
        assert not index.requires_grad
        a.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [[2.0] * 3] * 2
    assert seen[0][1].tolist() == [[0.0] * 3] * 2
    assert seen[1][1] is None


def test_arguments_changed_in_place_are_returned_as_themselves() -> None:
    class Doubled(ds.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 2

    leaf = ds.ones(3, requires_grad=True)
    y = leaf * 1
    assert Doubled.apply(y) is y
    y.sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [2.0] * 3
    with pytest.raises(RuntimeError, match="leaf"):
        Doubled.apply(ds.ones(3, requires_grad=True))


def test_once_differentiable_is_a_constant_to_the_second_gradient() -> None:
    class Once(ds.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @ds.autograd.function.once_differentiable  # type: ignore[attr-defined,untyped-decorator]
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 2 * ctx.saved_tensors[0]

    x = ds.ones(3, requires_grad=True)
    (g,) = ds.grad(Once.apply(x).sum(), x, create_graph=True)
    assert g.tolist() == [2.0] * 3
    assert not g.requires_grad


def test_a_saved_value_written_to_is_told() -> None:
    x = ds.ones(3, requires_grad=True)
    y = x * 2
    z = cube(ds).apply(y)
    y.mul_(3)
    with pytest.raises(RuntimeError, match=r"Cube saved it for its gradient .*mul_? .*test_function"):
        z.sum().backward()


def wrong(forward: Any = lambda ctx, x: x * 1, backward: Any = None) -> Any:
    body: dict[str, Any] = {"forward": staticmethod(forward)}
    if backward is not None:
        body["backward"] = staticmethod(backward)
    return type("Wrong", (ds.autograd.Function,), body)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (wrong(backward=lambda ctx, g: (g, g)), "returned 2 gradients, expected 1"),
        (wrong(backward=lambda ctx, g: g.sum(0)), r"gradient of shape \[3\], expected \[2, 3\]"),
        (wrong(backward=lambda ctx, g: "x"), "a str as its gradient"),
        (wrong(), "Wrong has no backward"),
        (wrong(lambda ctx, x: None, lambda ctx, g: g), "has to be a tensor, got None"),
        (wrong(lambda ctx, x: (x, x), lambda ctx, g: g), "returned 2 results, but Wrong.backward takes one"),
        (wrong(lambda ctx, x: ctx.save_for_backward(3), lambda ctx, g: g), "argument 0 is a int"),
    ],
)
def test_a_wrong_one_is_told(function: Any, message: str) -> None:
    x = ds.ones(2, 3, requires_grad=True)
    with pytest.raises((RuntimeError, TypeError), match=message):
        function.apply(x).sum().backward()


def test_a_gradient_for_a_plain_argument_is_told() -> None:
    function = wrong(lambda ctx, x, k: x * k, lambda ctx, g: (g, g))
    with pytest.raises(RuntimeError, match="a gradient for k, which is no tensor"):
        function.apply(ds.ones(2, requires_grad=True), 3).sum().backward()


def test_second_use_after_release_is_told() -> None:
    x = ds.ones(2, requires_grad=True)
    out = cube(ds).apply(x).sum()
    out.backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


class Filled(ds.autograd.Function):
    """Writes into a buffer that wants no gradient, as torchdiffeq does."""

    @staticmethod
    def forward(ctx: Any, buffer: Any, value: Any, index: Any) -> Any:
        ctx.index = index
        buffer.data[index] = value
        return buffer

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad, grad[ctx.index], None


def test_the_gradient_of_an_argument_beside_one_that_wants_none() -> None:
    x = ds.tensor([1.0, 2.0, 3.0], requires_grad=True)
    buffer = ds.zeros(3, 4)
    parts = []
    for i in range(4):
        buffer = Filled.apply(buffer, x * (i + 1), (..., i))
        parts.append((buffer[..., : i + 1] * 2.0).sum())
    # Each part saved a view of what was filled by then; what is filled later lies elsewhere.
    sum(parts).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [sum(2.0 * (i + 1) * (4 - i) for i in range(4))] * 3
