"""Small pieces that several panels share. Icons are drawn by the page's script where `data-icon` asks for one."""

from __future__ import annotations

from typing import Any

from dash import html


def icon_button(
    id: str,
    icon: str,
    label: str,
    keys: str = "",
    kind: str = "",
    disabled: bool = False,
    pressed: bool | None = None,
) -> html.Button:
    """A button that shows only an icon; its name and keys are in the label and the tooltip."""
    spoken: dict[str, Any] = {"aria-label": label, "data-icon": icon}
    if keys:
        spoken["aria-keyshortcuts"] = keys.replace("Ctrl", "Control")
    if pressed is not None:
        spoken["aria-pressed"] = str(pressed).lower()
    title = f"{label}  {keys}" if keys else label
    return html.Button(
        id=id,
        className=f"ib {kind}".strip(),
        title=title,
        disabled=disabled,
        type="button",
        **spoken,
    )


def segments(
    id: str, label: str, choices: list[tuple[str, str, str]], chosen: str, low: bool = False
) -> html.Span:
    """A row of exclusive choices: (value, text, tooltip) each."""
    buttons = [
        html.Button(
            text,
            id=f"{id}-{value}",
            title=tip,
            type="button",
            role="radio",
            **{"aria-checked": str(value == chosen).lower(), "data-value": value},
        )
        for value, text, tip in choices
    ]
    return html.Span(
        buttons, id=id, className="seg low" if low else "seg", role="radiogroup", **{"aria-label": label}
    )


def section(id: str, title: str, add: str = "", more: str = "") -> html.Div:
    """A folding section of the side panel; the page's script fills `id`. `add`, `more`: labels of its plus and menu buttons."""
    head: list[Any] = [
        html.Button(
            [html.Span(className="chevron", **{"data-icon": "chev"}), title],
            className="fold",
            type="button",
            **{"aria-expanded": "true", "aria-controls": id},
        )
    ]
    if add:
        head.append(icon_button(f"{id}-add", "plus", add, kind="small"))
    if more:
        head.append(icon_button(f"{id}-more", "dots", more, kind="small"))
    return html.Div([html.Div(head, className="sh"), html.Div(id=id)], className=f"sec of-{id}")


def grip(variable: str, edge: str, grows: int) -> html.Div:
    """A handle that resizes a panel: the CSS `variable` it sets, the `edge` it sits on, +1 or -1 for the way it grows."""
    upright = edge in ("left", "right")
    return html.Div(
        className=f"grip {'v' if upright else 'h'} at-{edge}",
        role="separator",
        tabIndex=0,
        title="Drag, or use the arrow keys; double click resets",
        **{
            "aria-label": "Resize panel",
            "aria-orientation": "vertical" if upright else "horizontal",
            "data-variable": variable,
            "data-grows": str(grows),
        },
    )
