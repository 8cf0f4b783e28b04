"""Pictures of a graph: a branch that depends on the data, a concatenation that grows, and what memory is saved.

python demos/execution_flow.py [FOLDER]      writes flow.svg, flow.html and memory.svg there
dsviz run demos/execution_flow.py
dsviz graph -o flow.svg demos/execution_flow.py     the same picture, of any script
"""

import sys
import tempfile
from pathlib import Path

from sklearn.datasets import load_digits

import dsviz as ds


class Experts(ds.Module):
    """As many experts as the batch needs look at it; what they say is concatenated."""

    def __init__(self) -> None:
        self.stem = ds.Linear(64, 256)
        self.experts = ds.nn.ModuleList([ds.Linear(256, 128) for _ in range(4)])
        self.heads = ds.nn.ModuleList([ds.Linear(128 * count, 10) for count in range(1, 5)])

    def forward(self, x: ds.Tensor) -> ds.Tensor:
        x = ds.relu(self.stem(x))
        if float(x.std()) > 0.5:  # a batch that differs much
            x = ds.tanh(x)
        wanted = 1 + int(float(x.abs().mean()) * 10) % 4
        parts = []
        for expert in list(self.experts)[:wanted]:
            parts.append(ds.relu(expert(x)))
        return self.heads[wanted - 1](ds.cat(parts, dim=1))


ds.manual_seed(0)
digits = load_digits()
x, y = ds.tensor(digits.data[:1024].astype("float32") / 16), ds.tensor(digits.target[:1024])
net = Experts()
optimizer = ds.optim.Adam(net.parameters(), lr=0.002)


def step(at: int = 0) -> float:
    loss = ds.cross_entropy(net(x[at : at + 256]), y[at : at + 256])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


with ds.trace() as graph:
    for at in range(0, 1024, 256):
        loss = step(at)
folder = Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp(prefix="dsviz-pictures-"))
ds.debug.save_graph(folder / "flow.svg", graph)
ds.debug.save_graph(folder / "flow.html", graph)
found = ds.debug.save_memory(folder / "memory.svg", step, rounds=4)
print(f"loss {loss:.2f}; {folder / 'flow.svg'} shows {len(graph)} nodes")
print(
    f"large buffers asked of the allocator: {found['with']['asked']} with the optimisation, {found['without']['asked']} without"
)
