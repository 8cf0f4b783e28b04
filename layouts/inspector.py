"""What is known of the chosen node."""

from __future__ import annotations

from dash import html


def layout() -> html.Div:
    """An empty inspector that says what it is for."""
    return html.Div(id="inspector", tabIndex=0, role="region", **{"aria-label": "Inspector"})
