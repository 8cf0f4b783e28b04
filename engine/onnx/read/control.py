"""ONNX's control flow: run as Python runs it."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import Sequence, Step, plain, reads


def _run(s: Step, graph: Any, given: list[Any]) -> list[Any]:
    env = dict(s.env)
    env.update({i.name: value for i, value in zip(graph.input, given, strict=False)})
    return list(s.module.run_graph(graph, env))


@reads("If")
def _if(s: Step) -> Any:
    if bool(s.inputs[0].array.item()):
        return _run(s, s.attributes["then_branch"], [])
    return _run(s, s.attributes["else_branch"], [])


@reads("Loop")
def _loop(s: Step) -> Any:
    limit, condition, *carried = s.inputs
    body = s.attributes["body"]
    going = True if condition is None else bool(condition.array.item())
    count = len(carried)
    scanned: list[Any] = [[] for _ in range(len(body.output) - 1 - count)]
    turn = 0
    while going and (limit is None or turn < int(limit.array.item())):
        out = _run(s, body, [plain(np.asarray(turn, np.int64)), plain(np.asarray(going)), *carried])
        going, carried = bool(out[0].array.item()), out[1 : 1 + count]
        for kept, value in zip(scanned, out[1 + count :], strict=True):
            kept.append(value)
        turn += 1
    return [*carried, *(ds.stack(kept) for kept in scanned)]


@reads("Scan")
def _scan(s: Step) -> Any:
    if s.opset < 9:
        return _scan_of_batches(s)
    body, count = s.attributes["body"], s.attributes["num_scan_inputs"]
    states, sequences = s.inputs[: len(s.inputs) - count], s.inputs[len(s.inputs) - count :]
    axes = s.attr("scan_input_axes") or [0] * count
    backwards = s.attr("scan_input_directions") or [0] * count
    length = sequences[0].shape[axes[0]]
    scanned: list[Any] = [[] for _ in range(len(body.output) - len(states))]
    for t in range(length):
        parts = [
            ds.select(x, axis, length - 1 - t if back else t)
            for x, axis, back in zip(sequences, axes, backwards, strict=True)
        ]
        out = _run(s, body, [*states, *parts])
        states = out[: len(states)]
        for kept, value in zip(scanned, out[len(states) :], strict=True):
            kept.append(value)
    out_axes = s.attr("scan_output_axes") or [0] * len(scanned)
    out_back = s.attr("scan_output_directions") or [0] * len(scanned)
    return [
        *states,
        *(
            ds.stack(k[::-1] if back else k, axis)
            for k, axis, back in zip(scanned, out_axes, out_back, strict=True)
        ),
    ]


def _scan_of_batches(s: Step) -> Any:
    """Scan as opset 8 has it: the first dimension of all is a batch, the second of the sequences is time."""
    body, count = s.attributes["body"], s.attributes["num_scan_inputs"]
    lengths, given = s.get(0), s.inputs[1:]
    backwards = s.attr("directions") or [0] * count
    rows = []
    for row in range(given[0].shape[0]):
        states = [ds.select(v, 0, row) for v in given[: len(given) - count]]
        sequences = [ds.select(v, 0, row) for v in given[len(given) - count :]]
        whole = sequences[0].shape[0]
        length = whole if lengths is None else int(lengths.array[row])
        scanned: list[Any] = [[] for _ in range(len(body.output) - len(states))]
        for t in range(length):
            parts = [
                ds.select(x, 0, length - 1 - t if back else t)
                for x, back in zip(sequences, backwards, strict=True)
            ]
            out = _run(s, body, [*states, *parts])
            states = out[: len(states)]
            for kept, value in zip(scanned, out[len(states) :], strict=True):
                kept.append(value)
        empty = [[ds.zeros_like(kept[0])] * (whole - length) for kept in scanned]
        rows.append([*states, *(ds.stack(k + e) for k, e in zip(scanned, empty, strict=True))])
    return [ds.stack(column) for column in zip(*rows, strict=True)]


@reads("SequenceMap")
def _sequence_map(s: Step) -> Any:
    body, first = s.attributes["body"], s.inputs[0]
    made: list[Any] = [Sequence() for _ in body.output]
    for i in range(len(first)):
        given = [value[i] if isinstance(value, Sequence) else value for value in s.inputs]
        for kept, value in zip(made, _run(s, body, given), strict=True):
            kept.append(value)
    return tuple(made) if len(made) > 1 else made[0]
