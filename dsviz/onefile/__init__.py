"""A run as one HTML file: the same page, with what it would ask the server for inside, for a colleague with nothing installed."""

from dsviz.onefile.write import html

__all__ = ["html"]
