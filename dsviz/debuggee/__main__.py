"""`python -m dsviz.debuggee SCRIPT ARGS`, started by a session."""

from dsviz.debuggee.main import main

main()
