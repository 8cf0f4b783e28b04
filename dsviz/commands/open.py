"""`dsviz open RUN.dsviz`: a recording in the same page as a live run."""

from __future__ import annotations

from dsviz.commands.recordings import opened
from dsviz.commands.usage import Parser, port


def main(words: list[str]) -> int:
    """Carry out `dsviz open` with these words; the page stays until Ctrl-C."""
    parser = Parser(
        prog="dsviz open",
        description="Look at a recording in the page: the graph, the memory, values and source as they were, at any moment of the run. "
        "Nothing is executed, and no file but the recording is read.",
        allow_abbrev=False,
    )
    parser.add_argument("recording", metavar="RUN.dsviz")
    parser.add_argument(
        "--port", type=port, metavar="N", help="port of the page on 127.0.0.1 (0: any free one)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address, do not open the browser"
    )
    given = parser.parse_args(words)
    opened(given.recording).close()  # what is wrong with it is told before a port is taken
    from dsviz.web.launch import show

    return show(given.recording, given.port, not given.no_browser)
