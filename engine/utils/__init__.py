"""Helpers around training, under PyTorch's names."""

from engine.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
