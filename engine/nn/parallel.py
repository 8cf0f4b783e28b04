"""Modules for several devices, on the one there is: they pass through, and keep the names that checkpoints have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.located import located
from engine.module import Module
from engine.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, _BatchNorm
from engine.tensor import Tensor

__all__ = ["DataParallel", "SyncBatchNorm"]


class DataParallel(Module):
    """`module` on one device. It is called as the module is, and its parameters are below "module.".

    Raises `ValueError` for more than one of `device_ids`: a batch is not split here.

    >>> import engine as ds
    >>> net = ds.nn.DataParallel(ds.nn.Linear(2, 1))
    >>> list(net.state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        ids = list(device_ids or [])
        if len(ids) > 1:
            raise located(
                ValueError(
                    f"DataParallel: one device is used, device_ids={ids} names {len(ids)}; leave it out"
                )
            )
        self.module, self.device_ids, self.output_device, self.dim = module, ids, output_device, dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.module(*inputs, **kwargs)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of [batch, channels, ...], over all processes: there is one, so as `BatchNorm`.

    >>> import engine as ds
    >>> net = ds.nn.Sequential(ds.nn.BatchNorm2d(3))
    >>> type(ds.nn.SyncBatchNorm.convert_sync_batchnorm(net)[0]).__name__
    'SyncBatchNorm'
    """

    ranks = (2, 3, 4, 5)

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, process_group: Any = None, device: Any = None, dtype: Any = None,
        *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """`module` with every batch normalisation in it replaced; parameters and statistics are taken over."""
        if isinstance(module, (BatchNorm1d, BatchNorm2d, BatchNorm3d)):
            made = cls(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                process_group, bias=module.bias is not None,
            )  # fmt: skip
            made._parameters.update(module._parameters)
            made._buffers.update(module._buffers)
            made.training = module.training
            return made
        for name, child in _children(module):
            new = cls.convert_sync_batchnorm(child, process_group)
            if new is not child:
                module.add_module(name, new)
        return module

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return super().forward(input)


def _children(module: Module) -> Iterator[tuple[str, Module]]:
    yield from list(module.named_children())
