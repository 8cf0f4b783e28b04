"""The debugger's web side: one local server, one page, one websocket."""
