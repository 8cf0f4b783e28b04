"""Tensors in files that are open already."""

from __future__ import annotations

import io

import pytest

import engine as ds
from engine.files import FileFormatError


def test_an_open_file_serves_as_a_path_does() -> None:
    file = io.BytesIO()
    file.write(b"before")
    ds.save({"w": ds.ones(2), "epoch": 3}, file)
    end = file.tell()
    file.seek(6)
    found = ds.load(file)
    assert found["w"].tolist() == [1, 1]
    assert found["epoch"] == 3
    with pytest.raises(FileFormatError, match="BytesIO"):
        ds.load(io.BytesIO(file.getvalue()[6 : end - 1]))
