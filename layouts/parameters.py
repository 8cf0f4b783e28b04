"""One row for each parameter: gradient norms and how far the steps move it."""

from __future__ import annotations

from dash import html


def layout() -> html.Div:
    """The table's frame; rows are asked for when the tab is opened and while it stays open."""
    return html.Div(
        id="parameters", className="grid", tabIndex=0, role="region", **{"aria-label": "Parameters"}
    )
