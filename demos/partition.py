"""A wide graph in two parts that run side by side: an ensemble of classifiers, split by measured cost.

Run it alone, or step it: `dsviz run demos/partition.py`. Data: scikit-learn's handwritten digits.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds


class Ensemble(ds.Module):
    def __init__(self, members=4):
        self.members = ds.ModuleList(
            [ds.Sequential(ds.Linear(64, 512), ds.ReLU(), ds.Linear(512, 10)) for _ in range(members)]
        )

    def forward(self, x):
        return ds.stack([ds.softmax(member(x), dim=1) for member in self.members]).mean(dim=0)


digits = load_digits()
x = ds.tensor((digits.data / 16).astype(np.float32))
y = digits.target.astype(np.int64)

ds.manual_seed(0)
net = Ensemble()
optimizer = ds.optim.Adam(net.parameters(), lr=1e-3)
for start in range(0, 1500, 50):
    loss = ds.nll_loss(ds.log(net(x[start : start + 50])), y[start : start + 50])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"trained: loss {loss.item():.3f}")

net.eval()
with ds.no_grad(), ds.trace(level=2) as trace:
    whole = net(x)
parts = ds.partition(trace, 2)
with ThreadPoolExecutor(2) as pool:
    (result,) = parts.run(executor=pool).values()
print(parts.describe())
print(f"the same result as unsplit: {np.array_equal(result, whole.numpy())}")
print(f"accuracy {(result.argmax(1) == y).mean():.1%}")
