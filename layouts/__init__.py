"""The page: one file a panel, each with `layout()`, and `bind(app, session)` where Dash callbacks are needed.

Only what is not live goes through Dash: a callback's output remounts its children, and events written to a
Store overwrite each other. So the live regions here are empty frames with fixed ids, which the ES modules in
`assets/page/` fill from the websocket.

To serve it: `Dash(..., assets_folder=ASSETS, assets_ignore=layouts.ASSETS_IGNORE, title="dsviz")` with
`app.layout = layouts.plots()`, `layouts.bind_all(app, session)`, and an index that holds `layouts.page()` as HTML
and runs `assets/page/main.mjs`. (Dash itself must leave the modules alone: it loads every script as a classic one.)
The socket is expected at `page(live)`'s address, `/live` unless told otherwise.
"""

from __future__ import annotations

from typing import Any

from dash import html

from layouts import (
    breakpoints,
    console,
    engine,
    events,
    graph,
    inspector,
    iterations,
    memory,
    parameters,
    source,
    stack,
    toolbar,
    variables,
    watches,
)
from layouts.parts import grip

ASSETS_IGNORE = r"\.mjs$"

TABS = {
    "memory": "Memory",
    "iterations": "Iterations",
    "parameters": "Parameters",
    "engine": "Engine",
    "events": "Events",
    "console": "Console",
}


def page(live: str = "/live") -> html.Div:
    """The whole page. `live`: path of the websocket."""
    return html.Div(
        [
            toolbar.layout(),
            html.Div(id="banner", role="status", hidden=True),
            html.Div(id="notice", role="note", hidden=True),
            html.Main([source.layout(), graph.layout(), _bottom(), _side()], id="work"),
            html.Div(id="say", className="vh", role="status", **{"aria-live": "polite"}),
        ],
        id="app",
        **{"data-live": live},
    )


def plots() -> list[Any]:
    """What Dash draws, within the page."""
    return memory.plot()


def bind_all(app: Any, session: Any) -> None:
    """Register the callbacks of every panel that has some."""
    memory.bind(app, session)


def _side() -> html.Aside:
    lower = html.Div(
        [watches.layout(), variables.layout(), stack.layout(), breakpoints.layout()],
        id="lower",
        className="scrolls",
    )
    lower = html.Div([grip("--lower", "top", -1), lower], id="lower-frame")
    return html.Aside(
        [grip("--right", "left", -1), inspector.layout(), lower],
        id="side",
        className="pane",
        **{"aria-label": "Node, stack and breakpoints"},
    )


def _bottom() -> html.Section:
    tabs = [
        html.Button(
            [title, html.Span(id=f"count-{name}", className="count")],
            id=f"tab-{name}",
            className="tab",
            type="button",
            role="tab",
            **{"aria-selected": "false", "aria-controls": f"panel-{name}"},
        )
        for name, title in TABS.items()
    ]
    bar = html.Div(
        [
            html.Div(
                tabs,
                className="tabs",
                role="tablist",
                id="bottom-tabs",
                **{"aria-label": "Timeline and lists"},
            ),
            html.Span(className="grow"),
            html.Span(id="bottom-tools", style={"display": "flex", "gap": "6px", "alignItems": "center"}),
        ],
        className="bar",
    )
    panels = {
        "memory": memory,
        "iterations": iterations,
        "parameters": parameters,
        "engine": engine,
        "events": events,
        "console": console,
    }
    views = [
        html.Div(
            panels[name].layout(),
            id=f"panel-{name}",
            className="bview",
            role="tabpanel",
            **{"aria-labelledby": f"tab-{name}"},
        )
        for name in TABS
    ]
    return html.Section(
        [grip("--bottom", "top", -1), bar, *views],
        id="bottom",
        className="pane",
        **{"aria-label": "Memory, iterations, events and console"},
    )
