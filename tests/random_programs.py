"""Random dynamic programs that run on PyTorch and on this engine: drawn once, played twice.

A program is a list of choices. Played, it keeps a pool of tensors and lets each choice take some of them and add what
it makes; branches and loops look at values, so the graph is not known before it runs.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

SHAPES = [(), (1,), (3,), (2, 3), (3, 1), (2, 1, 3), (4, 3), (2, 3, 3), (0, 3)]


def draw(seed: int, length: int = 12) -> dict[str, Any]:
    """A program: its leaves (shape and values) and its choices."""
    rng = random.Random(seed)
    values = np.random.default_rng(seed)
    leaves = []
    for _ in range(rng.randint(2, 4)):
        shape = rng.choice(SHAPES[:-1]) if rng.random() < 0.97 else SHAPES[-1]
        leaves.append((values.standard_normal(shape) + 0.1, rng.random() < 0.85))
    steps = [(rng.choice(list(STEPS)), rng.random(), rng.random(), rng.random()) for _ in range(length)]
    return {"seed": seed, "leaves": leaves, "steps": steps, "second": rng.random() < 0.3}


def pick(pool: list[Any], share: float) -> Any:
    """A tensor of the pool, newer ones more often."""
    return pool[int((1 - share**1.5) * len(pool)) % len(pool)]


def play(lib: Any, program: dict[str, Any]) -> dict[str, list[Any]]:
    """Run a program on `lib`: the values it made, and the gradients of its leaves, as NumPy arrays.

    A step that does not fit the tensors it got is left out; both frameworks have to find so.
    """
    leaves = [lib.tensor(value, requires_grad=wants) for value, wants in program["leaves"]]
    pool = list(leaves)
    ran: list[str] = []
    others: list[Any] = []
    for name, a, b, c in program["steps"]:
        try:
            made = STEPS[name](lib, pool, a, b, c)
        except (ValueError, RuntimeError, TypeError, IndexError, AssertionError):
            ran.append(f"{name} does not fit")
            continue
        made = list(made) if isinstance(made, (tuple, list)) else [made]
        made = [m for m in made if m is not None and sum(m.shape) < 40]
        # Whole numbers become float32 in PyTorch and float64 here, as in NumPy: they are compared and not used further.
        others += [m for m in made if not m.is_floating_point()]
        pool += [m for m in made if m.is_floating_point()]
        ran.append(f"{name} {[tuple(m.shape) for m in made]}")
    total = leaves[0].sum() * 0.5
    for tensor in pool[len(leaves) :]:
        if tensor.requires_grad:
            total = total + lib.tanh(tensor).sum()
    result: dict[str, list[Any]] = {"ran": ran, "values": [array(t) for t in pool + others]}
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not wanted or not total.requires_grad:
        return {**result, "gradients": [], "second": []}
    first = lib.autograd.grad(total, wanted, create_graph=program["second"], allow_unused=True)
    result["gradients"] = [None if g is None else array(g) for g in first]
    result["second"] = []
    again = [g for g in first if g is not None and g.requires_grad]
    if program["second"] and again:
        size = sum((g**2).sum() for g in again)
        if size.requires_grad:
            second = lib.autograd.grad(size, wanted, allow_unused=True)
            result["second"] = [None if g is None else array(g) for g in second]
    return result


def array(tensor: Any) -> Any:
    """The values of a tensor of either framework."""
    return np.array(tensor.detach().numpy())


def _unary(function: str) -> Any:
    return lambda lib, pool, a, b, c: getattr(lib, function)(pick(pool, a))


def _binary(function: str) -> Any:
    return lambda lib, pool, a, b, c: getattr(lib, function)(pick(pool, a), pick(pool, b))


def _dim(tensor: Any, share: float) -> int:
    if tensor.dim() == 0:
        raise ValueError
    return int(share * tensor.dim()) - (tensor.dim() if share * 10 % 1 > 0.5 else 0)


def _reduce(function: str) -> Any:
    def step(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
        x = pick(pool, a)
        if b < 0.3:
            return getattr(x, function)()
        return getattr(x, function)(dim=_dim(x, b), keepdim=c > 0.5)

    return step


def distinct(lib: Any, x: Any) -> Any:
    """`x` with no two elements equal: which of equal ones comes first is nobody's promise."""
    ramp = np.sqrt(np.arange(x.numel()) + 2.0).reshape(x.shape) * 0.01
    return x + lib.tensor(ramp)


def _extreme(function: str) -> Any:
    def step(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
        x = pick(pool, a)
        found = getattr(distinct(lib, x), function)(dim=_dim(x, b), keepdim=c > 0.5)
        return [found.values, found.indices]

    return step


def branch(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    if x.sum().item() > 0.2:
        return lib.relu(x) * 2 - x
    return x / (1 + x * x)


def loop(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    y, turns = x, 0
    while y.abs().sum().item() > 1.5 and turns < 5:
        y, turns = y * 0.6 + 0.1 * x, turns + 1
    return y


def scan(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    state, states = None, []
    for row in x:
        state = lib.tanh(row if state is None else row + 0.5 * state)
        states.append(state)
    return lib.stack(states)


def index(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    if x.dim() == 0:
        return x[None]
    choice = int(b * 8)
    n = x.shape[0]
    if choice == 0:
        return x[int(c * n) - n]
    if choice == 1:
        return x[int(c * n) :]
    if choice == 2:
        return x[..., ::2]
    if choice == 3:
        return x[[int(c * n), 0, n - 1]]
    if choice == 4:
        return x[x > 0]
    if choice == 5:
        return x[None, ..., None]
    if choice == 6:
        return x[lib.tensor([0, int(c * n), 0])]
    return x[..., 0]


def view(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    choice = int(b * 7)
    if choice == 0:
        return x.reshape(-1)
    if choice == 1:
        return x.transpose(_dim(x, c), -1)
    if choice == 2:
        return x.unsqueeze(int(c * (x.dim() + 1)))
    if choice == 3:
        return x.squeeze()
    if choice == 4:
        return x.expand(2, *x.shape)
    if choice == 5:
        return x.flatten(0)
    if x.dim() == 0:
        raise ValueError
    return x.permute(*reversed(range(x.dim())))


def join(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x, y = pick(pool, a), pick(pool, b)
    return lib.cat([x, y, x], dim=_dim(x, c)) if c < 0.6 else lib.stack([x, y], dim=int(c * 3) - 1)


def parts(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    dim = _dim(x, b)
    if c < 0.4:
        return lib.chunk(x, 2, dim)
    return lib.split(x, 1, dim)[0] if c < 0.7 else lib.unbind(x, dim)


def write(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    """In place, on a copy: into the whole, a row, or through a view."""
    x = pick(pool, a) * 1.0
    choice = int(b * 5)
    if choice == 0:
        x += pick(pool, c)
    elif choice == 1:
        x[0] = 0.5
    elif choice == 2:
        x[..., 0] = x[..., 0] * 2
    elif choice == 3:
        x.mul_(1.5).add_(0.25)
    else:
        x[x > 0] = 0.1
    return x


def quiet(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    if b < 0.4:
        return x.detach() * 2
    with lib.no_grad():
        y = x * x
    return y + pick(pool, c)


def choose(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x, y = pick(pool, a), pick(pool, b)
    return lib.where(x > y, x, y * c)


def clip(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    return lib.clamp(pick(pool, a), min=-b, max=c)


def mask(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    return x.masked_fill(x < 0, b)


def gather(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    dim = _dim(x, b)
    return lib.gather(x, dim, distinct(lib, x).argsort(dim))


def order(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    values, places = distinct(lib, x).sort(dim=_dim(x, b), descending=c > 0.5)
    return [values, places]


def spread(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    if not x.numel():  # PyTorch warns
        raise ValueError
    return getattr(x, "var" if b < 0.5 else "std")(dim=_dim(x, c), unbiased=False) + x.mean()


def soften(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    functional = lib.nn.functional
    return (functional.softmax if b < 0.5 else functional.log_softmax)(x, dim=_dim(x, c))


def normalise(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    return lib.nn.functional.layer_norm(x, x.shape[-1:])


def running(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    return (lib.cumsum if b < 0.6 else lib.cumprod)(x, dim=_dim(x, c))


def triangle(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    return (lib.tril if b < 0.5 else lib.triu)(pick(pool, a), int(c * 3) - 1)


def sums(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    return lib.einsum("ij,jk->ik" if c < 0.5 else "ij,kj->ik", pick(pool, a), pick(pool, b))


def power(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    return x ** int(1 + b * 3) if c < 0.6 else (x.abs() + 0.5) ** b


def numbers(lib: Any, pool: list[Any], a: float, b: float, c: float) -> Any:
    x = pick(pool, a)
    return [2 - x * b, c / (x.abs() + 1), -x + 3]


STEPS: dict[str, Any] = {
    **{n: _unary(n) for n in ("sin", "tanh", "sigmoid", "exp", "abs", "relu", "square", "neg", "erf")},
    **{n: _binary(n) for n in ("add", "sub", "mul", "maximum", "minimum", "matmul")},
    **{n: _reduce(n) for n in ("sum", "mean", "amax", "prod", "logsumexp")},
    "max": _extreme("max"), "min": _extreme("min"),
    **{f.__name__: f for f in (branch, loop, scan, index, view, join, parts, write, quiet, choose, clip, mask, gather,
                               order, spread, soften, normalise, running, triangle, sums, power, numbers)},
}  # fmt: skip


def difference(ours: dict[str, list[Any]], theirs: dict[str, list[Any]], tolerance: float = 1e-8) -> str:
    """What differs between two runs of a program, "" for nothing."""
    for a, b in zip(ours["ran"], theirs["ran"], strict=True):
        if a != b:
            return f"here: {a}, in PyTorch: {b}"
    for what in ("values", "gradients", "second"):
        if len(ours[what]) != len(theirs[what]):
            return f"{what}: {len(ours[what])} here, {len(theirs[what])} in PyTorch"
        for i, (a, b) in enumerate(zip(ours[what], theirs[what], strict=True)):
            # A gradient that is not there, or is all zeros, is the same to whoever uses it.
            a, b = (np.zeros(1) if x is None else x for x in (a, b))
            if a.shape != b.shape and (a.any() or b.any()):
                return f"{what}[{i}]: shape {a.shape} here, {b.shape} in PyTorch"
            if what == "second":
                # PyTorch's second derivative of std is nan where the first is 0; ours is finite there.
                a = np.where(np.isnan(b), b, a) if a.shape == b.shape else a
            if a.shape == b.shape and not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
                return f"{what}[{i}]: {a.ravel()[:4]} here, {b.ravel()[:4]} in PyTorch"
    return ""
