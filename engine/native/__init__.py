"""C compiled on the person's machine: the system's compiler, run beside the program, and what it made, kept by content.

Hot regions (`engine.jit`) and the loops that come with the engine (`engine.dnn`) both go through here.
"""
