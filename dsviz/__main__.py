"""`python -m dsviz` is the command `dsviz`."""

import os
import sys

from dsviz.shadow import ROOT


def _forget_current_folder() -> None:
    # `python -m` looks for modules in the current folder first. The command `dsviz` does not, and
    # the debugger's own modules must not be replaced by whatever lies where it was started.
    if not sys.path or getattr(sys.flags, "safe_path", False):
        return
    if os.path.abspath(sys.path[0]) == os.getcwd() != ROOT:
        del sys.path[0]


if __name__ == "__main__":
    _forget_current_folder()
    from dsviz.cli import main

    sys.exit(main())
