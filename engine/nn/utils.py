"""What works on the parameters of a network, or makes batches for it."""

from __future__ import annotations

from engine.nn.clip import clip_grad_norm_, clip_grad_value_
from engine.nn.sequence import pad_sequence

__all__ = ["clip_grad_norm_", "clip_grad_value_", "pad_sequence"]
