"""The page: a Dash app on FastAPI, with our websocket beside it and the gate in front of all.

Dash serves the page and whatever is not live (plots, mostly); what is live goes through
`/live`. Nothing comes from another server: scripts and styles are Dash's own copies and `assets/`.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
from collections.abc import Callable
from typing import Any

import dash
from dash.backends._fastapi import FastAPIDashServer
from dash.exceptions import DependencyException, InvalidResourceError
from fastapi import FastAPI, Request, Response, WebSocket

from dsviz import shadow
from dsviz.web.index import PREFIX, App, Script
from dsviz.web.live import Live
from dsviz.web.security import Gate, Keys

_PLACES = [os.path.join(shadow.ROOT, *parts) for parts in (["assets"], ["dsviz", "assets"])]
ASSETS = next((place for place in _PLACES if os.path.isdir(place)), _PLACES[0])


class _Server(FastAPIDashServer):  # type: ignore[misc]
    """Dash's FastAPI backend, without FastAPI's documentation pages (they load remote scripts)."""

    websocket_capability = False  # Dash's own websocket: ours is /live

    @staticmethod
    def create_app(name: str = "dsviz", config: dict[str, Any] | None = None) -> FastAPI:
        """The bare application."""
        return FastAPI(title=name, docs_url=None, redoc_url=None, openapi_url=None)

    def serve_callback(self, dash_app: dash.Dash) -> Callable[[Request], Any]:
        """Callbacks run in a thread: in the event loop a slow plot would hold up every step."""
        dispatch = super().serve_callback(dash_app)

        async def in_thread(request: Request) -> Any:
            return await asyncio.to_thread(lambda: asyncio.run(dispatch(request)))

        return in_thread


def build(layouts: Any, session: Any, live: Live, keys: Keys) -> Gate:
    """The whole web side as one ASGI application.

    `layouts` is our package of that name: `page()`, `plots()`, `bind_all(app, session)` and `ASSETS_IGNORE`.
    """
    for ending in (".js", ".mjs"):  # some systems' tables say text/plain, which browsers then refuse
        mimetypes.add_type("text/javascript", ending)
    # Every setting that Dash would otherwise look for in the environment is given here.
    app = App(
        "dsviz",
        backend=_Server,
        assets_folder=ASSETS,
        assets_ignore=layouts.ASSETS_IGNORE,
        assets_external_path="",
        url_base_pathname="/",
        serve_locally=True,
        compress=False,
        include_assets_files=True,
        suppress_callback_exceptions=True,
        title="dsviz",
        update_title="",
        add_log_handler=False,
        enable_mcp=False,
        use_pages=False,
    )
    app.enable_dev_tools(
        debug=False,
        dev_tools_ui=False,
        dev_tools_props_check=False,
        dev_tools_serve_dev_bundles=False,
        dev_tools_hot_reload=False,
        dev_tools_silence_routes_logging=True,
        dev_tools_disable_version_check=True,
        dev_tools_prune_errors=False,
        dev_tools_validate_callbacks=False,
    )
    app.logger.setLevel(logging.WARNING)
    app.shell = layouts.page()
    app.script = Script(os.path.join(ASSETS, "page")).refresh()
    app.layout = layouts.plots()
    layouts.bind_all(app, session)
    server: FastAPI = app.server

    async def serve_script(request: Request) -> Response:
        if request.path_params["name"] != app.script.name:
            return await _not_found(request, KeyError())
        return Response(
            app.script.text,
            media_type="text/javascript",
            headers={"cache-control": "private, max-age=31536000, immutable"},
        )

    async def serve_live(socket: WebSocket) -> None:
        await live.serve(socket)

    server.add_api_websocket_route("/live", serve_live)
    server.add_route(PREFIX + "{name}", serve_script)
    for missing in (DependencyException, InvalidResourceError):  # asked for a file that Dash has not
        server.add_exception_handler(missing, _not_found)
    app._setup_server()  # reads assets now, so that the first request need not
    return Gate(server, keys, app.csp_hashes())


async def _not_found(_request: Request, _error: Exception) -> Response:
    return Response("dsviz: there is no such file.\n", status_code=404, media_type="text/plain")
