"""The tensor: a value, and the node that says where it came from.

PyTorch's names and behaviour. Most methods are the functions of `engine.ops` with the tensor as first argument.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine import autograd, backend, dispatch, gradient_hooks
from engine.backend import Array, Device
from engine.dtype import (
    DType,
    as_dtype,
    complex_of,
    differentiable,
    from_old_name,
    get_default_dtype,
    is_floating,
    old_name,
)
from engine.errors import ArgumentError
from engine.jit.shared import shared
from engine.latecomers import Latecomers
from engine.located import located
from engine.location import user_frame
from engine.methods import Methods
from engine.node import Node, behind, leaf
from engine.ops import indexing
from engine.ops.cast import cast, contiguous
from engine.ops.layout import permute, transpose
from engine.pending import settle
from engine.size import Size
from engine.text import tensor_text
from engine.writing import Writing


class Tensor(Writing, Methods, Latecomers):
    """A multi-dimensional array that remembers how it was computed.

    Made by `ds.tensor`, the other creating functions, and every op. `array` is the NumPy or CuPy array itself.
    """

    __slots__ = ("__weakref__", "array", "base", "how", "node", "views")

    # NumPy asks its right operand first when that one has a higher priority: ndarray * Tensor is ours.
    __array_priority__ = 1000

    array: Array
    node: Node
    base: Tensor  # of a view: the tensor it is a view of ...
    how: tuple[Any, dict[str, Any]]  # ... and the op, with its attributes, that made it
    views: list[Any]  # weak references to the views made of this tensor

    def __init__(self, data: Any = (), requires_grad: Any = False, role: Any = "input", *sizes: int) -> None:
        """Wrap an array without copying it. `ds.tensor` copies and converts.

        As PyTorch's of old, it takes lists too, which become the default dtype, or sizes, for any values: `Tensor(2, 3)`.
        """
        if type(data) is not np.ndarray and not backend.is_array(data):
            given = (data, requires_grad, role, *sizes)
            if type(data) is int and not (data < 0):
                data = np.empty([n for n in given if type(n) is int], get_default_dtype())
                requires_grad, role = requires_grad if type(requires_grad) is bool else False, "input"
            else:
                data = data.array if isinstance(data, Tensor) else _floats(data)
        self.array = data
        frame = user_frame(2)
        if frame is sys._getframe(1):
            shared.note(data)  # the program wraps an array of its own
        self.node = leaf(data.shape, data.dtype, role, requires=False, code=frame.f_code, lasti=frame.f_lasti)
        if requires_grad:
            self.requires_grad = True

    # --- what it is ---

    @property
    def shape(self) -> Size:
        """Size of each dimension, a tuple."""
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim  # type: ignore[no-any-return]

    def dim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim  # type: ignore[no-any-return]

    ndimension = dim

    @property
    def layout(self) -> Any:
        """How the elements are stored: all tensors are dense, `ds.strided`."""
        from engine.memory_order import strided

        return strided

    @property
    def is_cpu(self) -> bool:
        """Whether the value lives in main memory."""
        return isinstance(self.array, np.ndarray)

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return bool(self.array.dtype.kind == "c")

    def is_conj(self) -> bool:
        """False: `conj()` computes at once, there is no mark to be resolved."""
        return False

    is_neg = is_conj

    def is_nonzero(self) -> Any:
        """Whether the one element is not 0."""
        return self.__bool__()

    def stride(self, dim: int | None = None) -> Any:
        """How many elements lie between neighbours of each dimension, or of `dim`."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> Any:
        """The address of the first element."""
        where = self.array
        return where.ctypes.data if isinstance(where, np.ndarray) else where.data.ptr

    def get_device(self) -> Any:
        """The number of the GPU, -1 in main memory."""
        return -1 if self.device.index is None else self.device.index

    def share_memory_(self) -> Tensor:
        """Itself: memory is not shared between processes."""
        return self

    def numel(self) -> int:
        """Number of elements."""
        return int(self.array.size)

    @property
    def dtype(self) -> DType:
        """Element type, a NumPy dtype."""
        return self.array.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> Device:
        """Where the value lives."""
        return backend.device_of(self.array)

    @property
    def is_cuda(self) -> bool:
        """Whether the value lives on a GPU."""
        return not isinstance(self.array, np.ndarray)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return int(self.array.nbytes)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self.array.itemsize)

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return int(self.array.itemsize)

    def is_floating_point(self) -> bool:
        """Whether the elements are floating."""
        return is_floating(self.dtype)

    def is_signed(self) -> bool:
        """Whether the elements may be negative."""
        return self.dtype.kind not in "ub"

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in order, or as `memory_format` says."""
        if memory_format is not None:
            from engine.memory_order import checked, lies

            return lies(self.array, checked(memory_format))
        return bool(self.array.flags.c_contiguous)

    # --- gradients ---

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows to this tensor. Settable on leaves."""
        return self.node.requires

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        node = self.node
        if value == node.requires:
            return
        if node.requires and node.op is not None:
            raise located(
                RuntimeError(
                    "requires_grad can only be changed on a leaf; this tensor was made by "
                    f"{node.op.name} ({node.filename}:{node.line}). Use detach() for a copy outside the graph"
                )
            )
        if value and not differentiable(self.dtype):
            raise located(
                RuntimeError(
                    f"only floating and complex tensors can require gradients, this one is {self.dtype}"
                )
            )
        if node.op is not None:
            # For the gradient it is a leaf from now on; where it came from stays known to error messages.
            self.node = node = leaf(
                node.shape, node.dtype, "input", code=node.code, lasti=node.lasti, origin=node
            )
        node.requires = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return self."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor."""
        return self.node.op is None or not self.node.requires

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, a Tensor of the same shape; None before there is one."""
        return self.node.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise located(TypeError(f"a gradient is a Tensor or None, got {type(value).__name__}"))
        if value is not None and value.shape != self.shape:
            raise located(
                ArgumentError(
                    f"a gradient has the shape of its tensor: expected {list(self.shape)}, got {list(value.shape)}"
                )
            )
        self.node.grad = value

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, where a gradient flows through it."""
        return None if self.is_leaf else self.node

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf it depends on; with `inputs`, of these only.

        As in PyTorch, a tensor of more than one element needs `gradient`; `ds.backward` seeds with ones.
        """
        if gradient is None and self.array.size != 1:
            raise located(
                RuntimeError(
                    "backward() without a gradient needs a tensor of one element, this one has shape "
                    f"{list(self.shape)}; give `gradient`, or call ds.backward(out), which seeds with ones"
                )
            )
        autograd.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same value outside the graph; shares memory."""
        settle()  # whoever has it may write to it
        out = Tensor.__new__(Tensor)
        out.array = self.array
        node, frame = self.node, user_frame(2)
        out.node = leaf(node.shape, node.dtype, "input", code=frame.f_code, lasti=frame.f_lasti, origin=node)
        return out

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph, in place."""
        self.node = self.detach().node
        return self

    @property
    def data(self) -> Tensor:
        """The value outside the graph; shares memory. Assigning replaces the value."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            shared.note(value)
        self.array = value.array if isinstance(value, Tensor) else value
        node = self.node
        node.shape, node.dtype = self.array.shape, self.array.dtype

    def retain_grad(self) -> None:
        """Keep `.grad` of this tensor although it is no leaf."""
        gradient_hooks.retain(self.node)

    @property
    def retains_grad(self) -> Any:
        """Whether `retain_grad` was called on this tensor, which is no leaf."""
        return self.node.op is not None and self.node.grad_source is self.node

    def register_post_accumulate_grad_hook(self, hook: Any) -> gradient_hooks.RemovableHandle:
        """Call `hook(tensor)` once this leaf's `.grad` is complete."""
        return gradient_hooks.register_after(self, hook)

    def register_hook(self, hook: Any) -> gradient_hooks.RemovableHandle:
        """Call `hook(gradient)` when this tensor's gradient is computed; what it returns, if anything, replaces it."""
        return gradient_hooks.register_hook(self.node, hook)

    # --- out of the engine, and onto devices ---

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The value as a NumPy array sharing memory. Raises `RuntimeError` where a gradient flows, unless `force`."""
        if self.node.requires and not force:
            raise located(RuntimeError("numpy() on a tensor that requires grad; use detach().numpy()"))
        settle()  # whoever has it may write to it
        shared.note(self.array)
        return np.asarray(backend.move(self.array, "cpu"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        settle()
        shared.note(self.array)
        value = np.asarray(backend.move(self.array, "cpu"), dtype)
        return value.copy() if copy else value

    def item(self) -> Any:
        """The value of a tensor of one element as a Python number."""
        if self.array.size != 1:
            raise located(
                ArgumentError(f"item() needs a tensor of one element, this one has shape {list(self.shape)}")
            )
        return self.array.item()

    def tolist(self) -> Any:
        """The value as nested lists."""
        return self.array.tolist()

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        copy: bool = False,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        """This tensor with another dtype, on another device, or like another tensor; itself when nothing changes.

        `memory_format`, such as `ds.channels_last`: how its elements lie in memory.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, Device) or (
                isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda")
            ):
                device = arg
            elif arg is not None:
                dtype = arg
        changed = cast(self, dtype=dtype, device=device, copy=copy)
        return changed if memory_format is None else contiguous(changed, memory_format)

    def type(self, dtype: Any = None) -> Any:
        """Cast to `dtype` (or to that of `FloatTensor` and its like), or without one the name of such: `torch.FloatTensor`."""
        if dtype is None:
            return old_name(self.dtype, self.is_cuda)
        return cast(
            self,
            dtype=from_old_name(dtype) if isinstance(dtype, str) else getattr(dtype, "element_type", dtype),
        )

    def type_as(self, other: Tensor) -> Tensor:
        """Cast to the dtype of `other`."""
        return cast(self, dtype=other.dtype)

    def cpu(self) -> Tensor:
        """This tensor in main memory."""
        return cast(self, device="cpu")

    def cuda(self, device: Any = "cuda") -> Tensor:
        """This tensor on a GPU. Raises `RuntimeError` where there is none."""
        return cast(self, device=f"cuda:{device}" if isinstance(device, int) else device)

    def float(self) -> Tensor:
        """Cast to float32."""
        return cast(self, dtype="float32")

    def double(self) -> Tensor:
        """Cast to float64."""
        return cast(self, dtype="float64")

    def half(self) -> Tensor:
        """Cast to float16."""
        return cast(self, dtype="float16")

    def int(self) -> Tensor:
        """Cast to int32."""
        return cast(self, dtype="int32")

    def long(self) -> Tensor:
        """Cast to int64."""
        return cast(self, dtype="int64")

    def bool(self) -> Tensor:
        """Cast to bool."""
        return cast(self, dtype="bool")

    def short(self) -> Tensor:
        """Cast to int16."""
        return cast(self, dtype="int16")

    def char(self) -> Tensor:
        """Cast to int8."""
        return cast(self, dtype="int8")

    def byte(self) -> Tensor:
        """Cast to uint8."""
        return cast(self, dtype="uint8")

    def bfloat16(self) -> Tensor:
        """Cast to bfloat16. Raises `TypeError` where the package ml_dtypes, which has that type, is not installed."""
        return cast(self, dtype="bfloat16")

    def cfloat(self) -> Tensor:
        """Cast to complex64."""
        return cast(self, dtype="complex64")

    def cdouble(self) -> Tensor:
        """Cast to complex128."""
        return cast(self, dtype="complex128")

    # --- others like it ---

    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """A tensor of `data` with this one's dtype and device, unless told otherwise."""
        return tensor(
            data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
        )

    def new_full(
        self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """`fill_value` in another shape, with this tensor's dtype and device unless told otherwise."""
        xp = backend.namespace(self.array)
        shape = (size,) if isinstance(size, builtins.int) else tuple(size)
        kind = self.dtype if dtype is None else as_dtype(dtype)
        array = xp.full(shape, getattr(fill_value, "array", fill_value), kind)
        return Tensor(array if device is None else backend.move(array, device), requires_grad, "constant")

    def new_zeros(self, *size: Any, **more: Any) -> Tensor:
        """Zeros of another shape, with this tensor's dtype and device unless told otherwise."""
        return self.new_full(size[0] if len(size) == 1 else size, 0, **more)

    def new_ones(self, *size: Any, **more: Any) -> Tensor:
        """Ones of another shape, with this tensor's dtype and device unless told otherwise."""
        return self.new_full(size[0] if len(size) == 1 else size, 1, **more)

    def new_empty(self, *size: Any, **more: Any) -> Tensor:
        """A tensor of another shape, with this one's dtype and device; its values are not defined (here 0)."""
        return self.new_full(size[0] if len(size) == 1 else size, 0, **more)

    # --- Python's protocols ---

    def __len__(self) -> Any:
        if self.array.ndim == 0:
            raise located(TypeError("len() of a tensor without dimensions"))
        return self.array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise located(TypeError("iteration over a tensor without dimensions"))
        return (self[i] for i in range(self.array.shape[0]))

    def __bool__(self) -> Any:
        if self.array.size != 1:
            raise located(
                RuntimeError(
                    f"the truth of a tensor of shape {list(self.shape)} is ambiguous; use .any() or .all()"
                )
            )
        return bool(self.array)

    def __float__(self) -> Any:
        return float(self.item())

    def __complex__(self) -> Any:
        return complex(self.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __index__(self) -> Any:
        if self.array.dtype.kind not in "iu" or self.array.size != 1:
            raise located(TypeError("only an integer tensor of one element can be used as an index"))
        return int(self.array.item())

    def __contains__(self, value: Any) -> Any:
        return bool((self.array == (value.array if isinstance(value, Tensor) else value)).any())

    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        indexing.setitem(self, index, value)

    def __repr__(self) -> str:
        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.array.ndim == 0 else object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        if not self.is_leaf:
            raise located(RuntimeError("only leaves can be deep-copied; use detach() or clone()"))
        out: Tensor = type(self).__new__(type(self))
        memo[id(self)] = out
        out.array = self.array.copy()
        node = self.node
        out.node = leaf(
            node.shape,
            node.dtype,
            node.role or "input",
            requires=node.requires,
            code=node.code,
            lasti=node.lasti,
        )
        if node.grad is not None:
            out.node.grad = node.grad.detach().clone()
        return out

    def __copy__(self) -> Tensor:
        out: Tensor = type(self).__new__(type(self))
        out.array, out.node = self.array, self.node
        return out

    def __reduce_ex__(self, protocol: Any) -> Any:
        # What made it stays behind: it arrives as a leaf, as PyTorch's does.
        value = backend.move(self.array, "cpu")
        more = {"persistent": self.persistent} if isinstance(self, Buffer) else None
        return (
            _arrived,
            (type(self), value, str(self.device), self.node.role, self.requires_grad),
            more and (None, more),
        )

    @property
    def T(self) -> Tensor:
        """All dimensions in reverse order."""
        return permute(self, tuple(range(self.ndim - 1, -1, -1)))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return transpose(self, -2, -1)


class Parameter(Tensor):
    """A tensor a module learns: assigning it to a module's attribute registers it.

    `data` may be a Tensor or an array; floating data that is not a tensor becomes the default dtype.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = (
            data.array
            if isinstance(data, Tensor)
            else np.asarray(data)
            if not backend.is_array(data)
            else data
        )
        if array.dtype.kind in "SUO":
            raise located(TypeError(f"a parameter holds numbers, got {type(data).__name__}"))
        if not isinstance(data, Tensor) and array.dtype in (np.float64, np.complex128):
            kind = get_default_dtype()
            array = array.astype(complex_of(kind) if array.dtype.kind == "c" else kind)
        frame = user_frame(2)
        if not isinstance(data, Tensor):
            shared.note(array)
        self.array = array
        self.node = leaf(array.shape, array.dtype, "parameter", code=frame.f_code, lasti=frame.f_lasti)
        self.node.requires = requires_grad

    def __repr__(self) -> str:
        return "Parameter containing:\n" + tensor_text(self)


class Buffer(Tensor):
    """A tensor that is part of a module's state but not learned: assigning it to an attribute registers it.

    Not `persistent`: it is not in `state_dict`.
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any, *, persistent: bool = True) -> None:
        super().__init__(data.detach().array if isinstance(data, Tensor) else tensor(data).array)
        self.persistent = persistent


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known before the first call of its layer."""

    __slots__ = ()

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(tensor([], device=device, dtype=dtype), requires_grad)

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor holding a copy of `data` (numbers, nested lists, an array or a tensor).

    Python floats become the default dtype (float32), Python ints int64; an array keeps its dtype.

    >>> tensor([1.0, 2.0]).dtype
    dtype('float32')
    """
    if isinstance(data, Tensor):
        array = data.array.copy()
    elif backend.is_array(data):
        array = data.copy()
    elif isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        array = np.array(_plain(data))
        if array.dtype == np.float64 and dtype is None:
            array = np.array(array, get_default_dtype())
        elif array.dtype == np.complex128 and dtype is None:
            array = np.array(array, complex_of(get_default_dtype()))
    if array.dtype.kind in "OUSmM":
        raise located(TypeError(f"a tensor holds numbers, got {data!r:.80}"))
    if dtype is not None:
        array = array.astype(as_dtype(dtype), copy=False)
    # A tensor that is copied stays where it is unless told otherwise.
    array = backend.placed(array, data.device if device is None and isinstance(data, Tensor) else device)
    made = Tensor(array, requires_grad)
    if isinstance(data, Tensor) and made.node.shape == data.node.shape:
        # For error messages: a copy outside the graph comes from somewhere all the same.
        made.node.inputs = (behind(data.node),)
    return made


def _floats(data: Any) -> Array:
    """Nested lists as an array of the default dtype. Raises `TypeError` for what is none."""
    if isinstance(data, np.generic):
        return np.asarray(data)
    try:
        return np.array(_plain(data), get_default_dtype())
    except (TypeError, ValueError) as error:
        raise located(
            TypeError(
                f"Tensor: expected an array, nested lists of numbers, or sizes; got {data!r:.80} ({error})"
            )
        ) from None


def _plain(data: Any) -> Any:
    """Nested lists with the tensors in them made numbers."""
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data.array.tolist() if isinstance(data, Tensor) else data


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without copying where that is possible."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if backend.is_array(data) and (dtype is None or data.dtype == as_dtype(dtype)) and device is None:
        shared.note(data)
        return Tensor(data)
    return tensor(data, dtype=dtype, device=device)


def beside(like: Tensor, array: Array) -> Tensor:
    """`array` as a constant on the device of `like`."""
    return Tensor(backend.move(array, like.device), role="constant")


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the memory of `array`."""
    if not isinstance(array, np.ndarray):
        raise located(TypeError(f"expected a NumPy array, got {type(array).__name__}"))
    shared.note(array)
    return Tensor(array)


dispatch.bind(Tensor, Parameter)
autograd.bind(Tensor)


def _arrived(kind: type[Tensor], value: Any, device: str, role: str, requires: bool) -> Tensor:
    """A tensor out of a pickle, from here or from another process."""
    out = kind.__new__(kind)
    out.array = value if device == "cpu" else backend.move(value, device)
    frame = user_frame(2)
    out.node = leaf(
        value.shape, value.dtype, role or "input", requires=requires, code=frame.f_code, lasti=frame.f_lasti
    )
    return out
