"""Live bytes by category over time: what was alive, when, and what the peak was made of.

The figure is a pure function of the view model in `dsviz.query.memory`; a Dash callback draws it whenever
the page's script moves the tick, at most five times a second while the program runs.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
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
        "forward": "#e1e7f0", "backward": "#f0e0f5", "update": "#d8ede4", "fwd": "#3f5f8a", "bwd": "#85399a", "opt": "#0a6e4c",
    },
    "dark": {
        "parameters": "#3f83cf", "optimizer": "#8fd3ee", "gradients": "#7a4a88", "saved": "#d7a04f",
        "activations": "#2f6a47", "inputs": "#a99bd0", "workspace": "#8f959b",
        "panel": "#181b20", "line": "#262a32", "line2": "#3b424e", "ink": "#e7eaef", "ink3": "#8d97a5", "now": "#f0bd2b",
        "forward": "#262f3d", "backward": "#35263b", "update": "#1c332c", "fwd": "#9db8de", "bwd": "#d39ae2", "opt": "#50c79c",
    },
}  # fmt: skip
UNITS = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"), (1, "B")]
MONO = 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace'
SANS = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'


def layout() -> list[Any]:
    """The timeline's place, where Dash moves in with `plot`, and its legend."""
    waiting = [html.B("No memory used yet"), html.Br(), "The first allocation starts the timeline."]
    return [
        html.Div(
            html.Div(html.Div(waiting, id="memory-figure", className="waiting"), id="react-entry-point"),
            id="memory-timeline",
        ),
        html.Div(id="memory-legend", className="mleg", tabIndex=0, role="region", **{"aria-label": "Memory now and at the peak"}),
    ]  # fmt: skip


def plot() -> list[Any]:
    """The timeline itself, and the tick that has it drawn."""
    return [
        dcc.Graph(
            id="memory-figure",
            figure=figure(EMPTY),
            responsive=True,
            config={
                "displayModeBar": False,
                "displaylogo": False,
                "scrollZoom": True,
                "doubleClick": "reset",
            },
        ),
        dcc.Store(id="memory-tick"),
    ]


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
LONG = 10e9  # nanoseconds from which on a run is told in seconds

EMPTY: dict[str, Any] = {"axis": "time", "x": [], "series": {}, "peak": None, "iterations": []}


def figure(view: dict[str, Any], theme: str = "light") -> dict[str, Any]:
    """A plotly figure of stacked bytes, with the phases above it and the peak explained.

    `view`: `x` (nanoseconds or event numbers), `series` {category: bytes at each x}, `peak` (None or
    {"x", "bytes", ...}) and `bands` of phases, as `dsviz.query.memory` makes it; `contrast` (`x`, `total`) is the same
    program with the memory optimisation the other way round. Times are told from the first
    allocation on; `layout.meta.origin` is that instant, and `layout.meta.ns` the nanoseconds of the unit on the axis.
    """
    colour = COLOURS["dark" if theme == "dark" else "light"]
    shown = bands(view)
    by_events = view.get("axis") == "events"
    origin = view["x"][0] if view["x"] and not by_events else 0
    tick_ns, tick_name = (1e9, "s") if view["x"] and view["x"][-1] - origin >= LONG else (1e6, "ms")

    def place(x: float) -> float:
        return x if by_events else (x - origin) / tick_ns

    xs = [place(x) for x in view["x"]]
    columns = zip(*(values for _, _, values in shown), strict=True)
    other = view.get("contrast") or {"x": [], "total": []}
    top = max(max((sum(column) for column in columns), default=0.0), max(other["total"], default=0.0))
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
            "meta": key,
        }
        for key, title, values in shown
    ]
    if other["x"]:
        traces.append(
            {
                "type": "scatter", "mode": "lines",
                "name": f"{'With' if other['optimised'] else 'Without'} the optimisation",
                "x": [place(x) for x in other["x"]],
                "y": [value / size for value in other["total"]],
                "line": {"width": 1.1, "color": colour["ink"], "shape": "hv"},
                "hovertemplate": f"{'with' if other['optimised'] else 'without'} optimisation %{{y:.2f}} {unit}<extra></extra>",
                "meta": "contrast",
            }
        )  # fmt: skip
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
    else:
        for band in view.get("bands", ()):
            strip, label = _phase(band, place, xs, colour)
            shapes.extend(strip)
            annotations.extend(label)
        shapes.append(_upright(xs[-1], colour["now"], "solid", 1.5))
        if peak := view.get("peak"):
            at, height = place(peak["x"]), peak["bytes"] / size
            shapes.append(_upright(at, colour["ink"], "dot", 1.0, STRIP))
            annotations.append(
                _peak(peak, at, height, unit, late=at > xs[0] + (xs[-1] - xs[0]) * 0.6, colour=colour)
            )
    tick = {"family": MONO, "size": 9.5, "color": colour["ink3"]}
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 62, "r": 10, "t": 4, "b": 18},
            "paper_bgcolor": colour["panel"],
            "plot_bgcolor": colour["panel"],
            "showlegend": False,
            "hovermode": "x unified",
            "hoverlabel": {"font": {"size": 11, "family": SANS}, "bgcolor": colour["panel"], "bordercolor": colour["line2"]},
            "xaxis": {
                "ticksuffix": "" if by_events else f" {tick_name}", "tickfont": tick, "showgrid": False,
                "zeroline": False, "visible": bool(traces),
            },
            "yaxis": {
                "ticksuffix": f" {unit}", "tickfont": tick, "gridcolor": colour["line"], "zeroline": False,
                "range": [0, 1.16 * top / size or 1], "nticks": 4, "visible": bool(traces), "fixedrange": True, "domain": [0, STRIP],
            },
            "shapes": shapes,
            "annotations": annotations,
            "uirevision": f"{view.get('axis', 'time')} {tick_name}",
            "dragmode": "pan",
            "meta": {"origin": origin, "ns": tick_ns},
        },
    }  # fmt: skip


STRIP = 0.88  # the phases are told above this share of the height
SEEN, READ = 0.004, 0.075  # shares of the width from which a phase is drawn, and named
PHASES = {"forward": ("forward", "fwd"), "backward": ("backward", "bwd"), "optimizer": ("update", "opt")}


def _phase(
    band: dict[str, Any], place: Callable[[float], float], xs: list[float], colour: dict[str, str]
) -> tuple[list[Any], list[Any]]:
    """The strip of one phase above the timeline, and its name where there is room."""
    start, end = max(place(band["from"]), xs[0]), min(place(band["to"]), xs[-1])
    share = (end - start) / ((xs[-1] - xs[0]) or 1)
    if share < SEEN:
        return [], []
    ground, ink = PHASES[band["phase"]]
    strip = {
        "type": "rect", "x0": start, "x1": end, "y0": STRIP + 0.025, "y1": 1, "yref": "paper", "layer": "below",
        "fillcolor": colour[ground], "line": {"width": 1, "color": colour["panel"]},
    }  # fmt: skip
    if share < READ:
        return [strip], []
    text = f"<b>{band['phase']}</b> {band['iteration']}"
    label = {
        "text": text, "x": start, "y": 1, "yref": "paper", "xanchor": "left",
        "yanchor": "top", "showarrow": False, "xshift": 2, "yshift": 3, "font": {"size": 9.5, "color": colour[ink], "family": SANS},
    }  # fmt: skip
    return [strip], [label] if share > 0.012 * len(text) - 0.06 else []


def _peak(
    peak: dict[str, Any], at: float, height: float, unit: str, late: bool, colour: dict[str, str]
) -> dict[str, Any]:
    """A flag at the peak: how much, and which node asked for the last of it. Names are text, never markup."""
    who = escape(str(peak.get("op") or peak.get("name") or ""))[:40]
    module = f" in {escape(str(peak['module']))[:40]}" if peak.get("module") else ""
    line = f":{peak['line']}" if peak.get("line") else ""
    text = f"<b>Peak {height:.3g} {unit}</b>" + (
        f"<br>{who}{module}{', line ' + line[1:] if line else ''}" if who else ""
    )
    return {
        "text": text, "x": at, "y": height, "showarrow": False, "align": "left",
        "xanchor": "right" if late else "left", "yanchor": "top", "xshift": -6 if late else 6, "yshift": 6,
        "font": {"size": 10.5, "color": colour["ink"], "family": SANS},
        "bgcolor": colour["panel"], "bordercolor": colour["line2"], "borderpad": 3,
    }  # fmt: skip


def _upright(x: float, colour: str, dash: str, width: float, top: float = 1.0) -> dict[str, Any]:
    return {
        "type": "line", "x0": x, "x1": x, "y0": 0, "y1": top, "yref": "paper",
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
        other = session.contrast.course(axis) if session.contrast is not None else None
        if other is not None:
            view["contrast"] = {**other, "optimised": session.contrast.status()["optimised"]}
        return figure(view, "dark" if tick.get("theme") == "dark" else "light")
