"""How a session says no."""

from __future__ import annotations


class Refused(ValueError):  # noqa: N818 - an answer to the person, not a fault
    """A command that makes no sense now; the text is the sentence for the person."""
