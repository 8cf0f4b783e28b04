"""Modified Bessel functions of the first kind, and windows made of them and of cosines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.dispatch import apply
from engine.located import located
from engine.op import op
from engine.ops.exponential import FLOAT_UNARY
from engine.ops.nested import nested

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "i0", "kaiser_window"]

# The trapezoid rule for ∫ exp(x cos t) cos nt dt / π over [0, π]: on a periodic function it converges faster than any
# power of its step, with this many places up to sizes of x whose exponential overflows.
_PLACES = 320


def _bessel_vjp(xp: Any, g: Any, out: Any, input: Any, *, n: int) -> Any:
    below, above = nested(xp, BESSEL, input, n=abs(n - 1)), nested(xp, BESSEL, input, n=n + 1)
    return g * (below + above) * 0.5


@op(
    "bessel_i", **FLOAT_UNARY, formula="I_n(input) = ∫ exp(input cos t) cos nt dt / π over [0, π]", vjp=_bessel_vjp,
    saves=("input",), source="Abramowitz and Stegun 9.6.19, 9.6.26",
)  # fmt: skip
def BESSEL(xp: Any, input: Any, *, n: int) -> Any:
    """The modified Bessel function of the first kind of order `n`."""
    x = xp.asarray(input, dtype="float64")
    total = xp.zeros_like(x)
    size = xp.abs(x)
    for k in range(_PLACES + 1):
        t = math.pi * k / _PLACES
        weight = math.cos(n * t) / _PLACES * (0.5 if k in (0, _PLACES) else 1.0)
        total += weight * xp.exp(x * math.cos(t) - size)
    kind = input.dtype if input.dtype.kind == "f" else np.dtype("float64")
    return (total * xp.exp(size)).astype(kind)


def i0(input: Any) -> Tensor:
    """The modified Bessel function of the first kind of order 0.

    >>> import engine as ds
    >>> ds.i0(ds.tensor([0.0])).tolist()
    [1.0]
    """
    return apply(BESSEL, (input,), {"n": 0})  # type: ignore[no-any-return]


def _window(name: str, length: int, periodic: bool, make: Any, options: dict[str, Any]) -> Tensor:
    """`make` of the places 0 to length - 1, and of the last place of a whole period."""
    from engine.tensor import tensor

    if not isinstance(length, int) or length < 0:
        raise located(
            RuntimeError(f"{name}: window_length has to be a whole number, 0 or more, got {length!r}")
        )
    for option in options:
        if option not in ("dtype", "device", "requires_grad", "layout", "pin_memory"):
            raise located(TypeError(f"{name} has no option {option!r}"))
    from engine.dtype import get_default_dtype

    wanted = options.get("dtype") or get_default_dtype()
    last = length if periodic else length - 1
    made = np.ones(length) if length <= 1 else make(np.arange(length), last)
    return tensor(
        made, dtype=wanted, device=options.get("device"), requires_grad=bool(options.get("requires_grad"))
    )


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """(1 - cos(2πk / N)) / 2: N is the length, or one less unless `periodic`.

    >>> import engine as ds
    >>> ds.hann_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return hamming_window(window_length, periodic, 0.5, 0.5, **options)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **options: Any
) -> Tensor:
    """alpha - beta cos(2πk / N): N is the length, or one less unless `periodic`."""

    def make(k: Any, last: int) -> Any:
        return alpha - beta * np.cos(2 * math.pi * k / last)

    return _window("hamming_window", window_length, periodic, make, options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """0.42 - cos(2πk / N) / 2 + 0.08 cos(4πk / N): N is the length, or one less unless `periodic`."""

    def make(k: Any, last: int) -> Any:
        turn = 2 * math.pi * k / last
        return np.maximum(0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn), 0)

    return _window("blackman_window", window_length, periodic, make, options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """A triangle: 1 - |2k / N - 1|. N is the length, or one less unless `periodic`."""
    return _window(
        "bartlett_window", window_length, periodic, lambda k, last: 1 - np.abs(2 * k / last - 1), options
    )


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any) -> Tensor:
    """I₀(beta √(1 - (2k / N - 1)²)) / I₀(beta): N is the length, or one less unless `periodic`."""

    def make(k: Any, last: int) -> Any:
        return np.i0(beta * np.sqrt(np.maximum(1 - (2 * k / last - 1) ** 2, 0))) / np.i0(beta)

    return _window("kaiser_window", window_length, periodic, make, options)
