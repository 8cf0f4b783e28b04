"""How much of ONNX can be read: the node tests that the `onnx` package ships, run through `ds.onnx.load`.

    python tests/benchmarks/onnx_nodes.py [--failed] [--only SUBSTRING]

Prints passed of all, and of those whose ops and types the engine has; `--failed` lists what did not pass and why.
"""

from __future__ import annotations

import argparse
import collections
import warnings
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test import loader

import dsviz as ds
from engine.onnx import LoadError, load


def plain(value: Any) -> Any:
    """A value of a test case as an array (some come as they stand in a file)."""
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def same(found: Any, expected: Any, rtol: float, atol: float) -> str:
    """ "" where the results agree, else what is different."""
    if isinstance(expected, list):
        if len(found) != len(expected):
            return f"{len(found)} parts for {len(expected)}"
        return next(
            (why for a, b in zip(found, expected, strict=True) if (why := same(a, b, rtol, atol))), ""
        )
    array, expected = np.asarray(found.array), np.asarray(expected)
    if array.shape != expected.shape:
        return f"shape {array.shape} for {expected.shape}"
    if array.dtype != expected.dtype:
        return f"type {array.dtype} for {expected.dtype}"
    if expected.dtype == object:
        return "" if (array == expected).all() else f"texts {array} for {expected}"
    close = np.allclose(array, expected, rtol=rtol, atol=max(atol, 1e-5), equal_nan=True)
    return (
        ""
        if close
        else f"values differ by {np.nanmax(np.abs(array.astype(float) - expected.astype(float))):.3g}"
    )


def drawn(found: Any, expected: Any) -> str:
    """The same for zeros and ones drawn at random, of which only shape and type can be compared."""
    array, expected = np.asarray(found.array), np.asarray(expected)
    if (array.shape, array.dtype) != (expected.shape, expected.dtype):
        return f"{array.dtype} {array.shape} for {expected.dtype} {expected.shape}"
    return "" if np.isin(array, (0, 1)).all() else "other numbers than 0 and 1"


def outcome(case: Any) -> tuple[str, str]:
    """ "passed", "unread" (says plainly that it cannot) or "failed", and why."""
    try:
        model = load(case.model)
        for inputs, outputs in case.data_sets:
            inputs, outputs = [[plain(value) for value in values] for values in (inputs, outputs)]
            found = model(*inputs)
            found = list(found) if isinstance(found, tuple) else [found]
            for a, b in zip(found, outputs, strict=True):
                at_random = "bernoulli" in case.name
                why = drawn(a, b) if at_random else same(a, b, case.rtol, case.atol)
                if why:
                    return "failed", why
    except LoadError as error:
        return "unread", str(error)
    except Exception as error:  # noqa: BLE001 - a failed case is a row of the report
        return "failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return "passed", ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--failed", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = [case for case in loader.load_model_tests(kind="node") if given.only in case.name]
    counts: collections.Counter[str] = collections.Counter()
    with np.errstate(all="ignore"), ds.no_grad():
        for case in cases:
            kind, why = outcome(case)
            counts[kind] += 1
            if given.failed and kind != "passed":
                print(f"{kind:7} {case.name}: {why[:150]}")
    print(
        f"{counts['passed']} of {len(cases)} node tests passed; {counts['unread']} need an op or a type that is not"
    )
    print(f"there and are told so; {counts['failed']} failed otherwise")


if __name__ == "__main__":
    main()
