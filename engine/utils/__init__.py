"""Helpers around training, under PyTorch's names."""

from engine.utils import checkpoint

__all__ = ["checkpoint"]
