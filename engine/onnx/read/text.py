"""ONNX's ops on text: arrays of Python's `str`, which networks turn into numbers before anything else."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from engine.onnx.read.step import Step, Unreadable, plain, reads


def texts(values: Any, shape: Any = None) -> Any:
    """Texts as an array."""
    found = [v.decode() if isinstance(v, bytes) else str(v) for v in values]
    return np.array([*found, None], object)[:-1].reshape((-1,) if shape is None else shape)


@reads("StringConcat")
def _concat(s: Step) -> Any:
    a, b = np.broadcast_arrays(*(v.array for v in s.inputs))
    return plain(texts([str(x) + str(y) for x, y in zip(a.reshape(-1), b.reshape(-1), strict=True)], a.shape))


@reads("StringSplit")
def _split(s: Step) -> Any:
    x, most = s.inputs[0].array, s.attr("maxsplit")
    between = s.attr("delimiter", "") or None
    parts = [str(v).split(between, -1 if most is None else int(most)) for v in x.reshape(-1)]
    longest = max(map(len, parts), default=0)
    filled = [p for part in parts for p in [*part, *[""] * (longest - len(part))]]
    counts = np.asarray([len(p) for p in parts], np.int64).reshape(x.shape)
    return [plain(texts(filled, (*x.shape, longest))), plain(counts)]


@reads("StringNormalizer")
def _normalised(s: Step) -> Any:
    x = s.inputs[0].array
    stop = [v.decode() for v in s.attributes.get("stopwords", [])]
    changes: dict[str, Any] = {"LOWER": str.lower, "UPPER": str.upper, "NONE": str}
    change = changes[s.attr("case_change_action", "NONE")]
    compared: Any = str if s.attr("is_case_sensitive", 0) else str.lower
    unwanted = {compared(v) for v in stop}
    kept = [change(str(v)) for v in x.reshape(-1) if compared(str(v)) not in unwanted] or [""]
    return plain(texts(kept, (1, -1) if x.ndim == 2 else None))


@reads("RegexFullMatch")
def _matched(s: Step) -> Any:
    x = s.inputs[0].array
    try:
        pattern = re.compile(s.attr("pattern", ""))
    except re.error as problem:
        raise Unreadable(f"the pattern {s.attr('pattern')!r} cannot be read: {problem}") from None
    found = [pattern.fullmatch(str(v)) is not None for v in x.reshape(-1)]
    return plain(np.asarray(found, bool).reshape(x.shape))


@reads("TfIdfVectorizer")
def _counted(s: Step) -> Any:
    x = s.inputs[0].array
    pool = [v.decode() for v in s.attributes.get("pool_strings", [])] or list(
        s.attributes.get("pool_int64s", [])
    )
    places, weights = list(s.attributes["ngram_indexes"]), s.attributes.get("weights")
    starts, mode = list(s.attributes["ngram_counts"]), s.attr("mode")
    shortest, longest = int(s.attributes["min_gram_length"]), int(s.attributes["max_gram_length"])
    wanted: dict[tuple[Any, ...], int] = {}
    for length, start in enumerate(starts, 1):
        end = starts[length] if length < len(starts) else len(pool)
        for at in range(start, end, length):
            wanted[tuple(pool[at : at + length])] = len(wanted)
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    made = np.zeros((rows.shape[0], max(places) + 1), np.float32)
    for row, tokens in enumerate(rows.tolist()):
        for length in range(shortest, longest + 1):
            for skip in range(1 if length == 1 else int(s.attributes["max_skip_count"]) + 1):
                for at in range(len(tokens) - (length - 1) * (skip + 1)):
                    found = wanted.get(tuple(tokens[at : at + (length - 1) * (skip + 1) + 1 : skip + 1]))
                    if found is not None:
                        made[row, places[found]] += 1
    if mode == "IDF":
        made = np.minimum(made, 1)
    if mode != "TF" and weights:
        scale = np.ones(made.shape[1], np.float32)
        scale[places] = weights
        made = made * scale
    return plain(made if x.ndim == 2 else made[0])
