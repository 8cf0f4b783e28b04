"""The page's shell without Dash: components as HTML text, their styles as classes."""

from __future__ import annotations

from html import escape
from typing import Any

_VOID = {"input", "br", "hr", "img"}
_ATTRIBUTES = {"className": "class", "tabIndex": "tabindex", "htmlFor": "for"}


class Shell:
    """Turns components into text. `css` then holds the rules for their styles: a page without inline styles obeys a strict CSP.

    >>> from dash import html
    >>> shell = Shell()
    >>> shell.text(html.Span(["a < b", html.Br()], style={"fontSize": "11px"}, hidden=True))
    '<span hidden class="style-1">a &lt; b<br></span>'
    >>> shell.css
    '.style-1 { font-size: 11px; }\\n'
    """

    def __init__(self) -> None:
        self.css = ""
        self._styles: dict[str, str] = {}

    def text(self, component: Any) -> str:
        """A component and what is in it. Plots and stores, which need Dash, are empty boxes with their ids."""
        if component is None:
            return ""
        if isinstance(component, list | tuple):
            return "".join(map(self.text, component))
        if not hasattr(component, "to_plotly_json"):
            return escape(str(component), quote=False)
        record = component.to_plotly_json()
        known = dict(record["props"])
        children = known.pop("children", None)
        plain = record["namespace"] == "dash_html_components"
        tag = record["type"].lower() if plain else "div"
        if not plain:
            known, children = {"id": known.get("id")}, None
        style = known.pop("style", None)
        if style:
            known["className"] = " ".join(filter(None, [known.get("className"), self._class(style)]))
        start = f"<{tag}{''.join(self._attribute(name, value) for name, value in known.items())}>"
        return start if tag in _VOID else f"{start}{self.text(children)}</{tag}>"

    def _class(self, style: dict[str, Any]) -> str:
        rules = "".join(f" {_dashed(name)}: {value};" for name, value in style.items())
        if rules not in self._styles:
            self._styles[rules] = f"style-{len(self._styles) + 1}"
            self.css += f".{self._styles[rules]} {{{rules} }}\n"
        return self._styles[rules]

    def _attribute(self, name: str, value: Any) -> str:
        if value is None or value is False:
            return ""
        name = _ATTRIBUTES.get(name, name)
        return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _dashed(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
