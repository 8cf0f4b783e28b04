"""The program's files: current line, notes of shapes, heat, breakpoints in the gutter."""

from __future__ import annotations

from dash import html

from layouts.parts import grip, icon_button, segments


def layout() -> html.Section:
    """File tabs and an empty list of lines, which `assets/page/source.mjs` fills."""
    bar = html.Div(
        [
            html.Div(id="source-tabs", className="tabs", role="tablist", **{"aria-label": "Files"}),
            html.Span(className="grow"),
            html.Span("Heat", className="dim", style={"fontSize": "11px", "marginRight": "4px"}),
            segments(
                "heat",
                "Heat of a line",
                [("ns", "time", "Time spent in the nodes of a line"), ("bytes", "bytes", "Bytes the nodes of a line made")],
                "ns",
                low=True,
            ),
            icon_button("btn-edit", "edit", "Edit this file", "", "small"),
        ],
        className="bar",
    )  # fmt: skip
    lines = html.Div(id="source-lines", tabIndex=0, role="list", **{"aria-label": "Source lines"})
    return html.Section(
        [bar, lines, grip("--left", "right", 1)], id="source", className="pane", **{"aria-label": "Source"}
    )
