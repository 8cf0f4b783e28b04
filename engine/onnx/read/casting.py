"""Element types: casts, and the narrow types that files have and the engine's ops have not.

float8, float4, int4 and int2 are carried as arrays of the package `ml_dtypes`, which `onnx` brings, and text as arrays
of Python's `str`: they can be cast, moved and quantised, and the rest of the ops refuse them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.read.step import Step, Unreadable, kind_of, plain, reads

NARROW_WHOLE = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
# The largest number of each narrow floating type, and whether infinity becomes that number when it is asked to saturate.
NARROW_FLOAT = {
    "float8_e4m3fn": (448.0, True), "float8_e4m3fnuz": (240.0, True), "float8_e5m2": (57344.0, True),
    "float8_e5m2fnuz": (57344.0, True), "float4_e2m1fn": (6.0, True),
}  # fmt: skip


def is_plain(kind: Any) -> bool:
    """Whether the engine's own ops compute in this type."""
    if kind.name.startswith(("float8", "float4")) or kind.name in NARROW_WHOLE:
        return False
    return kind.kind in "fiub" or kind.name == "bfloat16"


@reads("Cast")
def _cast(s: Step) -> Any:
    wanted = kind_of(s.attributes["to"])
    return [cast(s.inputs[0], wanted, bool(s.attr("saturate", 1)), s.attr("round_mode", "up"))]


@reads("CastLike")
def _cast_like(s: Step) -> Any:
    return [cast(s.inputs[0], s.inputs[1].dtype, bool(s.attr("saturate", 1)), s.attr("round_mode", "up"))]


@reads("BitCast")
def _bit_cast(s: Step) -> Any:
    kind = np.dtype(kind_of(s.attributes["to"]))
    x = s.inputs[0].array
    if not (is_plain(kind) and is_plain(x.dtype)) or x.dtype.itemsize != kind.itemsize:
        raise Unreadable(f"the bits of {x.dtype} as {kind}: types of one size are needed")
    return plain(np.ascontiguousarray(x).view(kind).reshape(x.shape))


def cast(x: Any, wanted: Any, saturate: bool = True, round_mode: str = "up") -> Any:
    """`x` in the type `wanted`, as ONNX's Cast has it. A gradient passes between the types the engine computes in."""
    kind = np.dtype(wanted)
    if "O" in (kind.char, x.dtype.char):
        return plain(_text(x.array, kind))
    if is_plain(kind) and is_plain(x.dtype):
        return x.to(dtype=kind)
    if is_plain(kind):
        return plain(x.array.astype(np.float32).astype(kind))
    return plain(narrowed(x.array, kind, saturate, round_mode))


def _text(array: Any, kind: Any) -> Any:
    if kind.char == "O":
        made = [str(v) if array.dtype.char == "O" else _said(v) for v in array.reshape(-1)]
        return np.array([*made, None], object)[:-1].reshape(array.shape)
    return array.astype(str).astype(np.float64 if kind.kind == "f" else kind).astype(kind)


def _said(value: Any) -> str:
    """A number as ONNX writes it: the shortest text that gives it again, INF and NaN."""
    if isinstance(value, np.floating) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "INF" if value > 0 else "-INF"
    return str(value)


def narrowed(array: Any, kind: Any, saturate: bool = True, round_mode: str = "up") -> Any:
    """Numbers in a narrow type: whole ones cut off, floating ones rounded to the nearest."""
    if kind.name in NARROW_WHOLE:
        low, high = NARROW_WHOLE[kind.name]
        whole = np.trunc(array.astype(np.float64)).astype(np.int64)
        return ((whole - low) % (high - low + 1) + low).astype(np.int8).astype(kind)
    if kind.name == "float8_e8m0fnu":
        return _power(array.astype(np.float32), kind, saturate, round_mode)
    if kind.name not in NARROW_FLOAT:
        raise Unreadable(f"there is no element type {kind.name} here")
    x = array.astype(np.float32)
    most, keeps = NARROW_FLOAT[kind.name]
    if saturate or kind.name.startswith("float4"):
        x = np.where(np.isnan(x) | (np.isinf(x) & (not keeps)), x, np.clip(x, -most, most))
    return x.astype(kind)


def _power(x: Any, kind: Any, saturate: bool, round_mode: str) -> Any:
    """The power of two a number is rounded to: a type that has nothing but an exponent."""
    with np.errstate(all="ignore"):
        at = np.log2(np.abs(x.astype(np.float64)))
    power = {"up": np.ceil, "down": np.floor}.get(round_mode, lambda v: np.floor(v + 0.5))(at)
    if saturate:
        power = np.clip(power, -127, 127)
    made = np.where(np.isnan(x) | (np.abs(power) > 127), np.nan, np.exp2(np.nan_to_num(power)))
    return made.astype(np.float32).astype(kind)
