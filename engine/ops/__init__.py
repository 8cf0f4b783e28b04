"""The ops: one record each, and the function people call."""
