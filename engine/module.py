"""A part of a network: parameters, submodules, and what it does to its input.

Works without `super().__init__()`: the registers are made when the first attribute is set.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from sys import _getframe
from typing import TYPE_CHECKING, Any

from engine.bus import bus
from engine.grad_mode import state
from engine.gradient_hooks import RemovableHandle
from engine.located import located
from engine.module_call import ModuleCall, made_up, module_of
from engine.module_text import children_text, options_text
from engine.node import Node
from engine.restructure import Parameters, structure
from engine.state_dict import LoadResult, load, save
from engine.state_hooks import Stateful
from engine.tensor import Buffer, Parameter, Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

    from engine.hooks import Hooks
    from engine.reuse import Silence


class Module(Stateful):
    """Base class of all parts of a network. Subclasses define `forward`.

    Assigning a `Parameter` or a `Module` to an attribute registers it; a list of modules is not registered
    (use `ModuleList`), as in PyTorch.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]
    _silence: Silence | None
    _hooks: Hooks | None
    _jit: bool = False  # its ops are to be compiled from the first call on
    _called = ""  # what it goes by when it is called on its own, "" for the caller's variable

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            """Make the registers before any __init__, so that none has to call ours."""
            self = super().__new__(cls)
            fields = self.__dict__
            fields["training"] = True
            fields["_parameters"] = {}
            fields["_buffers"] = {}
            fields["_modules"] = {}
            fields["_transient"] = set()
            fields["_silence"] = None
            fields["_hooks"] = None
            return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module does; subclasses say it."""
        raise located(NotImplementedError(f"{type(self).__name__} has no forward method"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, as a module call that traces and error messages know of."""
        stack = state.modules
        stack.append(self)
        result, finished = None, False
        if not bus.active:
            try:
                if self._silence is None and self._hooks is None and not self._jit:
                    result = self.forward(*args, **kwargs)
                else:
                    result = self._enclosed(args, kwargs)
                finished = True
                return result
            finally:
                made = stack.pop()
                if made is not self:  # somebody began to listen meanwhile
                    made.leave(result, finished)
        parent = state.call
        if len(stack) != (1 if parent is None else parent.depth + 2):
            parent = made_up(1)
        call = state.call = ModuleCall(self, parent, _getframe(1))
        try:
            for sink in bus.module_enter:
                try:
                    sink("module_enter", call)
                except Exception:  # noqa: BLE001 - a debugger's mistake is no mistake of the program
                    bus.failed("module_enter", sink)
            if self._silence is None and self._hooks is None and not self._jit:
                result = self.forward(*args, **kwargs)
            else:
                result = self._enclosed(args, kwargs)
            finished = True
            return result
        finally:
            stack.pop()
            call.leave(result, finished)

    def _enclosed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`forward` with hooks and trace switch, compiled where that was asked for."""
        if self._jit:
            from engine.jit.asking import asked  # made of modules

            return asked(self._wrapped, args, kwargs)
        if self._hooks is not None:
            return self._hooks.call(self, args, kwargs)
        return self._inner(args, kwargs)

    def _wrapped(self, *args: Any, **kwargs: Any) -> Any:
        return self._inner(args, kwargs) if self._hooks is None else self._hooks.call(self, args, kwargs)

    def _inner(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._silence is not None:
            return self._silence.call(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # --- hooks ---

    def _hooked(self) -> Hooks:
        if self._hooks is None:
            from engine.hooks import Hooks  # most programs have none

            self.__dict__["_hooks"] = Hooks()
        assert self._hooks is not None
        return self._hooks

    @property
    def _forward_pre_hooks(self) -> dict[int, Any]:
        return self._hooked().before

    @property
    def _forward_hooks(self) -> dict[int, Any]:
        return self._hooked().after

    @property
    def _backward_hooks(self) -> dict[int, Any]:
        return self._hooked().backward

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns, if anything, replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns (args, kwargs) or None.
        """
        hooks = self._hooked()
        return hooks.add(hooks.before, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:  # fmt: skip
        """Call `hook(module, args, output)` after `forward`; what it returns, if anything, replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`; with `always_call` also after an exception.
        """
        hooks = self._hooked()
        return hooks.add(hooks.after, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)`, tuples, when the gradients of the inputs are there.

        What it returns, if anything, replaces `grad_input`.
        """
        hooks = self._hooked()
        return hooks.add(hooks.backward, hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before gradients pass; what it returns, if anything, replaces them."""
        hooks = self._hooked()
        return hooks.add(hooks.before_backward, hook, prepend)

    # --- attributes ---

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        parameters, modules, buffers = fields["_parameters"], fields["_modules"], fields["_buffers"]
        if isinstance(value, (Parameter, Module)) or name in parameters or name in modules:
            structure.version += 1
        if isinstance(value, Buffer):
            fields.pop(name, None)
            parameters.pop(name, None)
            modules.pop(name, None)
            self.register_buffer(name, value, value.persistent)
            return
        if isinstance(value, Parameter):
            fields.pop(name, None)
            modules.pop(name, None)
            buffers.pop(name, None)
            parameters[name] = value
        elif isinstance(value, Module):
            fields.pop(name, None)
            parameters.pop(name, None)
            buffers.pop(name, None)
            modules[name] = value
        elif name in parameters:
            if value is not None:
                raise located(
                    TypeError(
                        f"{name} is a parameter; assign a Parameter or None, not {type(value).__name__}"
                    )
                )
            parameters[name] = None
        elif name in modules:
            if value is not None:
                raise located(
                    TypeError(f"{name} is a submodule; assign a Module or None, not {type(value).__name__}")
                )
            modules[name] = None
        elif name in buffers:
            if value is not None and not isinstance(value, Tensor):
                raise located(
                    TypeError(f"{name} is a buffer; assign a Tensor or None, not {type(value).__name__}")
                )
            buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            fields = self.__dict__
            if "_buffers" in fields:
                found = fields["_parameters"]
                if name in found:
                    return found[name]
                found = fields["_modules"]
                if name in found:
                    return found[name]
                found = fields["_buffers"]
                if name in found:
                    return found[name]
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        structure.version += 1
        for register in (self._parameters, self._modules, self._buffers):
            if name in register:
                del register[name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._modules, *self._buffers})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter under `name`; None keeps the place without one.

        Raises `KeyError` for a name that is taken or is none, `TypeError` for what is no parameter.
        """
        self._free(name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise located(TypeError(f"{name} has to be a Parameter or None, got {type(param).__name__}"))
        self._parameters[name] = param
        structure.version += 1

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is part of the state but not learned; not `persistent`: not in `state_dict`.

        Raises `KeyError` for a name that is taken or is none, `TypeError` for what is no tensor.
        """
        self._free(name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise located(TypeError(f"{name} has to be a Tensor or None, got {type(tensor).__name__}"))
        self._buffers[name] = tensor
        if persistent:
            self._transient.discard(name)
        else:
            self._transient.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a submodule under `name`. Raises `KeyError` for a name that is taken or is none."""
        self._free(name, self._modules)
        self._modules[name] = module
        structure.version += 1

    def _free(self, name: str, own: dict[str, Any]) -> None:
        if not name or "." in name:
            raise located(KeyError(f"a name is needed without a point in it, got {name!r}"))
        for held in (self._parameters, self._buffers, self._modules):
            if held is not own and name in held:
                raise located(KeyError(f"{name!r} is the name of something else in {type(self).__name__}"))

    register_module = add_module

    # --- what is inside ---

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all inside, with their paths; each once, or with all its paths."""
        seen = set() if memo is None else memo
        if self in seen:
            return
        if remove_duplicate:
            seen.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(seen, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all inside; each once, or as often as it is there."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside, with their names."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly inside."""
        for _, child in self.named_children():
            yield child

    def _named(self, register: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(None, prefix, once) if recurse else [(prefix, self)]:
            for name, value in getattr(module, register).items():
                if value is not None and id(value) not in seen:
                    if once:
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths; each once, or with all its paths."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters; each once. An optimizer made of it follows the module when its structure changes."""
        return Parameters(self, recurse)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths; each once, or with all its paths."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers; each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "encoder.layers.0". Raises `AttributeError` where there is none."""
        module: Module = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(
                    f"{type(module).__name__} has no submodule {name!r} (looking for {target!r})"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "encoder.weight". Raises `AttributeError` where there is none."""
        return self._at(target, "_parameters", "parameter")  # type: ignore[no-any-return]

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "norm.running_mean". Raises `AttributeError` where there is none."""
        return self._at(target, "_buffers", "buffer")  # type: ignore[no-any-return]

    def _at(self, target: str, register: str, word: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = getattr(module, register).get(name)
        if found is None:
            raise AttributeError(f"{type(module).__name__} has no {word} {name!r} (looking for {target!r})")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a path such as "encoder.layers.0"; `strict`: only where there is one.

        Raises `ValueError` for an empty path and what is no module, `AttributeError` where there is no place.
        """
        if not target:
            raise located(ValueError("set_submodule: target has to be a path such as 'layers.0', got ''"))
        if not isinstance(module, Module):
            raise located(
                ValueError(f"set_submodule: module has to be a Module, got {type(module).__name__}")
            )
        if strict:
            self.get_submodule(target)
        path, _, name = target.rpartition(".")
        self.get_submodule(path).add_module(name, module)

    # --- modes ---

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all inside to training (dropout drops), or with False to evaluation."""
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Self:
        """Switch this module and all inside to evaluation."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters take gradients."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def trace_(self, on: bool = True, *, reuse: bool | str = False) -> Self:
        """Switch the tracing of this module, and all inside, on or off. Returns the module.

        Off, it leaves no nodes; frozen as well (`requires_grad_(False)`), it records no graph and saves nothing.
        With `reuse=True` a frozen module's result is given again while the input arrays, parameters and buffers are
        the same and untouched; `reuse="content"` compares what the inputs hold instead.
        `ds.reuse_report(net)` says what that saved.
        """
        from engine.reuse import Silence

        self.__dict__["_silence"] = None if on else Silence(reuse)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them 0."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = parameter.grad.detach() * 0

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module inside, innermost first, then with this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _convert(self, change: Callable[[Tensor], Tensor]) -> Self:
        for module in self.modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    parameter.data = change(parameter.detach())
                    if parameter.grad is not None:
                        parameter.node.grad = change(parameter.grad.detach())
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = change(buffer.detach())
        return self

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """Move parameters and buffers to a device, or cast the floating ones to a dtype, in place.

        `memory_format` is PyTorch's and changes nothing: weights lie as they are computed with best.
        """
        from engine.backend import Device

        if memory_format is not None:
            from engine.memory_order import checked

            checked(memory_format)

        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, Device) or (
                isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda")
            ):
                device = arg
            elif arg is not None:
                dtype = arg
        return self._convert(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def cpu(self) -> Self:
        """Move to main memory."""
        return self.to(device="cpu")

    def cuda(self, device: Any = "cuda") -> Self:
        """Move to a GPU."""
        return self.to(device=f"cuda:{device}" if isinstance(device, int) else device)

    def float(self) -> Self:
        """Cast floating parameters and buffers to float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Cast floating parameters and buffers to float64."""
        return self.to(dtype="float64")

    def half(self) -> Self:
        """Cast floating parameters and buffers to float16."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Self:
        """Cast floating parameters and buffers to bfloat16."""
        return self.to(dtype="bfloat16")

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers."""
        return self._convert(lambda t: t.to(dtype=dst_type))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without caring for the values."""
        return self.to(device=device)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `ds.jit(self)`: what this module runs is compiled. PyTorch's options of how are accepted."""
        self.__dict__["_jit"] = True

    def share_memory(self) -> Self:
        """Itself: memory is not shared between processes."""
        return self

    # --- state ---

    def state_dict(
        self, prefix: str = "", *, keep_vars: bool = False, destination: dict[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """All parameters and persistent buffers by path, sharing memory with the module; `keep_vars`: themselves."""
        return save(self, OrderedDict() if destination is None else destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadResult:
        """Copy values (tensors or arrays) into the parameters and buffers of the same paths.

        With `assign` they are taken over as they are. Raises `StateError` that lists missing and unexpected paths
        when `strict`, and every shape that does not fit; then nothing has been changed.
        """
        return load(self, state_dict, strict, assign)

    # --- how it prints ---

    def extra_repr(self) -> str:
        """What `repr` shows of the module itself: a layer's options; subclasses may say it better."""
        return options_text(self)

    def _get_name(self) -> str:
        return type(self).__name__

    # Whether equal modules that follow each other print once, as those of a list do.
    _gathers = False

    def __repr__(self) -> str:
        name, extra = self._get_name(), self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = children_text(self._modules, self._gathers)
        if not children and len(lines) < 2:
            return f"{name}({extra})"
        return f"{name}(\n" + "\n".join([*(f"  {line}" for line in lines), *children]) + "\n)"


def name_parameter(node: Node) -> str:
    """The path of a parameter below the modules being called, or ""."""
    for entry in reversed(state.modules):
        for name, parameter in module_of(entry).named_parameters():
            if parameter.node is node:
                return name
    return ""
