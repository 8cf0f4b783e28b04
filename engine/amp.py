"""Mixed precision: float16 where it is safe, float32 where it is not, and a scaled loss between.

Switched on by `ds.graph_config(amp=True, keep_fp32=0.2, loss_scaling="dynamic")`; on a GPU `amp_dtype="bfloat16"` takes
bfloat16 in float16's stead. Parameters stay float32, the master weights; every change of type is a `cast` node of the
graph. Micikevicius et al. 2018, Mixed precision training.

Which type an op runs in:

- products (matrix products, convolutions, attention) in float16, the rest of the *half* family;
- losses, softmax, normalisation, reductions, exponentials and logarithms in float32;
- everything else in the widest type of its arguments.

`keep_fp32` is the share of the layers (modules with parameters of their own) whose products stay in float32 all the
same. They are chosen by measurement: the first time a layer runs it runs in float32 and beside it in float16, and its
sensitivity is the relative error of the float16 result. At the next backward pass the most sensitive share stays
float32, ties by order of use; layers that appear later are measured when they do.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import backend
from engine.complexes import is_complex
from engine.config import Config, current, on_change
from engine.dtype import as_dtype
from engine.grad_mode import state
from engine.grad_scaler import GradScaler as GradScaler
from engine.module_call import module_of
from engine.node import Node
from engine.op import Op

if TYPE_CHECKING:
    from engine.module import Module
    from engine.tensor import Tensor

FULL_FAMILIES = ("reduce",)
# Beyond the reductions: what leaves float16's range or loses its digits soon.
FULL_OPS = frozenset(
    [
        "exp",
        "expm1",
        "exp2",
        "log",
        "log1p",
        "log2",
        "log10",
        "held_log",
        "pow",
        "rsqrt",
        "reciprocal",
        "erf",
        "sinh",
        "cosh",
        "tan",
        "softplus",
        "softmax",
        "log_softmax",
        "batch_norm",
        "layer_norm",
        "rms_norm",
        "group_norm",
        "instance_norm",
    ]
)
# Of the reductions those that choose elements: nothing is summed, any type will do.
CHOOSING = frozenset(["amax", "amin", "max", "min", "argmax", "argmin", "any", "all"])
# In the linear family, but no product.
NO_PRODUCT = frozenset(["embedding", "conv_weight"])

START_SCALE, GROW_AFTER, SMALLEST, LARGEST = 2.0**16, 2000, 2.0**-14, 2.0**24


def policy(op: Op) -> str:
    """ "half", "full" or "widest": what mixed precision does with the arguments of `op`.

    >>> import engine as ds
    >>> [policy(ds.OPS[name]) for name in ("linear", "softmax", "add")]
    ['half', 'full', 'widest']
    """
    if op.family == "linear":
        return "widest" if op.name in NO_PRODUCT else "half"
    if op.name in FULL_OPS:
        return "full"
    if op.family in FULL_FAMILIES and op.name not in CHOOSING and "pool" not in op.name:
        return "full"
    return "widest"


class Layer(NamedTuple):
    """What `report` says of one layer."""

    name: str
    dtype: str
    sensitivity: float
    path: str = ""  # where it was first called, known while somebody traces


class Scaler:
    """The factor of the loss, and what became of it."""

    def __init__(self, setting: float | str) -> None:
        self.dynamic = setting == "dynamic"
        self.scale = START_SCALE if isinstance(setting, str) else float(setting)
        self.skipped = 0
        self._good = 0

    def stepped(self) -> None:
        """A step was made with finite gradients."""
        self._good += 1
        if self.dynamic and self._good >= GROW_AFTER:
            self._good = 0
            self.scale = min(self.scale * 2, LARGEST)

    def overflowed(self) -> None:
        """A step was skipped because a gradient was not finite."""
        self.skipped += 1
        self._good = 0
        if self.dynamic:
            self.scale = max(self.scale / 2, SMALLEST)


class Autocast:
    """What mixed precision has learnt: the layers' sensitivities, who stays in float32, the loss scales."""

    def __init__(self) -> None:
        self.running = 0  # configurations in force that ask for it, over all threads
        self._sensitivity: weakref.WeakKeyDictionary[Module, float] = weakref.WeakKeyDictionary()
        self._paths: weakref.WeakKeyDictionary[Module, str] = weakref.WeakKeyDictionary()
        self._kept: dict[float, weakref.WeakSet[Module]] = {}
        self._scalers: dict[float | str, Scaler] = {}
        self._infinite: weakref.WeakSet[Node] = weakref.WeakSet()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`ds.amp.autocast("cuda")`, as PyTorch writes it: the block of `ds.autocast`."""
        from engine.autocast import (
            autocast as block,  # it is made of the configuration, which is made after this
        )

        return block(*args, **kwargs)

    def reset(self) -> None:
        """Forget all that was measured; the loss scale starts anew."""
        self._sensitivity.clear()
        self._kept.clear()
        self._scalers.clear()
        self._infinite.clear()

    # --- types ---

    def cast(self, op: Op, operands: list[Any]) -> list[Any]:
        """The operands of `op` in the types the policy wants; the casts are ops of their own."""
        config = current()
        if not config.amp or state.silent or op.name in ("cast", "move"):
            return operands
        wanted = policy(op)
        if wanted == "widest":
            return operands
        short = np.float16 if config.amp_dtype == "float16" else as_dtype(config.amp_dtype)
        if op.name == "batch_norm" and _norm_of_halves(operands, short):
            return operands
        if wanted == "full":
            return [_as(o, "float32") if _is(o, short) else o for o in operands]
        if not any(_is(o, np.float32) or _is(o, short) for o in operands):
            return operands
        if any(map(is_complex, operands)):
            return operands  # there are no complex numbers of two halves
        layer = _layer()
        if layer is not None and config.keep_fp32 > 0 and self._stays(layer, op, operands, config):
            return [_as(o, "float32") if _is(o, short) else o for o in operands]
        return [_as(o, config.amp_dtype) if _is(o, np.float32) else o for o in operands]

    def _stays(self, layer: Module, op: Op, operands: list[Any], config: Config) -> bool:
        kept = self._kept.get(config.keep_fp32)
        if layer not in self._sensitivity:
            self._sensitivity[layer] = 0.0
            if state.call is not None:
                self._paths[layer] = state.call.path
            self._kept.pop(config.keep_fp32, None)
            kept = None
        if kept is None:  # the layers are being measured: all in float32 until the backward pass
            return True
        return layer in kept

    def measure(self, op: Op, arrays: list[Any], kwargs: dict[str, Any], out: Any) -> None:
        """Compare the float32 result of a layer under measurement with what the short type gives."""
        layer = _layer()
        if layer is None or layer not in self._sensitivity or current().keep_fp32 in self._kept:
            return
        out = out[0] if isinstance(out, tuple) else out
        if policy(op) != "half" or getattr(out, "dtype", None) != np.float32:
            return
        xp, short = backend.namespace(out), as_dtype(current().amp_dtype)
        with np.errstate(all="ignore"):
            halves = [
                a.astype(short).astype(np.float32) if backend.is_array(a) and a.dtype == np.float32 else a
                for a in arrays
            ]
            again = op.on(xp)(*halves, **kwargs)
            again = again[0] if op.extras else again
            again = (again[0] if isinstance(again, tuple) else again).astype(short).astype(np.float32)
            error = float(xp.linalg.norm((again - out).ravel()))
            size = float(xp.linalg.norm(out.ravel()))
        relative = error / size if size else error
        relative = relative if math.isfinite(relative) else math.inf
        self._sensitivity[layer] = max(self._sensitivity[layer], relative)

    def choose(self) -> None:
        """Decide who stays in float32, from what was measured so far."""
        share = current().keep_fp32
        if not share > 0 or share in self._kept or not self._sensitivity:
            return
        layers = list(self._sensitivity.items())
        order = sorted(range(len(layers)), key=lambda i: (-layers[i][1], i))
        count = math.ceil(share * len(layers) - 1e-9)
        self._kept[share] = weakref.WeakSet(layers[i][0] for i in order[:count])

    # --- the loss ---

    def scaler(self) -> Scaler | None:
        """The scaler in force, None without mixed precision."""
        config = current()
        if not config.amp:
            return None
        return self._scalers.setdefault(config.loss_scaling, Scaler(config.loss_scaling))

    def begin_backward(self) -> float:
        """The factor the backward pass starts with; 1.0 without mixed precision."""
        scaler = self.scaler()
        if scaler is None:
            return 1.0
        self.choose()
        return scaler.scale

    def unscaled(self, node: Node, g: Any, scale: float) -> Any:
        """The gradient of a leaf with the factor taken out; one that is not finite is remembered."""
        array = getattr(g, "array", g)
        g = g / scale
        if bool(backend.namespace(array).isfinite(array).all()):
            self._infinite.discard(node)
        else:
            self._infinite.add(node)
        return g

    def skips(self, nodes: list[Node]) -> bool:
        """Whether a step over these parameters has to be left out because a gradient overflowed."""
        bad = [node for node in nodes if node in self._infinite]
        for node in bad:
            self._infinite.discard(node)
        scaler = self.scaler() or next(iter(self._scalers.values()), None)
        if bad and scaler is not None:
            scaler.overflowed()
            return True
        if scaler is not None and current().amp:
            scaler.stepped()
        return False

    @property
    def watching(self) -> bool:
        """Whether an optimizer has to ask `skips`: there is, or was, a scaled backward pass."""
        return bool(self._scalers)

    # --- what the person and the debugger see ---

    def layers(self) -> list[Layer]:
        """Every layer that was measured, in order of use, with the type it runs in and its sensitivity."""
        kept = self._kept.get(current().keep_fp32)
        return [
            Layer(
                type(layer).__name__,
                "float32" if kept is None or layer in kept else current().amp_dtype,
                found,
                self._paths.get(layer, ""),
            )
            for layer, found in self._sensitivity.items()
        ]


autocast = Autocast()


def report() -> dict[str, Any]:
    """What mixed precision does now: `loss_scale`, `skipped_steps`, and the measured `layers`.

    Read as `ds.amp_report()`. The scale is 1.0 and nothing is skipped where `amp` is off.
    """
    scaler = autocast.scaler()
    return {
        "loss_scale": 1.0 if scaler is None else scaler.scale,
        "skipped_steps": 0 if scaler is None else scaler.skipped,
        "layers": [layer._asdict() for layer in autocast.layers()],
    }


def _layer() -> Module | None:
    """The innermost module being called, if it has parameters of its own."""
    stack = state.modules
    inside = module_of(stack[-1]) if stack else None
    return inside if inside is not None and inside._parameters else None


def _is(value: Any, dtype: Any) -> bool:
    return getattr(value, "dtype", None) == dtype and hasattr(value, "node")


def _norm_of_halves(operands: Any, short: Any) -> bool:
    """Whether a GPU takes the `short` type and gives it, with statistics and parameters in float32, as PyTorch's does."""
    first = operands[0]
    if not _is(first, short) or type(first.array) is np.ndarray:
        return False
    from engine.gpu import batch

    return batch.takes(first.array, *[getattr(operands[i], "array", None) for i in (3, 4, 1, 2)])


def _as(tensor: Tensor, dtype: str) -> Tensor:
    return tensor.to(dtype=dtype)


def _changed(before: Config, now: Config) -> None:
    autocast.running += int(now.amp) - int(before.amp)


on_change(_changed)
