"""Live bytes by category over time: what was alive, when, and what the peak was made of.

The figure is a pure function of the view model in `dsviz.query.memory`; a Dash callback draws it whenever
the page's script moves the tick, at most five times a second while the program runs.
"""

from __future__ import annotations

from typing import Any

from dash import Input, Output, dcc, html, no_update

# Bottom to top. Plotly cannot read CSS variables, so the memory colours of tokens.css stand here again
# (a test compares the two).
CATEGORIES = [
    ("parameters", "Parameters"),
    ("optimizer", "Optimizer"),
    ("gradients", "Gradients"),
    ("saved", "Saved for backward"),
    ("activations", "Activations"),
    ("inputs", "Inputs"),
    ("workspace", "Workspace"),
]
COLOURS = {
    "light": {
        "parameters": "#3f82d6", "optimizer": "#a3dcf0", "gradients": "#70437d", "saved": "#e0a04a",
        "activations": "#2f6341", "inputs": "#c5b8e8", "workspace": "#8f959b",
        "panel": "#fff", "line": "#e4e7ec", "line2": "#cbd1da", "ink": "#1a1f28", "ink3": "#626c7b", "now": "#f2b90f",
    },
    "dark": {
        "parameters": "#3f83cf", "optimizer": "#8fd3ee", "gradients": "#7a4a88", "saved": "#d7a04f",
        "activations": "#2f6a47", "inputs": "#a99bd0", "workspace": "#8f959b",
        "panel": "#181b20", "line": "#262a32", "line2": "#3b424e", "ink": "#e7eaef", "ink3": "#8d97a5", "now": "#f0bd2b",
    },
}  # fmt: skip
UNITS = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"), (1, "B")]
MONO = 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace'
SANS = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'


def layout() -> list[Any]:
    """The timeline and its legend."""
    return [
        html.Div(
            [
                dcc.Graph(
                    id="memory-figure",
                    figure=figure(EMPTY),
                    responsive=True,
                    config={"displayModeBar": False, "displaylogo": False, "scrollZoom": True, "doubleClick": "reset"},
                ),
                dcc.Store(id="memory-tick"),
            ],
            id="memory-timeline",
        ),
        html.Div(id="memory-legend", className="mleg", tabIndex=0, role="region", **{"aria-label": "Memory now and at the peak"}),
    ]  # fmt: skip


def unit_of(nbytes: float) -> tuple[int, str]:
    """The largest unit that shows `nbytes` as at least one.

    >>> unit_of(3_500_000)
    (1048576, 'MB')
    """
    return next(((size, name) for size, name in UNITS if nbytes >= size), (1, "B"))


def bands(view: dict[str, Any]) -> list[tuple[str, str, list[float]]]:
    """(key, title, bytes at each instant) of the categories that ever held something, bottom to top."""
    series: dict[str, list[float]] = view.get("series") or {}
    return [(key, title, series[key]) for key, title in CATEGORIES if any(series.get(key, ()))]


# Points of the timeline: plotly redraws 80 within a frame, and no more is seen while it moves.
FEW, MANY = 80, 400

EMPTY: dict[str, Any] = {"axis": "time", "x": [], "series": {}, "peak": None, "iterations": []}


def figure(view: dict[str, Any], theme: str = "light") -> dict[str, Any]:
    """A plotly figure of stacked bytes.

    `view`: `x` (nanoseconds or event numbers), `series` {category: bytes at each x}, `peak` (None or
    {"x", "bytes", ...}) and `iterations` [(x, index)], as `dsviz.query.memory` makes it.
    """
    colour = COLOURS["dark" if theme == "dark" else "light"]
    shown = bands(view)
    xs = [x / 1e6 for x in view["x"]] if view.get("axis") != "events" else list(view["x"])
    columns = zip(*(values for _, _, values in shown), strict=True)
    top = max((sum(column) for column in columns), default=0.0)
    size, unit = unit_of(top)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": title,
            "x": xs,
            "y": [value / size for value in values],
            "stackgroup": "bytes",
            "fillcolor": colour[key],
            "line": {"width": 0.6, "color": colour["panel"], "shape": "hv"},
            "hovertemplate": f"{title} %{{y:.2f}} {unit}<extra></extra>",
        }
        for key, title, values in shown
    ]
    annotations: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    if not traces:
        annotations.append(
            {
                "text": "<b>No memory used yet</b><br>The first allocation starts the timeline.",
                "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5,
                "font": {"size": 12, "color": colour["ink3"], "family": SANS},
            }
        )  # fmt: skip
    peak = view.get("peak")
    if traces and peak:
        at = peak["x"] / 1e6 if view.get("axis") != "events" else peak["x"]
        height = peak["bytes"] / size
        shapes.append(_upright(at, colour["ink"], "dot", 1.0))
        late = bool(xs) and at > xs[0] + (xs[-1] - xs[0]) * 0.7
        annotations.append(
            {
                "text": f"<b>Peak {height:.3g} {unit}</b>", "x": at, "y": height, "showarrow": False,
                "xanchor": "right" if late else "left", "yanchor": "bottom", "xshift": -5 if late else 5, "yshift": -4,
                "font": {"size": 11, "color": colour["ink"], "family": SANS},
                "bgcolor": colour["panel"], "bordercolor": colour["line2"], "borderpad": 3,
            }
        )  # fmt: skip
    if traces:
        shapes.append(_upright(xs[-1], colour["now"], "solid", 1.5))
    for x, _index in view.get("iterations", [])[-(60 if len(view["x"]) > FEW else 8) :]:
        shapes.append(_upright(x / 1e6 if view.get("axis") != "events" else x, colour["line2"], "dash", 1.0))
    tick = {"family": MONO, "size": 9.5, "color": colour["ink3"]}
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 62, "r": 10, "t": 8, "b": 18},
            "paper_bgcolor": colour["panel"],
            "plot_bgcolor": colour["panel"],
            "showlegend": False,
            "hovermode": "x unified",
            "hoverlabel": {"font": {"size": 11, "family": SANS}, "bgcolor": colour["panel"], "bordercolor": colour["line2"]},
            "xaxis": {
                "ticksuffix": "" if view.get("axis") == "events" else " ms", "tickfont": tick, "showgrid": False,
                "zeroline": False, "visible": bool(traces),
            },
            "yaxis": {
                "ticksuffix": f" {unit}", "tickfont": tick, "gridcolor": colour["line"], "zeroline": False,
                "rangemode": "tozero", "nticks": 4, "visible": bool(traces), "fixedrange": True,
            },
            "shapes": shapes,
            "annotations": annotations,
            "uirevision": view.get("axis", "time"),
            "dragmode": "pan",
        },
    }  # fmt: skip


def _upright(x: float, colour: str, dash: str, width: float) -> dict[str, Any]:
    return {
        "type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper",
        "line": {"color": colour, "width": width, "dash": dash},
    }  # fmt: skip


def bind(app: Any, session: Any) -> None:
    """Redraw the timeline at each tick."""
    from dsviz.query import memory

    @app.callback(Output("memory-figure", "figure"), Input("memory-tick", "data"), prevent_initial_call=True)  # type: ignore[untyped-decorator]
    def redraw(tick: dict[str, Any] | None) -> Any:
        if not isinstance(tick, dict):
            return no_update
        axis = "events" if tick.get("axis") == "events" else "time"
        store = session.store
        with store.lock:
            view = memory.timeline(store, axis, FEW if tick.get("running") else MANY)
        return figure(view, "dark" if tick.get("theme") == "dark" else "light")
