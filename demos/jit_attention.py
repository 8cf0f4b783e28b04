"""Self-attention written from elementary ops, compiled while it trains; Python runs as written all the time.

Run it:  python demos/jit_attention.py           alone, its elementwise parts become C beside the program
         dsviz run demos/jit_attention.py        in the debugger, where what is traced runs node by node

Which is right is printed: the losses of a run without the JIT, and why a region was compiled again after the heads were
changed in the middle.
"""

from __future__ import annotations

import math
import time

import dsviz as ds

BATCH, TIME, WIDTH = 8, 96, 128


class Attention(ds.Module):
    def __init__(self, heads: int) -> None:
        self.heads = heads
        self.qkv = ds.Linear(WIDTH, 3 * WIDTH)
        self.out = ds.Linear(WIDTH, WIDTH)

    def forward(self, x: ds.Tensor) -> ds.Tensor:
        q, k, v = (
            part.reshape(BATCH, TIME, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)
        )
        scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(WIDTH // self.heads)) + mask
        grown = ds.exp(scores - scores.amax(dim=-1, keepdim=True))
        weights = grown / grown.sum(dim=-1, keepdim=True)
        y = x + self.out((weights @ v).transpose(1, 2).reshape(BATCH, TIME, WIDTH))
        return 0.5 * y * (1 + ds.tanh(0.79788456 * (y + 0.044715 * y * y * y)))


def train(steps: int) -> tuple[list[float], list[float]]:
    """Losses, and the milliseconds of each step."""
    ds.manual_seed(0)
    net, x = Attention(4), ds.randn(BATCH, TIME, WIDTH)
    target = ds.roll(x, 1, 1)
    optimizer = ds.optim.SGD(net.parameters(), lr=0.5)
    losses, times = [], []
    for step in range(steps):
        if step == steps // 2:
            net.heads = 8  # what is compiled for four heads does not run for eight
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = ((net(x) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        times.append((time.perf_counter() - began) * 1000)
        losses.append(loss.item())
    return losses, times


mask = ds.triu(ds.full((TIME, TIME), -1e9), 1)
with ds.no_jit():
    expected, plain = train(60)
with ds.graph_config(jit_threshold=50):
    losses, times = train(60)
apart = max(abs(a - b) / b for a, b in zip(losses, expected, strict=True))
print(
    f"loss {losses[0]:.4f} to {losses[-1]:.4f}; with and without the JIT they differ by {apart:.0e} at most"
)
print(f"a step takes {sorted(plain[-15:])[7]:.1f} ms without, {sorted(times[-15:])[7]:.1f} ms with it")
report = ds.jit_report()
print(f"{report['compiled']} regions compiled by {report['compiler'] or 'nobody: ' + report['refused']}")
for region in report["regions"]:
    if region["hits"] or region["reason"]:
        print(
            f"  line {region['line']}: {' '.join(region['ops'])}, {region['hits']} hits; {region['reason']}"
        )
