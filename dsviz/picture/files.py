"""Writing pictures: the ending of the path says what is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dsviz.picture.marks import Sheet

if TYPE_CHECKING:
    from dsviz.store import GraphStore

ENDINGS = (".svg", ".png", ".html", ".dot")


class PictureError(ValueError):
    """The picture cannot be made; the text is the sentence for the person."""


def ending(path: str | os.PathLike[str], allowed: tuple[str, ...] = ENDINGS) -> str:
    """The ending of `path`. Raises `PictureError` for one there is no picture of, or a path nothing can be written to."""
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"path has to be a text, got {type(name).__name__}: {name!r:.60}")
    found = os.path.splitext(name)[1].lower()
    if found not in allowed:
        kinds = ", ".join(allowed[:-1]) + f" or {allowed[-1]}"
        raise PictureError(f"{name!r} has to end in {kinds}: the ending says what is written")
    if os.path.basename(name).startswith("-"):
        raise PictureError(f"{name!r} looks like an option and not like a file; name another one")
    folder = os.path.dirname(os.path.abspath(name))
    if not os.path.isdir(folder):
        raise PictureError(
            f"there is no folder {folder} for the picture; make it first, or name another file"
        )
    if os.path.isdir(name):
        raise PictureError(f"{name!r} is a folder, but a file for the picture was expected")
    return found


def write_graph(store: GraphStore, path: str | os.PathLike[str], **only: Any) -> int:
    """Write the graph of a store to `path`; gives the bytes written. `only` is what `query.filters.filtered` takes."""
    if ending(path) == ".dot":
        from dsviz.query.dot import dot

        if asked := [name for name, value in only.items() if value is not None]:
            raise PictureError(f"a .dot file holds the whole graph, so {asked[0]}= has no meaning for it")
        return _write(path, dot(store).encode())
    from dsviz.picture.cells import graph_of
    from dsviz.picture.drawing import drawn

    return write_marks(drawn(graph_of(store, **only)), path)


def write_marks(sheet: Sheet, path: str | os.PathLike[str]) -> int:
    """Write a sheet to `path` as .svg, .png or .html; gives the bytes written."""
    kind = ending(path, (".svg", ".png", ".html"))
    if kind == ".png":
        from dsviz.picture.png import NoPillow, png

        try:
            return _write(path, png(sheet))
        except NoPillow as missing:
            raise PictureError(str(missing)) from None
    if kind == ".html":
        from dsviz.picture.page import page

        return _write(path, page(sheet).encode())
    from dsviz.picture.svg import svg

    return _write(path, svg(sheet).encode())


def _write(path: str | os.PathLike[str], data: bytes) -> int:
    try:
        with open(path, "wb") as file:
            return file.write(data)
    except OSError as error:
        raise PictureError(f"{os.fspath(path)!r} cannot be written ({error.strerror})") from None
