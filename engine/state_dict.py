"""The state of a module by path: taking it out, and putting one back with precise complaints where it does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine import backend
from engine.errors import shape_text
from engine.located import located
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
        return f"LoadResult(missing_keys={self[0]}, unexpected_keys={self[1]})"


def entries(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """All parameters and persistent buffers with their paths, shared ones under each of their paths."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield prefix + name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._transient:
            yield prefix + name, buffer
    for name, child in module._modules.items():
        if child is not None:
            yield from entries(child, f"{prefix}{name}.")


def load(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> LoadResult:
    """Copy `state` into `module`; nothing has been changed when this raises."""
    if not isinstance(state, Mapping):
        raise located(
            TypeError(f"expected a state as state_dict gives it, a dict, got {type(state).__name__}")
        )
    for path, inner in module.named_modules():
        if hasattr(inner, "from_state"):  # a lazy layer, whose size the state knows
            weight = state.get(f"{path}.weight" if path else "weight", state.get(f"{path}.running_mean"))
            if weight is not None:
                inner.from_state(tuple(weight.shape))
    own = dict(entries(module))
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    values = {key: _array(key, state[key]) for key in own if key in state}
    mismatched = [
        (key, own[key].shape, tuple(value.shape))
        for key, value in values.items()
        if tuple(value.shape) != own[key].shape
    ]
    if mismatched or (strict and (missing or unexpected)):
        raise _error(module, own, missing if strict else [], unexpected if strict else [], mismatched)
    for key, value in values.items():
        target = own[key]
        if assign:
            target.data = value
        else:
            target.data.copy_(backend.move(value, str(target.device)).astype(target.dtype, copy=False))
    return LoadResult(missing, unexpected)


def _array(key: str, value: Any) -> Any:
    array = value.array if isinstance(value, Tensor) else value
    if not backend.is_array(array):
        raise located(
            TypeError(f"the value of {key!r} has to be a tensor or an array, got {type(value).__name__}")
        )
    return array


def _error(
    module: Module, own: dict[str, Tensor], missing: list[str], unexpected: list[str],
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> StateError:  # fmt: skip
    lines = [f"the state does not fit {type(module).__name__}; nothing was changed"]
    if missing:
        lines.append("missing: " + ", ".join(f"{key} {shape_text(own[key].shape)}" for key in missing))
    if unexpected:
        import difflib  # errors are rare, and it is slow to load

        words = []
        for key in unexpected:
            near = difflib.get_close_matches(key, missing or own, 1, 0.75)
            words.append(key + (f" (did you mean {near[0]}?)" if near else ""))
        lines.append("unexpected: " + ", ".join(words))
    lines += [
        f"{key}: expected {shape_text(wanted)}, got {shape_text(got)}" for key, wanted, got in mismatched
    ]
    error = StateError("\n  ".join(lines))
    error.missing, error.unexpected, error.mismatched = missing, unexpected, mismatched
    return error
