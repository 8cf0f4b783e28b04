"""Puts the file together: shell, styles, script and data, under a policy that lets nothing in or out."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib
import os
from html import escape

import msgspec

from dsviz import shadow
from dsviz.onefile.content import content
from dsviz.onefile.script import bundle
from dsviz.onefile.shell import Shell

_PLACES = [os.path.join(shadow.ROOT, *parts) for parts in (["assets"], ["dsviz", "assets"])]
ASSETS = next((place for place in _PLACES if os.path.isdir(place)), _PLACES[0])


def html(path: str, name: str = "") -> str:
    """The recording `path` (called `name` where its own name tells nothing) as the text of one HTML file that needs no server, no network and no dsviz.

    Raises RecordingError where the file is no recording.
    """
    data = {**content(path), **({"name": name} if name else {})}
    shadow.load_own("layouts")
    shell = Shell()
    body = shell.text(importlib.import_module("layouts").page(live=""))
    css = "".join(_read(name) for name in ("tokens.css", "page.css")) + shell.css
    script = bundle(os.path.join(ASSETS, "page"), "onefile.mjs")
    # What a run calls itself stays text: the data is base64, and the script and styles are ours.
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(data), 6)).decode()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(css)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = escape(f"{data['name']} \u00b7 dsviz")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{css}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/octet-stream" id="run">{packed}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _read(name: str) -> str:
    with open(os.path.join(ASSETS, name), encoding="utf-8") as file:
        return file.read()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
