"""A training that one can look into while it runs, and leave running: ds.listen() and ds.breakpoint().

Alone: `python demos/long_run.py 1000`. It says its process number; from another terminal,
`dsviz attach PID` opens the page on the running program, Pause stops it, and Stop or Ctrl-C there leaves it running.
Nobody attached costs nothing: not one op is traced. The ds.breakpoint() at a surprising loss stops only where a
debugger is: then, or under `dsviz run demos/long_run.py`. Data: the 1,797 handwritten digits that scikit-learn ships.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds


class Classifier(ds.Module):
    def __init__(self, hidden=64):
        self.first = ds.Linear(64, hidden)
        self.head = ds.Linear(hidden, 10)

    def forward(self, x):
        return self.head(ds.relu(self.first(x)))


digits = load_digits()
images = (digits.data / 16).astype(np.float32)
labels = digits.target
ds.manual_seed(0)
net = Classifier()
optimizer = ds.optim.SGD(net.parameters(), lr=0.5)
door = ds.listen()
worst = float("inf")
for epoch in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
    for first in range(0, 1792, 128):
        batch = slice(first, first + 128)
        loss = ds.nn.functional.cross_entropy(net(ds.tensor(images[batch])), ds.tensor(labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() > 2 * worst:
            ds.breakpoint()
        worst = min(worst, max(loss.item(), 0.5))
    right = (net(ds.tensor(images)).argmax(1) == ds.tensor(labels)).float().mean().item()
    print(f"epoch {epoch}: loss {loss.item():.3f}, {right:.0%} right")
door.close()
