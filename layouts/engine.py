"""What the engine does by itself: its configuration, types, reused results, partitions, drift."""

from __future__ import annotations

from dash import html


def layout() -> html.Div:
    """The frame; a view is asked for when the tab is opened and while it stays open."""
    return html.Div(
        id="engine", className="grid", tabIndex=0, role="region", **{"aria-label": "What the engine does by itself"}
    )  # fmt: skip
