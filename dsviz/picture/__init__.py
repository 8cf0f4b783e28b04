"""The graph, and what the memory optimisation does, as a file: SVG, PNG, HTML or DOT.

`cells` makes what is drawn from the store, `layered` gives it its place, `drawing` makes marks of it (rectangles,
ways, texts), and `svg`, `png` and `page` write those marks. No browser and no `dot` is needed.
"""

from dsviz.picture.files import ENDINGS, PictureError, ending, write_graph, write_marks

__all__ = ["ENDINGS", "PictureError", "ending", "write_graph", "write_marks"]
