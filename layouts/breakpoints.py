"""Breakpoints: what stops the program, each with a switch and its hits."""

from __future__ import annotations

from dash import html

from layouts.parts import section


def layout() -> html.Div:
    """The section, filled from the session's settings."""
    return section(
        "breakpoints", "Breakpoints", add="Add a breakpoint", more="Save, load or switch all breakpoints"
    )
