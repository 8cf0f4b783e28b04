"""Inside the traced program: follows the engine's events, pauses the program, runs the script."""
