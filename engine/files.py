"""Tensors in files, in the safetensors format: a header of JSON and plain numbers, never code.

Written here and not with a library because it is one page, and because a file is read as what it is: something a
stranger may have made. https://github.com/huggingface/safetensors describes the format.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine import backend
from engine.dtype import as_dtype
from engine.located import located
from engine.tensor import Tensor

KINDS = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32",
    "I64": "int64", "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64", "C128": "complex128",
}  # fmt: skip
NAMES = {name: code for code, name in KINDS.items()}
LONGEST_HEADER = 100_000_000  # bytes, the format's own limit


def _json() -> Any:
    """The module `json`, which is slow to load and not needed before a file is."""
    import json

    return json


class FileFormatError(ValueError):
    """A file that is not what `save` writes; the text names the file and what is wrong with it."""


def save(obj: Any, f: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to `f`, a path or an open file: a module's `state_dict()`, or a dict, list or tensor, nested.

    The format is safetensors, which other tools read; whatever is not a tensor (numbers, strings, None: an
    optimizer's options, an epoch) stands in its header as JSON. A file at a path is replaced only once all is written.
    Raises `TypeError` for anything else: no code is ever stored.
    """
    arrays: dict[str, Any] = {}
    plain = _plain(obj, "", arrays)
    header: dict[str, Any] = {}
    notes = {str(k): str(v) for k, v in (metadata or {}).items()}
    # A flat dict of tensors needs no further description, and is what other tools expect.
    if not (isinstance(obj, Mapping) and list(obj) == list(arrays)):
        notes["dsviz"] = _json().dumps(plain)
    if notes:
        header["__metadata__"] = notes
    at = 0
    for name, array in arrays.items():
        kind = NAMES.get(array.dtype.name)
        if kind is None:
            raise located(TypeError(f"{name!r} is {array.dtype}, which the format has no word for"))
        header[name] = {
            "dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes],
        }  # fmt: skip
        at += array.nbytes
    text = _json().dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if hasattr(f, "write"):
        _write(f, text, arrays)
        return
    path = os.fspath(f)
    # Beside its target, so that a crash half way leaves the old file whole.
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            _write(file, text, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def _write(file: Any, text: bytes, arrays: dict[str, Any]) -> None:
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).tobytes())


def _plain(value: Any, path: str, arrays: dict[str, Any]) -> Any:
    """`value` as JSON, its tensors put into `arrays` by path and named by `{"tensor": path}`."""
    if isinstance(value, Tensor) or backend.is_array(value):
        raw = value.array if isinstance(value, Tensor) else value
        name = path or "tensor"
        arrays[name] = backend.move(raw, "cpu")
        # Little-endian, as the format says.
        if arrays[name].dtype.byteorder == ">":
            arrays[name] = arrays[name].astype(arrays[name].dtype.newbyteorder("<"))
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    lead = path + "." if path else ""
    if isinstance(value, Mapping):
        pairs = []
        for key, inner in value.items():
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise located(
                    TypeError(
                        f"keys have to be strings or whole numbers, got {key!r} in {path or 'the dict'}"
                    )
                )
            pairs.append([key, _plain(inner, f"{lead}{key}", arrays)])
        return {"dict": pairs}
    if isinstance(value, (tuple, list)):
        found = [_plain(inner, f"{lead}{i}", arrays) for i, inner in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": found}
    raise located(
        TypeError(
            f"{path or 'the object'} is a {type(value).__name__}; a file holds tensors, numbers, strings, lists and dicts. "
            "Of a module or an optimizer save its state_dict()"
        )
    )


def load(f: Any, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """What `save` wrote to `f`, a path or an open file; a dict of tensors for files of other tools.

    `map_location`: a device.

    Nothing in a file is ever executed. Raises `FileFormatError` that says what is wrong with a damaged or foreign
    file, and `FileNotFoundError`.
    """
    if hasattr(f, "read"):
        path = str(getattr(f, "name", type(f).__name__))
        source: Any = contextlib.nullcontext(f)
    else:
        path = os.fspath(f)
        source = open(path, "rb")  # noqa: SIM115 - the block below closes it
    with source as file:
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(LONGEST_HEADER, size - 8):
            raise _wrong(path, f"its header would be {length} bytes long, the file has {size}" + _hint(path))
        try:
            header = _json().loads(file.read(length).decode())
        except (ValueError, RecursionError) as error:
            raise _wrong(path, f"its header is not JSON ({error})" + _hint(path)) from None
        if not isinstance(header, dict):
            raise _wrong(path, "its header is not a JSON object")
        notes = header.pop("__metadata__", {})
        checked = _checked(path, header, size - 8 - length)
        arrays = {}
        for name, (kind, shape, first, stop) in checked.items():
            file.seek(start + 8 + length + first)
            data = file.read(stop - first)
            try:
                array = np.frombuffer(data, kind).reshape(shape).copy()
            except ValueError as error:  # nothing is in it, and no array can have its shape
                raise _wrong(path, f"{name!r} has the shape {list(shape)}: {error}") from None
            arrays[name] = backend.move(array, map_location) if map_location is not None else array
    described = notes.get("dsviz") if isinstance(notes, dict) else None
    if described is None:
        return {name: Tensor(array) for name, array in arrays.items()}
    try:
        return _rebuilt(_json().loads(described), arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _wrong(path, f"its description does not fit its tensors ({error!r})") from None


def _checked(
    path: str, header: dict[str, Any], room: int
) -> dict[str, tuple[Any, tuple[int, ...], int, int]]:
    """Every entry, once it says something that can be: sizes that agree and lie in the file, none over another."""
    found: dict[str, tuple[Any, tuple[int, ...], int, int]] = {}
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise _wrong(path, f"the entry of {name!r} is not dtype, shape and data_offsets")
        code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(code, str) or code not in KINDS:
            raise _wrong(path, f"{name!r} has the dtype {code!r}; there are {', '.join(KINDS)}")
        whole = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
        if len(whole) < 2 or not all(type(n) is int and n >= 0 for n in whole) or len(offsets) != 2:
            raise _wrong(path, f"{name!r} has the shape {shape!r} and the offsets {offsets!r}")
        kind = as_dtype(KINDS[code])
        start, stop = offsets
        if stop > room or math.prod(shape) * kind.itemsize != stop - start:
            raise _wrong(
                path,
                f"{name!r} of shape {shape} should be bytes {start} to {stop} of {room}, which does not add up",
            )
        found[name] = (kind, tuple(shape), start, stop)
    end = 0
    for name, (_, _, start, stop) in sorted(found.items(), key=lambda item: item[1][2:]):
        if start != end:
            raise _wrong(path, f"{name!r} begins at byte {start}, the one before it ends at {end}")
        end = stop
    if end != room:
        raise _wrong(path, f"its tensors take {end} bytes of the {room} there are")
    return found


def _rebuilt(value: Any, arrays: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return Tensor(arrays[inner])
    if kind == "array":
        return arrays[inner]
    if kind == "dict":
        return {key: _rebuilt(item, arrays) for key, item in inner}
    if kind in ("list", "tuple"):
        made = [_rebuilt(item, arrays) for item in inner]
        return tuple(made) if kind == "tuple" else made
    raise located(ValueError(f"no kind {kind!r}"))


def _hint(path: str) -> str:
    """What a foreign file probably is."""
    with open(path, "rb") as file:
        first = file.read(4)
    if first[:2] == b"PK" or first[:1] == b"\x80":
        return (
            ". It looks like a file of torch.save, which holds pickled code; convert it where it came from, with "
            "safetensors.torch.save_file(state_dict, ...)"
        )
    return ""


def _wrong(path: str, what: str) -> FileFormatError:
    return FileFormatError(f"{path} is not a safetensors file as it should be: {what}")
