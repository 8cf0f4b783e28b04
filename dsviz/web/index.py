"""The page's HTML: whole when it arrives, so that it can be used before Dash's scripts have run.

Dash would send an empty page and draw the shell itself, after React, its renderer and plotly: over a second of
work before the first button. So the shell is sent as HTML, with our own modules as one script, and Dash's scripts
lie in a `<template>`, where a browser leaves them alone. `assets/page/plots.mjs` starts them when a plot is wanted;
Dash then takes over `#react-entry-point`, which stands in the memory panel.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import dash

from dsviz.onefile.script import bundle
from dsviz.onefile.shell import Shell

PREFIX = "/page/"


class Script:
    """Our modules as one script. Its name holds a hash of its text, so a browser may keep it for good."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._stamp: list[tuple[str, int]] = []
        self.name = self.text = ""

    def refresh(self) -> Script:
        """Make it anew where a module was changed."""
        with os.scandir(self._folder) as files:
            stamp = sorted((file.name, file.stat().st_mtime_ns) for file in files)
        if stamp != self._stamp:
            self.text = bundle(self._folder, "main.mjs")
            self.name = f"dsviz-{hashlib.sha256(self.text.encode()).hexdigest()[:16]}.js"
            self._stamp = stamp
        return self


class App(dash.Dash):  # type: ignore[misc]
    """A Dash app whose page is `shell`, a component, with `script`; Dash itself comes later."""

    shell: Any = None
    script: Script

    def interpolate_index(self, **parts: str) -> str:
        """The page. Dash checks that its own parts are in it."""
        shell = Shell()
        body = shell.text(self.shell)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{parts["title"]}</title>\n'
            f"{parts['css']}\n<style>{shell.css}</style>\n{parts['favicon']}\n"
            f'<script defer src="{PREFIX}{self.script.refresh().name}"></script>\n</head>\n<body>\n{body}\n'
            f'<template id="dash">{parts["config"]}{parts["scripts"]}{parts["renderer"]}</template>\n</body>\n</html>\n'
        )
