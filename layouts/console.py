"""The program's output, and a prompt that evaluates in the paused frame."""

from __future__ import annotations

from dash import html


def layout() -> html.Div:
    """Log and prompt. The script makes the prompt itself: a Dash input would send every keystroke back."""
    return html.Div(
        [
            html.Div(id="console-log", tabIndex=0, role="log", **{"aria-label": "Output"}),
            html.Div(id="console-form"),
        ],
        id="console",
    )
