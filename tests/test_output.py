"""Where the answer goes may lack letters, be full, or have nobody who reads: a command ends with a sentence or in silence."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsviz as ds
from dsviz import output

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "replace"])
@pytest.mark.parametrize("json", [False, True])
def test_a_graph_prints_to_an_output_that_lacks_its_lines(encoding: str, errors: str, json: bool) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors=errors)
    with ds.trace() as graph:
        for _ in range(3):
            ds.relu(ds.ones(2, 3))
    ds.debug.print_graph(graph, out, json=json)
    assert out.errors == errors  # the person's own stream stays what it is
    out.flush()
    text = raw.getvalue().decode(encoding)
    assert "relu" in text
    if encoding == "ascii" and errors != "replace" and not json:
        assert "`- relu  2x3" in text or "   `- relu" in text


def test_what_stands_in() -> None:
    assert "├─×…\udcff\U0001f600é".encode("ascii", output.PLAIN) == b"|-x...\\udcff\\U0001f600\\xe9"
    stream = io.StringIO()
    assert output.fitted(stream) is stream


def command(*words: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = (sys.executable, "-m", "dsviz", *words)
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, env=env, timeout=120)


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("words", [["ops"], ["ops", "--json"], ["--help"]])
def test_a_reader_that_has_gone_is_no_error(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = command(*words, stdout=write)
    finally:
        os.close(write)
    assert done.stderr == b""
    assert done.returncode in (output.CLOSED, 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_output_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = command("ops", stdout=full.fileno())
    assert done.returncode == output.UNWRITTEN
    assert done.stderr == b"dsviz: standard output cannot be written to: No space left on device.\n"
