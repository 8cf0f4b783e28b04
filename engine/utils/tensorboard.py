"""`SummaryWriter`, for programs that write for TensorBoard: the package tensorboardX's, which needs no other framework."""

from __future__ import annotations

try:
    from tensorboardX import SummaryWriter
except ImportError as missing:
    raise ImportError(
        "dsviz.utils.tensorboard writes by the package tensorboardX: pip install tensorboardX"
    ) from missing

__all__ = ["SummaryWriter"]
