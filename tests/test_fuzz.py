"""Bytes from strangers: bent seeds through every reader of them. Nothing but the reader's own error may come out."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz_targets import TARGETS, bent, corpus, seeds

from dsviz import events

COUNT = 150
DEEP = (
    b"\x94" + events.encoder.encode(events.Text(1, "a"))[1:] + b"\x91" * 30_000
)  # a field of a later version, too deep
KNOWN = {
    # What longer runs of tests/benchmarks/fuzz.py found, each mended.
    "events": [
        b"\x00\x07\x93\x01\x01\xa3\xff\xfe\xfd",  # a text that is no UTF-8
        len(DEEP).to_bytes(2, "big") + DEEP,
    ],
    "breakpoint": [b"op relu log {" + b"-" * 5000 + b"1}"],  # an expression too deep to be written out again
    "config": [
        b"graph_config: {jit_threshold: " + b"1" * 5000 + b"}",  # more digits than Python reads
        b"graph_config: 2001-99-99",
    ],
    "watch": [
        b'{"dsviz breakpoints": 1, "breakpoints": [{"kind": "line", "file": "/dev/zero", "line": 1}]}',
        b'{"dsviz breakpoints": ' + b"1" * 5000 + b"}",
    ],
    "weights": [
        len(header).to_bytes(8, "little") + header
        for header in (
            b'{"a":{"dtype":"F32","shape":[0,' + b"9" * 30 + b'],"data_offsets":[0,0]}}',
            b'{"a":{"dtype":"F32","shape":[' + b"1," * 70 + b'0],"data_offsets":[0,0]}}',
            b'{"a":' + b"1" * 5000 + b"}",
        )
    ],
    "control": [
        b"\x06\0\0\0\x81\xa1t\xa2\xff\xfe",  # the same
        b"\x00\x40\0\0\x81\xa1t" + b"\x91" * 0x4000,  # nested too deep
    ],
}


@pytest.mark.parametrize("name", TARGETS)
def test_bent_input_gives_the_readers_own_error_or_none(name: str) -> None:
    target, good = TARGETS[name], seeds()[name]
    for data in (*good, *KNOWN.get(name, ()), *corpus(name), b"", b"\x00", b"\xff" * 64):
        target(data)
    rng = np.random.default_rng(1)
    for turn in range(COUNT):
        data = bent(good[turn % len(good)], rng)
        try:
            target(data)
        except Exception as error:
            raise AssertionError(f"{name} raised {error!r} for {data!r}") from error
