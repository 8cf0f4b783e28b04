"""Expressions that are evaluated in the paused frame at every stop."""

from __future__ import annotations

from dash import html

from layouts.parts import section


def layout() -> html.Div:
    """The section; the page's script keeps the list."""
    return section("watches", "Watches", add="Add a watch expression")
