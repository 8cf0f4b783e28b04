"""The modules and Python frames that are active at a stop."""

from __future__ import annotations

from dash import html

from layouts.parts import section


def layout() -> html.Div:
    """The section, filled at every stop."""
    return section("stack", "Call stack")
