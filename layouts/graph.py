"""The graph: one canvas drawn by the page's script, with its bar, legend, minimap and empty state."""

from __future__ import annotations

from dash import html

from layouts.parts import icon_button


def layout() -> html.Section:
    """The graph's frame; `assets/page/graph.mjs` puts the canvas into it."""
    bar = html.Div(
        [
            html.Button(id="colour-by", className="btn small plain", type="button", **{"aria-haspopup": "menu"}),
            html.Button(id="fold-to", className="btn small plain", type="button", **{"aria-haspopup": "menu"}),
            html.Span(id="current-node", className="mono ell grow", role="status", title="Where execution is"),
            html.Span(id="shown", className="dim", style={"fontSize": "11px", "margin": "0 6px"}),
            icon_button("btn-find", "find", "Find a node", "/", "small"),
            icon_button("btn-here", "here", "Go to where execution is", ".", "small"),
            html.Button(id="btn-show-all", className="btn small", type="button", title="Show all again  Shift+H", hidden=True),
            icon_button("btn-hide", "eye", "Hide the selection", "H", "small", disabled=True),
            icon_button("btn-isolate", "alone", "Isolate the selection", "I", "small", disabled=True),
            icon_button("btn-path", "pathi", "Highlight the path of the selection", "P", "small", pressed=False),
            icon_button("btn-save-picture", "save", "Save the graph as PNG, SVG or DOT", "", "small"),
        ],
        className="bar",
    )  # fmt: skip
    strip = html.Div(
        [
            html.Div(id="legend", className="legend"),
            icon_button("btn-zoom-out", "minus", "Zoom out", "-", "small"),
            html.Span("100 %", id="zoom", className="num"),
            icon_button("btn-zoom-in", "plus", "Zoom in", "+", "small"),
            icon_button("btn-fit", "fit", "Fit", "0", "small"),
        ],
        className="strip",
    )
    canvas = html.Div(
        id="canvas",
        tabIndex=0,
        role="application",
        **{
            "aria-roledescription": "graph",
            "aria-label": "Graph. Arrow keys follow edges, with Shift they select more, Enter folds, H hides, I isolates, P shows the path, slash finds, plus and minus zoom, 0 fits.",
        },
    )
    return html.Section([bar, canvas, strip], id="graph", className="pane", **{"aria-label": "Graph"})
