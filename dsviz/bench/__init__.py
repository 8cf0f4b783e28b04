"""The benchmark behind `dsviz bench`: the same training step in this engine and in PyTorch, side by side."""
