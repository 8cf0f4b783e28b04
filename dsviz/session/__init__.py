"""A debugging session: one script, run in a process of its own, stepped and watched from here.

with Session.launch("train.py") as session:
    stop = session.wait()          # before the first node
    stop = session.next()          # one node on
    session.resume()               # to the end, or the next breakpoint
"""

from dsviz.process import LaunchError
from dsviz.session.commands import MOVES
from dsviz.session.refused import Refused
from dsviz.session.session import Session
from dsviz.stop import Stop

__all__ = ["MOVES", "LaunchError", "Refused", "Session", "Stop"]
