"""The commands that move a paused program: the debugger's verbs."""

from __future__ import annotations

import os
from typing import Any

from dsviz.stop import Stop


class Moving:
    """What a session can be told to do with its program. Each waits for the stop that follows, at most
    `timeout` seconds (None: as long as it takes; then TimeoutError), and raises `Refused` where it makes no sense.
    """

    def send(self, verb: str, **fields: Any) -> int:
        """Start a command; given by the session."""
        raise NotImplementedError

    def _wait(self, generation: int, timeout: float | None) -> Stop:
        raise NotImplementedError

    def _move(self, verb: str, timeout: float | None, **fields: Any) -> Stop:
        return self._wait(self.send(verb, **fields), timeout)

    def next(self, timeout: float | None = None) -> Stop:
        """Run exactly one node; stop before the next one, in whatever phase and module it is."""
        return self._move("next", timeout)

    def into(self, timeout: float | None = None) -> Stop:
        """Go to the next position: a module's entry or a node."""
        return self._move("into", timeout)

    def over(self, timeout: float | None = None) -> Stop:
        """Run what stands here whole, a module or a node; stop at this depth or a shallower one."""
        return self._move("over", timeout)

    def out(self, timeout: float | None = None) -> Stop:
        """Run until the module we are in has been left."""
        return self._move("out", timeout)

    def resume(self, timeout: float | None = None) -> Stop:
        """Run to the next breakpoint or the end."""
        return self._move("continue", timeout)

    def next_line(self, timeout: float | None = None) -> Stop:
        """Run the rest of this line, with all it calls; stop at the next line of this function, or of its
        callers, that runs an op. A whole `loss.backward()` is one line."""
        return self._move("next_line", timeout)

    def next_iteration(self, timeout: float | None = None) -> Stop:
        """Run to the first node of the next iteration."""
        return self._move("next_iteration", timeout)

    def run_to_node(self, node: int, timeout: float | None = None) -> Stop:
        """Run until node number `node` is about to run, or to a breakpoint before."""
        return self._move("run_to_node", timeout, node=node)

    def run_to_line(self, file: str | os.PathLike[str], line: int, timeout: float | None = None) -> Stop:
        """Run until an op or a module call of that line is about to run, or to a breakpoint before."""
        return self._move("run_to_line", timeout, file=os.fspath(file), line=line)

    def restart(self, timeout: float | None = None) -> Stop:
        """Run the same script again from its beginning, with the same arguments, breakpoints and switches."""
        return self._move("restart", timeout)
