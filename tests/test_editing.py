"""Saving a file from the page: only over the text that the page saw, and as the file was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsviz.web.editing import NotSaved, digest, save


def test_the_text_is_written_with_the_files_own_line_ends_and_rights(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_bytes(b"# -*- coding: latin-1 -*-\r\nx = '\xe9'\r\n")
    file.chmod(0o640)
    seen = digest("# -*- coding: latin-1 -*-\nx = '\u00e9'\n")
    assert save(str(file), seen, "# -*- coding: latin-1 -*-\nx = '\u00e8'\n") == {"problem": None}
    assert file.read_bytes() == b"# -*- coding: latin-1 -*-\r\nx = '\xe8'\r\n"
    if os.name != "nt":
        assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_changed_on_disk_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("x = 2\n", encoding="utf-8")
    with pytest.raises(NotSaved, match=r"net\.py was changed on disk"):
        save(str(file), digest("x = 1\n"), "x = 3\n")
    assert file.read_text(encoding="utf-8") == "x = 2\n"


def test_a_mistake_in_the_text_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("x = 1", encoding="utf-8")  # with no line end, as the page then shows it
    answer = save(str(file), digest("x = 1\n"), "x = (\n")
    assert answer["problem"].startswith("net.py:1 is no Python")
    assert file.read_text(encoding="utf-8") == "x = (\n"


def test_a_file_that_is_gone_or_cannot_hold_a_letter_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match="cannot be read any more"):
        save(str(tmp_path / "gone.py"), "", "")
    file = tmp_path / "old.py"
    file.write_text("# coding: ascii\n", encoding="ascii")
    with pytest.raises(NotSaved, match="has no '\u00e9'"):
        save(str(file), digest("# coding: ascii\n"), "# coding: ascii\nx = '\u00e9'\n")
    assert file.read_text(encoding="ascii") == "# coding: ascii\n"
