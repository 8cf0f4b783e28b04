"""The state of a module by path: taking it out, and putting one back with precise complaints where it does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine import backend
from engine.errors import shape_text
from engine.located import located
from engine.state_hooks import EXTRA, after_loading, after_saving, before_loading, before_saving, has_extra
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.module import Module


class StateError(RuntimeError, ValueError, KeyError):
    """A state that does not fit a module.

    `missing` and `unexpected` are paths, `mismatched` is a list of (path, expected shape, got shape).
    """

    missing: list[str]
    unexpected: list[str]
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]]

    def __str__(self) -> str:
        return str(self.args[0])


class LoadResult(tuple):  # type: ignore[type-arg]
    """What `load_state_dict` returns: `missing_keys` and `unexpected_keys`."""

    __slots__ = ()

    def __new__(cls, missing: list[str], unexpected: list[str]) -> LoadResult:
        """A pair of lists."""
        return super().__new__(cls, (missing, unexpected))

    @property
    def missing_keys(self) -> list[str]:
        """Paths of the module the state has no value for."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def unexpected_keys(self) -> list[str]:
        """Paths of the state the module has no place for."""
        return self[1]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self[0]}, unexpected_keys={self[1]})"


def own(module: Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters and persistent buffers of a module itself, with their names."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._transient:
            yield name, buffer


def entries(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """All parameters and persistent buffers with their paths, shared ones under each of their paths."""
    for name, tensor in own(module):
        yield prefix + name, tensor
    for name, child in module._modules.items():
        if child is not None:
            yield from entries(child, f"{prefix}{name}.")


def save(module: Module, found: dict[str, Any], prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Fill `found` with the state of a module and of all inside, and with what their hooks make of it."""
    before_saving(module, prefix, keep_vars)
    for name, tensor in own(module):
        found[prefix + name] = tensor if keep_vars else tensor.detach()
    if has_extra(module):
        found[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            save(child, found, f"{prefix}{name}.", keep_vars)
    after_saving(module, found, prefix)
    return found


def load(module: Module, state: Any, strict: bool, assign: bool) -> LoadResult:
    """Copy `state` into `module`; nothing has been changed when this raises."""
    if not isinstance(state, Mapping):
        raise located(
            TypeError(f"expected a state as state_dict gives it, a dict, got {type(state).__name__}")
        )
    state, complaints = before_loading(module, state, strict)
    extras: dict[str, Module] = {}
    for path, inner in module.named_modules():
        if has_extra(inner):
            extras[f"{path}.{EXTRA}" if path else EXTRA] = inner
        if hasattr(inner, "from_state"):  # a lazy layer, whose size the state knows
            weight = state.get(f"{path}.weight" if path else "weight", state.get(f"{path}.running_mean"))
            if weight is not None:
                inner.from_state(tuple(weight.shape))
    places = dict(entries(module))
    missing = [key for key in (*places, *extras) if key not in state]
    unexpected = [key for key in state if key not in places and key not in extras]
    values = {key: _array(key, state[key]) for key in places if key in state}
    mismatched = [
        (key, tuple(places[key].shape), tuple(value.shape))
        for key, value in values.items()
        if tuple(value.shape) != places[key].shape
    ]
    result = LoadResult(missing, unexpected)
    forgiving = any(
        hooks is not None and hooks.after_loading
        for hooks in (inner.__dict__.get("_state_hooks") for inner in module.modules())
    )
    if mismatched or complaints or (strict and not forgiving and (missing or unexpected)):
        wrong = result if strict else LoadResult([], [])
        raise _error(module, places, wrong, mismatched, complaints)
    for key, value in values.items():
        target = places[key]
        if assign:
            target.data = value
        else:
            target.data.copy_(backend.move(value, str(target.device)).astype(target.dtype, copy=False))
    for key, inner in extras.items():
        if key in state:
            inner.set_extra_state(state[key])
    if forgiving:
        after_loading(module, result)
        if strict and (missing or unexpected):
            raise _error(module, places, result, [], [], "what fits was taken over")
    return result


def _array(key: str, value: Any) -> Any:
    array = value.array if isinstance(value, Tensor) else value
    if not backend.is_array(array):
        raise located(
            TypeError(f"the value of {key!r} has to be a tensor or an array, got {type(value).__name__}")
        )
    return array


def _error(
    module: Module, places: dict[str, Tensor], wrong: LoadResult,
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]], complaints: list[str],
    done: str = "nothing was changed",
) -> StateError:  # fmt: skip
    missing, unexpected = wrong.missing_keys, wrong.unexpected_keys
    lines = [f"the state does not fit {type(module).__name__}; {done}", *complaints]
    if missing:
        words = [f"{key} {shape_text(places[key].shape)}" if key in places else key for key in missing]
        lines.append("missing: " + ", ".join(words))
    if unexpected:
        import difflib  # errors are rare, and it is slow to load

        words = []
        for key in unexpected:
            near = difflib.get_close_matches(key, missing or places, 1, 0.75)
            words.append(key + (f" (did you mean {near[0]}?)" if near else ""))
        lines.append("unexpected: " + ", ".join(words))
    lines += [
        f"{key}: expected {shape_text(wanted)}, got {shape_text(got)}" for key, wanted, got in mismatched
    ]
    error = StateError("\n  ".join(lines))
    error.missing, error.unexpected, error.mismatched = missing, unexpected, mismatched
    return error
