"""The bar across the top: verbs, what state the program is in, phase, overhead, trace level, search, theme."""

from __future__ import annotations

from dash import html

from layouts.parts import icon_button, segments

VERBS = [
    ("continue", "cont", "Continue", "F8", "go"),
    ("pause", "pause", "Pause", "F8", ""),
    ("next", "next", "Next node", "F10", ""),
    ("into", "into", "Step into module", "F11", ""),
    ("over", "over", "Step over module", "Shift+F10", ""),
    ("out", "out", "Step out", "Shift+F11", ""),
    ("step_back", "back", "Step back", "F7", ""),
    ("reverse_continue", "reverse", "Back to the stop or breakpoint before", "Shift+F7", ""),
    ("", "", "", "", ""),
    ("restart", "restart", "Restart", "Ctrl+Shift+F5", ""),
    ("stop", "stop", "Stop", "Shift+F5", "stop"),
    ("", "", "", "", ""),
]

LEVELS = [
    ("0", "0", "0  Off: nothing is recorded, breakpoints still stop"),
    ("1", "1", "1  Operations: op, shapes, time, bytes"),
    ("2", "2", "2  Tensors: also statistics and values"),
]


def layout() -> html.Header:
    """The toolbar, with every verb off until the page is connected."""
    verbs = [
        icon_button(f"btn-{verb}", icon, label, keys, kind, disabled=True)
        if verb
        else html.Span(className="sep")
        for verb, icon, label, keys, kind in VERBS
    ]
    state = html.Span(
        [
            html.Span(className="dot"),
            html.Span("starting", id="run-state", className="vh"),
            html.Span("Starting", id="stop-reason", className="ell"),
        ],
        id="state-chip",
        className="chip",
        role="status",
    )
    return html.Header(
        [
            html.Span("dsviz", className="brand", **{"data-icon": "brand"}),
            *verbs,
            state,
            html.Span([html.Span(id="script-name", className="b"), html.Span(id="script-args", className="dim wide ell")], className="script"),
            html.Span([html.Span("Iteration", className="dim"), html.Span("-", id="iteration", className="b num")], className="kv"),
            html.Span(
                [html.Span(name, id=f"phase-{name}", className="wide") for name in ("forward", "backward", "optimizer")],
                id="phases",
                className="phases",
                **{"aria-label": "Phase"},
            ),
            html.Span(className="grow"),
            html.Progress(id="busy", hidden=True, title="dsviz is at work"),
            html.Button(
                [html.Span("Overhead", className="dim wide"), html.Span(id="overhead", className="num"), html.Span(className="chevron", **{"data-icon": "chev"})],
                id="btn-tracing",
                className="kv tracing",
                type="button",
                hidden=True,
                title="Tracing: what it costs, levels, samples, switches and the configuration in force",
                **{"aria-haspopup": "dialog", "aria-expanded": "false", "aria-label": "Tracing and its overhead"},
            ),
            html.Span(
                [html.Span("Trace", className="dim wide"), segments("trace-level", "Trace level", LEVELS, "1")],
                className="kv",
                style={"alignItems": "center", "marginLeft": "10px"},
            ),
            html.Button(
                [html.Span(**{"data-icon": "find"}), html.Span("Search or run", className="grow"), html.Kbd("Ctrl K")],
                id="btn-search",
                className="search",
                type="button",
                title="Search nodes, files and commands  Ctrl+K",
                **{"aria-keyshortcuts": "Control+K", "aria-label": "Search or run"},
            ),
            icon_button("btn-theme", "moon", "Light or dark"),
        ],
        id="toolbar",
        role="toolbar",
        **{"aria-label": "Run controls"},
    )  # fmt: skip
