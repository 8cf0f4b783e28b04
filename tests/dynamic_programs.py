"""Random dynamic programs: a list of numbers decides every step, so the same list is the same program in two frameworks.

A program keeps a pool of tensors. Each step takes some of them, by number, and adds what it makes; branches and loops look
at values. `run` is written once and told which framework to use.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Make = Callable[["Program"], Any]
STEPS: list[Make] = []


class NumbersUsedUpError(Exception):
    """The list that decides is used up: the program ends here."""


class Program:
    """One run of a program in framework `lib` (`torch` or `engine`)."""

    def __init__(self, lib: Any, numbers: list[int]) -> None:
        self.lib = lib
        self.numbers = iter(numbers)
        self.pool: list[Any] = []
        self.leaves: list[Any] = []
        self.text: list[str] = []
        self.coarse = False  # float32 took part
        self.wrote = False  # something was changed in place
        self.made = 0  # seeds the values of constants

    def choose(self, count: int) -> int:
        """A number below `count`."""
        for number in self.numbers:
            return number % count
        raise NumbersUsedUpError

    def one_of(self, *things: Any) -> Any:
        """One of the things given."""
        return things[self.choose(len(things))]

    def pick(self, dims: int = 0) -> Any:
        """A tensor of the pool with at least `dims` dimensions; dimensions are added where it has fewer."""
        found = self.pool[-1 - self.choose(len(self.pool))]
        while found.ndim < dims:
            found = found.unsqueeze(self.choose(found.ndim + 1))
        return found

    def dim(self, x: Any) -> int:
        """One of the dimensions of `x`, counted from either end."""
        return self.choose(2 * x.ndim) - x.ndim

    def like(self, x: Any) -> Any:
        """A tensor that broadcasts against `x`: one of the pool, or part of one, or a new one."""
        for _ in range(3):
            y = self.pick()
            if all(a == b or 1 in (a, b) for a, b in zip(x.shape[::-1], y.shape[::-1], strict=False)):
                return y
        return self.values([s if self.choose(3) else 1 for s in x.shape])

    def values(self, shape: Any) -> Any:
        """New numbers of a shape, float64."""
        self.made += 1
        return self.lib.tensor(np.random.default_rng(self.made).normal(size=tuple(shape)))

    def leaf(self) -> Any:
        """New numbers that a gradient is taken of."""
        made = self.values([self.choose(3) + 1 for _ in range(self.choose(4))]).requires_grad_()
        self.leaves.append(made)
        return made

    def add(self, x: Any) -> None:
        """Keep what a step made, its values held near 1 so that nothing overflows; of a large tensor only a part."""
        if x.numel() > 200:
            x = x.flatten()[:50].reshape(5, 10)
        if x.numel() and not self.lib.isfinite(x).all():
            x = self.lib.where(self.lib.isfinite(x), x, self.lib.zeros_like(x)).detach()
        if x.numel() and float(x.detach().abs().max()) > 20.0:
            x = self.lib.tanh(x)
        self.pool.append(x)


def step(make: Make) -> Make:
    """Register one kind of step."""
    STEPS.append(make)
    return make


@step
def element_by_element(p: Program) -> Any:
    """One of the functions of one tensor."""
    x = p.pick()
    name = p.one_of(
        *("exp", "sin", "cos", "tanh", "sigmoid", "relu", "abs", "square", "neg", "erf", "atan", "sign"),
        *("floor", "expm1", "sinh", "asinh", "log1p", "sqrt", "rsqrt", "log", "reciprocal", "tan", "round"),
    )
    if name in ("log1p", "sqrt", "rsqrt", "log", "reciprocal"):
        x = x.abs() + 0.5
    if name in ("exp", "expm1", "sinh", "tan"):
        x = x.clamp(-1.2, 1.2)
    return getattr(p.lib, name)(x)


@step
def nonlinear(p: Program) -> Any:
    """An activation of `nn.functional`."""
    f = p.lib.nn.functional
    x = p.pick(1)
    name = p.one_of(
        "gelu", "silu", "elu", "softplus", "leaky_relu", "softmax", "log_softmax", "layer_norm", "normalize"
    )
    if name in ("softmax", "log_softmax"):
        return getattr(f, name)(x, dim=p.dim(x))
    if name == "layer_norm":
        return f.layer_norm(x, x.shape[-1:], eps=0.1)
    if name == "normalize":
        return f.normalize(x, dim=p.dim(x), eps=0.1)
    return getattr(f, name)(x)


@step
def two(p: Program) -> Any:
    """Arithmetic of two tensors that broadcast."""
    x = p.pick()
    y = p.like(x)
    name = p.one_of("add", "sub", "mul", "div", "maximum", "minimum", "atan2", "pow", "where", "remainder")
    if name == "add":
        return x + y
    if name == "sub":
        return x - y
    if name == "mul":
        return x * y
    if name == "div":
        return x / (y.abs() + 1.0)
    if name == "pow":
        return (x.abs() + 0.5) ** y.clamp(-2, 2)
    if name == "where":
        return p.lib.where(x > y, x, y * 2)
    if name == "remainder":
        return x % (y.detach().abs() + 0.7)
    return getattr(p.lib, name)(x, y)


@step
def with_number(p: Program) -> Any:
    """A tensor and a Python number, whole or not, on either side."""
    x = p.pick()
    c = p.one_of(2, -1, 0.5, 3.0, 1, 0)
    kind = p.choose(8)
    if kind == 0:
        return c - x
    if kind == 1:
        return c / (x.abs() + 1)
    if kind == 2:
        return x**2 + c
    if kind == 3:
        return x.clamp(min=c)
    if kind == 4:
        return 2 ** x.clamp(-2, 2) * c
    if kind == 5:
        return -x * c
    if kind == 6:
        return x.masked_fill(x > c, 0.25)
    return x**3 / 4


@step
def mixed_dtypes(p: Program) -> Any:
    """Whole numbers, truth values and float32 beside float64."""
    x = p.pick()
    kind = p.choose(5)
    if kind == 0:
        return x * (x > 0)
    if kind == 1:
        return x + (x * 3).long()
    if kind == 2:
        p.coarse = True
        return x.float() * x
    if kind == 3:
        return (x > 0).sum() * x
    return x * p.lib.arange(x.shape[-1] if x.ndim else 3)


@step
def reduce(p: Program) -> Any:
    """A sum of some kind over all, one or two dimensions."""
    x = p.pick(1)
    name = p.one_of(
        "sum",
        "mean",
        "prod",
        "amax",
        "amin",
        "logsumexp",
        "var",
        "std",
        "norm",
        "max",
        "min",
        "cumsum",
        "cumprod",
    )
    dim = p.dim(x)
    keep = bool(p.choose(2))
    if name in ("cumsum", "cumprod"):
        return getattr(x, name)(dim)
    if name in ("max", "min"):
        return getattr(x, name)(dim, keepdim=keep).values if p.choose(2) else getattr(x, name)()
    if name in ("var", "std"):
        x = p.lib.cat([x, x * 0.3 + 1], dim)
        return getattr(x, name)(dim, keepdim=keep, unbiased=bool(p.choose(2)))
    if name == "norm":
        return (x + 0.01).norm(dim=dim, keepdim=keep)
    if name == "prod":
        return x.prod(dim, keepdim=keep) if p.choose(2) else x.clamp(-1, 1).prod()
    if name in ("sum", "mean") and p.choose(2):
        return getattr(x, name)()
    if name in ("sum", "mean", "logsumexp") and x.ndim > 1 and p.choose(2):
        return getattr(x, name)((0, -1), keepdim=keep)
    return getattr(x, name)(dim, keepdim=keep)


@step
def arrange(p: Program) -> Any:
    """Another view of the same numbers."""
    x = p.pick(2)
    a, b = p.dim(x), p.dim(x)
    kind = p.choose(12)
    if kind == 0:
        return x.transpose(a, b)
    if kind == 1:
        return x.reshape(-1)
    if kind == 2:
        return x.unsqueeze(a).squeeze(a)
    if kind == 3:
        return x.permute(*[(i + a) % x.ndim for i in range(x.ndim)])
    if kind == 4:
        return x[:1].expand(3, *x.shape[1:])
    if kind == 5:
        return x.flatten(0, 1)
    if kind == 6:
        return x.flip((a,))
    if kind == 7:
        return x.repeat(*[1 + p.choose(2) for _ in x.shape])
    if kind == 8:
        return x.T if x.ndim == 2 else x.mT
    if kind == 9:
        return p.lib.roll(x, p.choose(5) - 2, a)
    if kind == 10:
        return p.lib.tril(x) if p.choose(2) else p.lib.triu(x, 1)
    return x.contiguous().view(x.shape[0], -1)


@step
def part(p: Program) -> Any:
    """Part of a tensor, by every kind of index."""
    x = p.pick(2)
    n = x.shape[0]
    kind = p.choose(12)
    if kind == 0:
        return x[p.choose(n) - n]
    if kind == 1:
        return x[..., :: 1 + p.choose(2)]
    if kind == 2:
        return x[:, None, p.choose(x.shape[1]) :]
    if kind == 3:
        return x[p.lib.tensor([p.choose(n), p.choose(n), 0])]
    if kind == 4:
        return x[:, [0, -1]]
    if kind == 5:
        return x[x > 0] if bool((x > 0).any()) else x[0]
    if kind == 6:
        return x[p.lib.tensor([0, p.choose(n)]), p.lib.tensor([[0], [-1]])]
    if kind == 7:
        return x.narrow(1, p.choose(x.shape[1]), 1)
    if kind == 8:
        index = p.lib.zeros_like(x).long() + p.choose(x.shape[-1])
        return x.gather(-1, index)
    if kind == 9:
        return x.index_select(0, p.lib.tensor([p.choose(n), 0]))
    if kind == 10:
        return x.select(1, p.choose(x.shape[1]))
    return x.diagonal() if p.choose(2) else x.sort(-1).values


@step
def join(p: Program) -> Any:
    """Several tensors made one, or one made several."""
    x = p.pick(1)
    dim = p.dim(x)
    kind = p.choose(5)
    if kind == 0:
        return p.lib.cat([x, p.values(x.shape), x * 2], dim)
    if kind == 1:
        return p.lib.stack([x, x.exp().clamp(max=3), p.values(x.shape)], dim)
    if kind == 2:
        return sum(c.sum() * (i + 1) for i, c in enumerate(x.chunk(2, dim)))
    if kind == 3:
        return p.lib.cat(list(x.unbind(0)) if x.ndim > 1 else [x, x], 0)
    first, *rest = x.split(1 + p.choose(2), dim)
    return first * 2 + sum(r.sum() for r in rest)


@step
def product(p: Program) -> Any:
    """A matrix product, batched and broadcast or not."""
    x = p.pick(1)
    n = x.shape[-1]
    kind = p.choose(6)
    if kind == 0:
        return x @ p.values([n])
    if kind == 1:
        return x @ p.values([n, 2])
    if kind == 2:
        return p.values([3, n]) @ x.mT if x.ndim > 1 else x @ x
    if kind == 3:
        return p.lib.einsum("...i,ij->...j", x, p.values([n, 2]))
    if kind == 4:
        flat = x.reshape(-1)[:4]
        return p.lib.outer(flat, flat)
    return p.lib.nn.functional.linear(x, p.values([3, n]), p.values([3]))


@step
def branch(p: Program) -> Any:
    """Which way is taken depends on a value."""
    x = p.pick()
    if float(x.detach().sum()) > 0:
        return x * 2 - x.mean()
    if x.ndim > 1:
        return x.sum(0) + 1
    return x.sin() * p.pick().mean()


@step
def loop(p: Program) -> Any:
    """How many turns depends on a value."""
    x = p.pick()
    start = x
    turns = 0
    while float(x.detach().abs().sum()) < 10.0 and turns < 4:
        x = p.lib.tanh(x * 1.5) + start * 0.5
        turns += 1
    return x


@step
def turn_by_turn(p: Program) -> Any:
    """A small recurrence over the rows, its results stacked."""
    x = p.pick(2)
    state = x[0] * 0
    seen = []
    for row in x:
        state = p.lib.sigmoid(row) * state + row
        if float(state.detach().sum()) > 4:
            break
        seen.append(state)
    return p.lib.stack(seen) if seen else state


@step
def outside(p: Program) -> Any:
    """Something no gradient flows through."""
    x = p.pick()
    kind = p.choose(3)
    if kind == 0:
        return x.detach() * x
    if kind == 1:
        with p.lib.no_grad():
            scale = x.abs().mean() + 1
        return x / scale
    with p.lib.no_grad():
        y = x * 2
        with p.lib.enable_grad():
            z = x * 3
    return y + z


@step
def in_place(p: Program) -> Any:
    """A fresh tensor changed in place, all of it or a part."""
    p.wrote = True
    x = p.pick(1)
    y = x * 1.5
    kind = p.choose(8)
    if kind == 0:
        y += x
    elif kind == 1:
        y.mul_(p.like(x).sum())
    elif kind == 2:
        y[0] = p.values(()) * x.sum()
    elif kind == 3:
        y[..., -1] = 0.5
    elif kind == 4:
        y.clamp_(-1, 1)
    elif kind == 5:
        y[y > 0] = 0.25
    elif kind == 6:
        kept = y.exp().clamp(max=9.0)
        y.sub_(1)
        return kept + y
    else:
        y = p.lib.zeros_like(x)
        for i in range(len(x)):
            y[i] = x[i] * (i + 1)
    return y


@step
def through_a_view(p: Program) -> Any:
    """A view changed in place, and with it what it is a view of and its other views."""
    p.wrote = True
    x = (p.pick(2) * 1.5).contiguous()
    other = x.mT
    row = x[0]
    kind = p.choose(6)
    if kind == 0:
        x[:, 0].mul_(x.detach().sum())
    elif kind == 1:
        x.view(-1)[::2] += 1
    elif kind == 2:
        x.transpose(0, 1)[-1] = p.values(())
    elif kind == 3:
        x.unsqueeze(0).sub_(p.like(x).mean())
    elif kind == 4:
        x.mul_(2)
    else:
        x[0][...] = row * 0 + p.pick().sum()
    p.add(other)
    p.add(row)
    return x


@step
def changed_later(p: Program) -> Any:
    """A tensor of the pool changed in place, though others may need it: legal, or an error in both frameworks."""
    p.wrote = True
    x = p.pick()
    if x.is_leaf:
        return x * 3
    x.mul_(0.5)
    return x + 1


@step
def new_leaf(p: Program) -> Any:
    """One more tensor that a gradient is taken of."""
    return p.leaf()


def run(lib: Any, numbers: list[int]) -> Program:
    """Run the program the numbers decide, until they are used up."""
    p = Program(lib, numbers)
    try:
        p.pool += [p.leaf(), p.leaf()]
        while True:
            make = STEPS[p.choose(len(STEPS))]
            p.text.append(make.__name__)
            p.add(make(p))
    except NumbersUsedUpError:
        return p


def outputs(p: Program) -> list[Any]:
    """The last floating tensors of the pool, the results of the program."""
    return [x for x in p.pool[-4:] if x.is_floating_point() and x.numel()]


def gradients(p: Program, second: bool) -> list[Any]:
    """Gradients of the outputs, weighted; with `second` of the gradients' squares as well. None where there is none."""
    total = sum((x.double() * (i + 1)).sum() for i, x in enumerate(outputs(p)))
    if not getattr(total, "requires_grad", False):
        return [None] * len(p.leaves)
    if not second:
        total.backward()
        return [leaf.grad for leaf in p.leaves]
    first = p.lib.autograd.grad(total, p.leaves, create_graph=True, allow_unused=True)
    again = sum((g * g).sum() for g in first if g is not None and g.requires_grad)
    if not getattr(again, "requires_grad", False):
        return list(first)
    more = p.lib.autograd.grad(again, p.leaves, allow_unused=True)
    return [*first, *more]


def _array(x: Any) -> Any:
    return None if x is None else np.asarray(x.detach().numpy(force=True))


def compare(ours: Any, torch: Any, numbers: list[int], second: bool) -> str:
    """Run one program in both. "same", or "refused" where the program may not be differentiated; raises `AssertionError`."""
    theirs = theirs_p = None
    try:
        theirs_p = run(torch, numbers)
        theirs = gradients(theirs_p, second)
    except RuntimeError as error:
        if not any(words in str(error) for words in ("inplace", "in-place", "single memory location")):
            raise
    try:
        ours_p = run(ours, numbers)
        got = gradients(ours_p, second)
    except RuntimeError as error:
        if not any(words in str(error) for words in ("in place", "on a view", "on a leaf")):
            raise
        return "refused by both" if theirs is None else "refused by dsviz"
    if theirs is None or theirs_p is None:
        return "refused by PyTorch"
    tolerance = 1e-3 if theirs_p.coarse else 1e-8
    told = f"program {' > '.join(theirs_p.text)}"
    assert len(theirs_p.pool) == len(ours_p.pool), told
    for i, (a, b) in enumerate(zip(theirs_p.pool, ours_p.pool, strict=True)):
        assert str(a.dtype).rpartition(".")[2] == str(b.dtype).rpartition(".")[2], (
            f"dtype {i}: {a.dtype}, {b.dtype}; {told}"
        )
        assert a.requires_grad == b.requires_grad, f"requires_grad of {i}; {told}"
        np.testing.assert_allclose(_array(b), _array(a), tolerance, tolerance, err_msg=f"value {i}; {told}")
    for i, (a, b) in enumerate(itertools.zip_longest(theirs, got)):
        # A gradient PyTorch leaves away may be a gradient of zeros here, and the other way round.
        one = _array(a) if a is not None else 0.0
        other = _array(b) if b is not None else 0.0
        size = 1.0 + float(np.max(np.abs(one), initial=0.0))
        np.testing.assert_allclose(
            other / size, one / size, tolerance, tolerance, err_msg=f"gradient {i}; {told}"
        )
    return "same"
