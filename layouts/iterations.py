"""One row for each iteration of the training loop."""

from __future__ import annotations

from dash import html


def layout() -> html.Div:
    """The table's frame; rows are asked for when the tab is opened and while it stays open."""
    return html.Div(
        id="iterations", className="grid", tabIndex=0, role="region", **{"aria-label": "Iterations"}
    )
