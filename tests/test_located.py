"""Every error of a function on tensors names the person's own line, whether an op raised it or what is made of ops."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import engine as ds
from engine import nn
from engine.nn import functional as F

CALLS = [
    lambda: ds.chunk(ds.ones(3), 0),
    lambda: ds.clamp(ds.ones(2)),
    lambda: ds.stack([]),
    lambda: ds.roll(ds.ones(3, 3), (1, 2), (0,)),
    lambda: ds.movedim(ds.ones(2, 3), 0, 3),
    lambda: ds.ones(3)[5],
    lambda: ds.ones(3).backward(),
    lambda: ds.topk(ds.ones(3), 7),
    lambda: ds.multinomial(ds.tensor([-1.0, 1.0]), 1),
    lambda: ds.split(ds.ones(5), [2, 2]),
    lambda: ds.ones(2).to("cuda:99"),
    lambda: F.one_hot(ds.tensor([-1])),
    lambda: F.pad(ds.ones(3), (1,)),
    lambda: F.dropout(ds.ones(2), 2.0),
    lambda: F.fold(ds.ones(1, 3, 3), (4, 4), (2, 2)),
    lambda: F.grid_sample(ds.ones(1, 1, 2, 2), ds.ones(1, 2, 2)),
    lambda: nn.MultiheadAttention(10, 3),
    lambda: nn.Conv2d(3, 4, 3, groups=2),
    lambda: nn.Dropout(-1),
    lambda: ds.optim.SGD([], lr=0.1),
    lambda: ds.optim.SGD([nn.Parameter(ds.ones(1))], lr=-1),
    lambda: ds.utils.data.DataLoader([1], batch_size=0),
    lambda: ds.distributions.Normal(0.0, -1.0),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(inspect.getsourcelines(call)[1]))
def test_the_persons_line_is_named(call: Any) -> None:
    if "cuda" in inspect.getsource(call) and ds.cuda.device_count() > 99:
        pytest.skip("this machine has a hundred GPUs")
    with pytest.raises((ValueError, TypeError, IndexError, RuntimeError)) as error:
        call()
    line = inspect.getsourcelines(call)[1]
    assert f"at {__file__}:{line}  " in str(error.value), str(error.value)
    assert str(error.value).count("\n  at ") == 1
