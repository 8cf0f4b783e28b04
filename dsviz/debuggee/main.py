"""The traced program's process, from its first moment to its last: `python -m dsviz.debuggee SCRIPT ARGS`."""

from __future__ import annotations

import atexit
import json
import os
import platform
import sys
from typing import Any

from dsviz import shadow
from dsviz.debuggee import hook, probes
from dsviz.debuggee.branches import Branch
from dsviz.debuggee.followed import Followed, after_fork
from dsviz.debuggee.link import tell
from dsviz.debuggee.script import Script
from dsviz.debuggee.stepper import Terminate

SETUP = "DSVIZ_SESSION"


class Debuggee(Followed):
    """A script that a session started, under the eyes of that session from its first line to its last."""

    def __init__(self, setup: dict[str, Any], script: Script) -> None:
        self.script = script
        try:
            super().__init__(setup)
        except OSError:
            if hasattr(self, "link"):
                self.link.channel.close()  # the session is told that the program goes on without it
            raise
        self._next_site = 1
        probes.install()
        self._sites: dict[int, Branch] = {}
        probes.listen(self._branch, self.tracer.turn, self.tracer.opened, self.tracer.left)
        self.finder = hook.Instrumenter(script.folder, self._instrument, _ours())

    def run(self) -> None:
        """Run the script; what it raises goes on to the interpreter."""
        self.script.enter()
        self.finder.install()
        os.register_at_fork(
            before=self.before_fork, after_in_parent=self._after_fork, after_in_child=self.in_child
        )
        atexit.register(self.at_exit)  # the first registered runs last, after the script's own
        self.begin({"python": platform.python_version(), "script": self.script.path, "args": sys.argv[1:]})
        self.stepper.follow_lines()
        self.script.run(self.finder.compiled, self.uncaught)

    def _instrument(self, tree: Any, path: str) -> Any:
        made, sites = probes.instrument(tree, path, self._next_site)
        self._next_site += len(sites)
        for site in sites:
            self.tracer.add_site(site, path)
            if site.construct == "if":
                self._sites[site.id] = Branch(site.label, path, site.line)
        return made

    def _branch(self, site: int, taken: bool) -> None:
        if self.tracer.level:
            self.tracer.branch(site, taken)
        if self.stepper.wants_branches:
            self.stepper.branch(site, self._sites[site], taken)

    def at_exit(self) -> None:
        """The program ends."""
        self.link.send({"t": "bye", "ends": True})
        super().at_exit()
        self.script.let_go()

    def on_gone(self) -> None:
        """The program goes on by itself."""
        super().on_gone()
        tell("the debugger is gone; the program goes on without it.")

    def let_go(self) -> None:
        """Neither trace, pause nor instrument any more."""
        super().let_go()
        self.finder.close()

    def _after_fork(self) -> None:
        if not self.link.gone:
            after_fork(self.listen_again)


def main() -> None:
    """Run the script named on the command line under the session that started this process."""
    setup = _setup()
    if setup is None or len(sys.argv) < 2:
        sys.stderr.write("dsviz.debuggee is started by a session. Use: dsviz run SCRIPT [ARGS...]\n")
        raise SystemExit(2)
    name, args = sys.argv[1], sys.argv[2:]
    # The way to our own packages was put there for this import only.
    if sys.path and sys.path[0] == shadow.ROOT:
        del sys.path[0]
    script = Script(name, args)
    hidden = shadow.hiding(script.folder)
    if hidden:
        sys.stderr.write(f"dsviz: {hidden}\n")
        raise SystemExit(2)
    try:
        debuggee = Debuggee(setup, script)
    except OSError as error:  # a full disk, or nobody at the other end any more
        tell(f"the debugger cannot follow the program ({error}); it runs without it.")
        script.enter()
        script.run(lambda source, path: compile(source, path, "exec", dont_inherit=True), lambda error: None)
        return
    try:
        debuggee.run()
    except Terminate:
        raise SystemExit(0) from None


def _setup() -> dict[str, Any] | None:
    text = os.environ.pop(SETUP, None)
    if text is None:
        return None
    if text.startswith("fd:"):
        with open(int(text[3:]), "rb") as pipe:
            text = pipe.readline().decode()
    setup: dict[str, Any] = json.loads(text)
    return setup


def _ours() -> list[str]:
    return [os.path.join(shadow.ROOT, name) for name in ("dsviz", "engine", "layouts")]
