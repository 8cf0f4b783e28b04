"""Samples of what rearranges: shapes, joins, pieces and indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
from sample_row import Row
from samples_arrange import both
from samples_spatial import F, inner, x

import engine as ds
from engine import tensor
from engine.errors import ShapeMismatchError
from engine.ops.gru import gru, gru_cell
from engine.ops.lstm import lstm
from engine.ops.recurrent import lstm_cell
from engine.ops.rnn import rnn

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

SHAPE = (2, 3, 4)


def torch_cell(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any = None, d: Any = None) -> Any:
    """The same from PyTorch's ops."""
    mapped = x if w is None else torch.nn.functional.linear(x, w, b)
    i, f, g, o = torch.chunk(mapped + torch.nn.functional.linear(h, u, d), 4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def torch_lstm(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any = None) -> Any:
    """A loop over that cell."""
    out = []
    for step in x:
        h, c = torch_cell(step, h, c, w, u, b)
        out.append(h)
    return torch.stack(out), h, c


def torch_gru_cell(x: Any, s: Any, h: Any) -> Any:
    """The same from PyTorch's ops."""
    (ir, iz, i_new), (hr, hz, h_new) = torch.chunk(x, 3, -1), torch.chunk(s, 3, -1)
    z = torch.sigmoid(iz + hz)
    new = torch.tanh(i_new + torch.sigmoid(ir + hr) * h_new)
    return new + z * (h - new)


def torch_gru(x: Any, h: Any, w: Any, u: Any, b: Any = None, d: Any = None) -> Any:
    """A loop over that cell."""
    linear = torch.nn.functional.linear
    out = []
    for step in x:
        h = torch_gru_cell(linear(step, w, b), linear(h, u, d), h)
        out.append(h)
    return torch.stack(out), h


def torch_rnn(x: Any, h: Any, w: Any, u: Any, b: Any = None, act: Any = None) -> Any:
    """A loop over the plain step."""
    linear = torch.nn.functional.linear
    out = []
    for step in x:
        h = (act or torch.tanh)(linear(step, w, b) + linear(h, u))
        out.append(h)
    return torch.stack(out), h


def same(op: str, call: Any, inputs: tuple[Any, ...] = (SHAPE,), note: str = "", numpy: Any = None) -> Row:
    """A row of something written alike in both: methods and operators."""
    return Row(op, call, None if torch is None else call, inputs, note, numpy)


SAMPLES: list[Row] = [
    same("reshape", lambda a: a.reshape(4, -1), numpy=lambda a: a.reshape(4, -1)),
    same("reshape", lambda a: a.view(6, 4), note="view", numpy=lambda a: a.reshape(6, 4)),
    same("reshape", lambda a: a.flatten(1), note="flatten"),
    same("reshape", lambda a: a.unflatten(2, (2, -1)), note="unflatten"),
    same("reshape", lambda a: a.unsqueeze(-1), note="unsqueeze", numpy=lambda a: a[..., None]),
    same("reshape", lambda a: a.squeeze(), ((2, 1, 3, 1),), "squeeze", np.squeeze),
    same("reshape", lambda a: a.squeeze(1), ((2, 1, 3, 1),), "squeeze-1"),
    same("permute", lambda a: a.permute(2, 0, 1), numpy=lambda a: a.transpose(2, 0, 1)),
    same("permute", lambda a: a.permute((-1, 0, 1)), note="negative"),
    same("transpose", lambda a: a.transpose(0, -1), numpy=lambda a: a.swapaxes(0, -1)),
    same("transpose", lambda a: a.t(), ((2, 3),), "t", np.transpose),
    same("transpose", lambda a: a.mT, note="mT"),
    same("expand", lambda a: a.expand(5, 2, 4), ((2, 1),)),
    same("expand", lambda a: a.expand(-1, 3), ((2, 1),), "kept"),
    both(ds, "broadcast_to", ((2, 1),), (5, 2, 3), op="expand"),
    same("reshape", lambda a: a.repeat(2, 1, 3), ((2, 3),), "repeat", lambda a: np.tile(a, (2, 1, 3))),
    same("flip", lambda a: a.flip((0, 2)), numpy=lambda a: np.flip(a, (0, 2))),
    Row(
        "cat",
        lambda *t: ds.cat(t, dim=1),
        None if torch is None else lambda *t: torch.cat(t, dim=1),
        ((2, 3), (2, 1), (2, 2)),
        "",
        lambda *t: np.concatenate(t, 1),
    ),
    Row(
        "stack",
        lambda *t: ds.stack(t, dim=-1),
        None if torch is None else lambda *t: torch.stack(t, dim=-1),
        ((2, 3), (2, 3)),
        "",
        lambda *t: np.stack(t, -1),
    ),
    both(ds, "split", ((5, 2),), 2),
    both(ds, "split", ((2, 6),), (1, 2, 3), 1),
    both(ds, "chunk", ((2, 6),), 3, -1, op="split"),
    both(ds, "unbind", ((2, 3),), 1),
    Row(
        "lstm_cell",
        lstm_cell,
        None if torch is None else torch_cell,
        ((2, 4), (2, 3), (2, 3), (12, 4), (12, 3), (12,), (12,)),
    ),
    Row(
        "lstm_cell",
        lambda x, h, c, u: lstm_cell(x, h, c, None, u)[1],
        None if torch is None else lambda x, h, c, u: torch_cell(x, h, c, None, u)[1],
        ((8,), (2,), (2,), (8, 2)),
        "mapped-state-alone",
    ),
    Row(
        "lstm_cell",
        lambda x, h, c, w, u: lstm_cell(x, h, c, w, u)[0],
        None if torch is None else lambda x, h, c, w, u: torch_cell(x, h, c, w, u)[0],
        ((1, 2), (1, 1), (1, 1), (4, 2), (4, 1)),
        "one-row-output-alone",
    ),
    Row(
        "lstm",
        lstm,
        None if torch is None else torch_lstm,
        ((3, 2, 4), (2, 2), (2, 2), (8, 4), (8, 2), (8,)),
    ),
    Row(
        "lstm",
        lambda x, h, c, w, u: lstm(x, h, c, w, u, backwards=True)[0],
        None if torch is None else lambda x, h, c, w, u: torch_lstm(x.flip(0), h, c, w, u)[0].flip(0),
        ((2, 1, 2), (1, 3), (1, 3), (12, 2), (12, 3)),
        "backwards-output-alone",
    ),
    Row(
        "lstm",
        lambda *t: lstm(*t)[2],
        None if torch is None else lambda *t: torch_lstm(*t)[2],
        ((2, 2, 1), (2, 1), (2, 1), (4, 1), (4, 1)),
        "state-alone",
    ),
    Row("gru_cell", gru_cell, None if torch is None else torch_gru_cell, ((2, 6), (2, 6), (2, 2))),
    Row(
        "gru",
        gru,
        None if torch is None else torch_gru,
        ((3, 2, 4), (2, 2), (6, 4), (6, 2), (6,), (6,)),
    ),
    Row(
        "gru",
        lambda x, h, w, u: gru(x, h, w, u, backwards=True)[0],
        None if torch is None else lambda x, h, w, u: torch_gru(x.flip(0), h, w, u)[0].flip(0),
        ((2, 1, 2), (1, 3), (9, 2), (9, 3)),
        "backwards-output-alone",
    ),
    Row(
        "gru",
        lambda *t: gru(*t)[1],
        None if torch is None else lambda *t: torch_gru(*t)[1],
        ((2, 2, 1), (2, 1), (3, 1), (3, 1)),
        "state-alone",
    ),
    Row("rnn", rnn, None if torch is None else torch_rnn, ((3, 2, 4), (2, 2), (2, 4), (2, 2), (2,))),
    Row(
        "rnn",
        lambda x, h, w, u: rnn(x, h, w, u, None, "relu", True)[0],
        None
        if torch is None
        else lambda x, h, w, u: torch_rnn(x.flip(0), h, w, u, None, torch.relu)[0].flip(0),
        ((2, 1, 2), (1, 3), (3, 2), (3, 3)),
        "backwards-output-alone",
    ),
    Row(
        "rnn",
        lambda *t: rnn(*t)[1],
        None if torch is None else lambda *t: torch_rnn(*t)[1],
        ((2, 2, 1), (2, 1), (1, 1), (1, 1)),
        "state-alone",
    ),
    Row(
        "split",
        lambda a: ds.split(a, 2, -1)[1],
        None if torch is None else lambda a: torch.split(a, 2, -1)[1],
        ((2, 5),),
        "one",
    ),
]

ROWS, MASK = np.array([2, 0, 2]), np.array([[True, False, True], [False, False, True]])
INDICES: dict[str, Any] = {
    "int": 1,
    "negative": -1,
    "slice": slice(1, None),
    "step": (slice(None), slice(0, 3, 2)),
    "ellipsis": (..., 1),
    "none": (None, 0, slice(None), None),
    "rows": (slice(None), ROWS),
    "pairs": (np.array([0, 1, 1]), ROWS),
    "apart": (np.array([0, 1]), slice(None), np.array([3, 3])),
    "mask": MASK,
    "spread": (np.array([[0], [1]]), ROWS),
}
for note, index in INDICES.items():
    SAMPLES.append(
        same("getitem", lambda a, index=index: a[index], note=note, numpy=lambda a, index=index: a[index])
    )  # type: ignore[misc]


def _assigned(index: Any) -> Any:
    def assign(a: Any, value: Any) -> Any:
        changed = a * 1
        changed[index] = value
        return changed

    return assign


SAMPLES += [
    same("setitem", _assigned(1), (SHAPE, (3, 4)), "row"),
    same("setitem", _assigned((slice(None), slice(0, 2))), (SHAPE, (4,)), "spread"),
    same("setitem", _assigned(MASK), (SHAPE, ()), "mask"),
    Row("put_back", inner("put_back", shape=(4, 3), index=ROWS), None, ((3, 3),)),
    Row("put_back", inner("put_back", shape=(4, 3), index=(slice(1, 3),)), None, ((2, 3),), "slice"),
    Row(
        "scatter_zeros",
        inner("scatter_zeros", index=ROWS.reshape(1, 3), shape=(3, 3), dim=0),
        None,
        ((1, 3),),
    ),
]
PLACES = np.array([[0, 2, 1], [1, 1, 0]])
for dim in (0, -1):
    SAMPLES.append(
        Row(
            "gather",
            lambda a, d=dim: ds.gather(a, d, tensor(PLACES)),  # type: ignore[misc]
            None if torch is None else lambda a, d=dim: torch.gather(a, d, torch.tensor(PLACES)),  # type: ignore[misc]
            ((3, 3),),
            f"{dim}",
        )
    )
    SAMPLES.append(
        Row(
            "getitem",
            lambda a, d=dim: ds.index_select(a, d, tensor(ROWS)),  # type: ignore[misc]
            None if torch is None else lambda a, d=dim: torch.index_select(a, d, torch.tensor(ROWS)),  # type: ignore[misc]
            ((3, 4),),
            f"index_select{dim}",
        )
    )
SAMPLES += [
    Row(
        "embedding",
        lambda w: ds.embedding(tensor(PLACES), w),
        None if F is None else lambda w: F.embedding(torch.tensor(PLACES), w),
        ((4, 3),),
        "",
        lambda w: w[PLACES],
    ),
    Row(
        "embedding",
        lambda w: ds.embedding(tensor(PLACES), w, padding_idx=1),
        None if F is None else lambda w: F.embedding(torch.tensor(PLACES), w, padding_idx=1),
        ((4, 3),),
        "padding",
        exact=False,
    ),
]

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("reshape", lambda: x(2, 3).reshape(4, 2), ShapeMismatchError, "6"),
    ("reshape", lambda: x(2, 3).reshape(-1, 4), ShapeMismatchError, "6"),
    ("reshape", lambda: x(2, 3).reshape(-1, -1), ValueError, "-1"),
    ("permute", lambda: x(2, 3).permute(0, 0), ValueError, "twice"),
    ("transpose", lambda: x(2, 3).transpose(0, 2), IndexError, "from -2 to 1"),
    ("expand", lambda: x(2, 3).expand(2, 4), ShapeMismatchError, "3"),
    ("t", lambda: x(2, 3, 4).t(), ValueError, "2"),
    ("cat", lambda: ds.cat([x(2, 3), x(2, 4)], 0), ShapeMismatchError, "Expected"),
    ("cat", lambda: ds.cat([]), ValueError, "at least one"),
    ("stack", lambda: ds.stack([x(2, 3), x(2, 4)]), ShapeMismatchError, "Expected [2, 3], got [2, 4]"),
    ("lstm_cell", lambda: ds.nn.LSTMCell(3, 2)(x(5, 4)), ShapeMismatchError, "Expected [5, 3], got [5, 4]"),
    (
        "lstm_cell",
        lambda: ds.nn.LSTMCell(3, 2)(x(5, 3), (x(4, 2), x(5, 2))),
        ShapeMismatchError,
        "it has to be [5, 2]",
    ),
    (
        "lstm_cell",
        lambda: ds.nn.LSTMCell(3, 2)(x(5, 3), (x(5, 2), x(5, 1))),
        ShapeMismatchError,
        "got [5, 1]",
    ),
    (
        "lstm",
        lambda: lstm(x(5, 2, 4), x(2, 3), x(2, 3), x(12, 3), x(12, 3)),
        ShapeMismatchError,
        "[steps, batch, 3]",
    ),
    (
        "lstm",
        lambda: lstm(x(5, 2, 4), x(2, 3), x(1, 3), x(12, 4), x(12, 3)),
        ShapeMismatchError,
        "Expected [2, 3], got [1, 3]",
    ),
    (
        "lstm",
        lambda: lstm(x(5, 2, 4), x(2, 3), x(2, 3), x(9, 4), x(12, 3)),
        ShapeMismatchError,
        "the 12 gates",
    ),
    (
        "gru_cell",
        lambda: gru_cell(x(2, 6), x(2, 5), x(2, 2)),
        ShapeMismatchError,
        "Expected [2, 6], got [2, 5]",
    ),
    ("gru", lambda: gru(x(5, 2, 4), x(2, 3), x(9, 3), x(9, 3)), ShapeMismatchError, "[steps, batch, 3]"),
    (
        "gru",
        lambda: gru(x(5, 2, 4), x(1, 3), x(9, 4), x(9, 3)),
        ShapeMismatchError,
        "Expected [2, 3], got [1, 3]",
    ),
    ("rnn", lambda: rnn(x(5, 2, 4), x(2, 3), x(3, 3), x(3, 3)), ShapeMismatchError, "[steps, batch, 3]"),
    ("split", lambda: ds.split(x(5), [2, 2]), ValueError, "do not add up"),
    ("split", lambda: ds.split(x(5), 0), ValueError, "has to be positive"),
    ("chunk", lambda: ds.chunk(x(5), 0), ValueError, "has to be positive"),
    ("unbind", lambda: ds.unbind(x(5), 1), IndexError, "from -1 to 0"),
    ("getitem", lambda: x(3)[5], IndexError, "5"),
    ("setitem", lambda: x(3, 2).__setitem__(0, x(3)), ShapeMismatchError, "[3]"),
    ("gather", lambda: ds.gather(x(3, 3), 0, tensor([[3]])), IndexError, "holds 3"),
    ("gather", lambda: ds.gather(x(3, 3), 0, x(1, 1)), TypeError, "integers"),
    ("index_select", lambda: ds.index_select(x(3, 3), 2, tensor([0])), IndexError, "from -2 to 1"),
    ("embedding", lambda: ds.embedding(tensor([4]), x(4, 3)), IndexError, "rows 0 to 3"),
    ("embedding", lambda: ds.embedding(x(2), x(4, 3)), TypeError, "integers"),
]
