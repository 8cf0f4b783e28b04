"""`dsviz diagnose SCRIPT`: the program runs once, watched, and what is wrong with it is named with its line.

`watch` sees the run and keeps a `Record`; each detector reads the record and tells `Finding`s. Detectors rest on
what the graph and the values show, never on the text of the program.
"""

from dsviz.diagnose.finding import Finding

__all__ = ["Finding"]
