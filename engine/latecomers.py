"""The methods of a tensor that are functions made of much else: matrices, and what there is for other libraries' sake."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.located import located

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _of(module: str, name: str, first: bool = True) -> Any:
    """A method that is `module.name`, loaded when it is called: it is made of tensors."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function(self, *args, **kwargs) if first else function(args[0], self, *args[1:], **kwargs)

    call.__name__ = name
    call.__doc__ = f"`{name}` of this tensor."
    return call


class Latecomers:
    """What `Tensor` inherits beside `Methods` and `Writing`."""

    __slots__ = ()

    cholesky = _of("engine.linalg", "cholesky")
    cholesky_inverse = _of("engine.also", "cholesky_inverse")
    cholesky_solve = _of("engine.also", "cholesky_solve")
    logdet = _of("engine.also", "logdet")
    lu_solve = _of("engine.also", "lu_solve")
    matrix_exp = _of("engine.also", "matrix_exp")
    mvlgamma = _of("engine.also", "mvlgamma")
    pinverse = _of("engine.also", "pinverse")
    polygamma = _of("engine.ops.special", "polygamma", first=False)
    prelu = _of("engine.nn.functional", "prelu")
    qr = _of("engine.also", "qr")
    istft = _of("engine.spectrogram", "istft")
    slogdet = _of("engine.also", "slogdet")
    stft = _of("engine.spectrogram", "stft")
    svd = _of("engine.also", "svd")

    # --- memory ---

    def storage_offset(self: Any) -> int:
        """How many elements lie in memory before the first one of this view."""
        from engine.ops.strided import storage_offset

        return storage_offset(self.array)

    def resize_as_(self: Any, tensor: Any) -> Tensor:
        """In the shape of `tensor`, in place; elements in order stay, new ones are anything."""
        return self.resize_(*tensor.shape)  # type: ignore[no-any-return]

    def resize_(self: Any, *size: Any) -> Tensor:
        """In another shape, in place; elements in order stay, new ones are anything.

        Raises `RuntimeError` for a tensor that requires a gradient.
        """
        from engine.tensor import Tensor

        if self.requires_grad:
            raise located(RuntimeError("resize_: a tensor that requires a gradient keeps its size"))
        shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        old = self.array.reshape(-1)
        from engine.backend import namespace

        made = namespace(old).zeros(shape, old.dtype)
        kept = min(made.size, old.size)
        made.reshape(-1)[:kept] = old[:kept]
        fresh = Tensor(made)
        self.array, self.node = fresh.array, fresh.node
        return self  # type: ignore[no-any-return]

    def is_pinned(self: Any, device: Any = None) -> bool:
        """Never: memory is not pinned."""
        return False

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """Itself: memory is not pinned."""
        return self  # type: ignore[no-any-return]

    def is_shared(self: Any) -> bool:
        """Never: memory is not shared between processes."""
        return False

    def is_inference(self: Any) -> bool:
        """Never: a tensor of `inference_mode` is one like all others."""
        return False

    is_sparse = is_quantized = is_meta = is_nested = is_mps = is_xpu = False

    def new(self: Any, *data: Any) -> Tensor:
        """A tensor of this dtype and device: of data, or empty of the sizes given. `new_tensor` is newer."""
        if data and not all(isinstance(n, int) for n in data):
            return self.new_tensor(data[0])  # type: ignore[no-any-return]
        return self.new_empty(data or (0,))  # type: ignore[no-any-return]

    # --- element by element, in Python ---

    def apply_(self: Any, callable: Callable[[Any], Any]) -> Tensor:
        """Each element replaced by `callable` of it, in place. Slow, and in main memory only."""
        return self._each(callable, "apply_")  # type: ignore[no-any-return]

    def map_(self: Any, tensor: Any, callable: Callable[[Any, Any], Any]) -> Tensor:
        """Each element replaced by `callable` of it and that of `tensor`, in place. Slow, and in main memory only."""
        return self._each(callable, "map_", tensor)  # type: ignore[no-any-return]

    def _each(self: Any, callable: Any, name: str, *others: Any) -> Tensor:
        import numpy as np

        if self.is_cuda:
            raise located(TypeError(f"{name} is for tensors in main memory, this one is on {self.device}"))
        if self.requires_grad:
            raise located(RuntimeError(f"{name}: a tensor that requires a gradient cannot be changed so"))
        lists = [np.broadcast_to(o.detach().array, self.shape).reshape(-1).tolist() for o in others]
        made = [callable(*each) for each in zip(self.array.reshape(-1).tolist(), *lists, strict=True)]
        return self.copy_(self.new_tensor(made).reshape(self.shape))  # type: ignore[no-any-return]

    def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
        """Numbers whose logarithms are normal, in place."""
        from engine.grad_mode import no_grad

        with no_grad():
            return self.normal_(mean, std, generator=generator).exp_()  # type: ignore[no-any-return]

    def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
        """Cauchy numbers, in place."""
        import math

        from engine.backend import namespace
        from engine.ops.noise import random_fill

        def made(u: Any) -> Any:
            return median + sigma * namespace(u).tan(math.pi * (u - 0.5))

        return random_fill(self, "uniform64", made, generator)

    # --- other libraries ---

    def __dlpack__(self: Any, **options: Any) -> Any:
        """The capsule of its memory, for libraries that take one. Raises `BufferError` where it requires a gradient."""
        if self.requires_grad:
            raise BufferError("a tensor that requires a gradient cannot be exported; detach() it first")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self: Any) -> Any:
        """Where its memory is."""
        return self.array.__dlpack_device__()
