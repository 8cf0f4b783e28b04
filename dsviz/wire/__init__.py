"""How the traced program and the debugger talk: event rings one way, a control channel both ways."""
