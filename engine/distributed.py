"""Programs ask whether there are other processes to train with. There are none: one process, one device.

>>> is_available(), is_initialized()
(False, False)
"""

from __future__ import annotations

__all__ = ["is_available", "is_initialized", "is_torchelastic_launched"]


def is_available() -> bool:
    """Never: as PyTorch built without `torch.distributed`. `ds.partition` puts parts of a graph on several machines."""
    return False


def is_initialized() -> bool:
    """Never."""
    return False


def is_torchelastic_launched() -> bool:
    """Never."""
    return False
