"""The variables of the chosen frame: shapes of tensors, values of the rest."""

from __future__ import annotations

from dash import html

from layouts.parts import section


def layout() -> html.Div:
    """The section, asked for at every stop."""
    return section("variables", "Variables")
