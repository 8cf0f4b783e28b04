"""Image generation against a fixed network: a decoder learns digits whose features a frozen network judges.

The feature network is trained first, then frozen and switched off: it leaves no nodes, and what it says of the target
images, which never change, is computed once and used again.
Run it alone, or step it: `dsviz run demos/frozen_features.py`. Data: scikit-learn's handwritten digits.
"""

from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds

digits = load_digits()
images = (digits.images / 16).astype(np.float32)[:, None]
labels = digits.target.astype(np.int64)

ds.manual_seed(0)
features = ds.Sequential(
    ds.Conv2d(1, 16, 3, padding=1), ds.ReLU(), ds.MaxPool2d(2), ds.Conv2d(16, 32, 3, padding=1)
)
judge = ds.Sequential(features, ds.ReLU(), ds.Flatten(), ds.Linear(512, 10))
optimizer = ds.optim.Adam(judge.parameters(), lr=2e-3)
for start in range(0, 1500, 50):
    loss = ds.cross_entropy(judge(images[start : start + 50]), labels[start : start + 50])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"the feature network is trained: loss {loss.item():.3f}")
features.requires_grad_(False)
features.eval()


class Generator(ds.Module):
    def __init__(self):
        self.start = ds.Linear(10, 32 * 4 * 4)
        self.grow = ds.ConvTranspose2d(32, 16, 2, stride=2)
        self.draw = ds.Conv2d(16, 1, 3, padding=1)

    def forward(self, classes):
        x = ds.relu(self.start(classes)).reshape(-1, 32, 4, 4)
        return ds.sigmoid(self.draw(ds.relu(self.grow(x))))


targets = np.stack([images[labels == digit][:20].mean(0) for digit in range(10)]).repeat(10, 0)
classes = np.eye(10, dtype=np.float32).repeat(10, 0)


def train(skip):
    """Train a generator; with `skip`, the fixed part is switched off and its result used again."""
    ds.manual_seed(1)
    features.trace_(not skip, reuse=skip)
    net = Generator()
    optimizer = ds.optim.Adam(net.parameters(), lr=1e-2)
    times = []
    for _ in range(20):
        began = perf_counter()
        wanted = features(targets)
        loss = ((features(net(classes)) - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(perf_counter() - began)
    return loss.item(), np.median(times)


for skip in (False, True):
    loss, seconds = train(skip)
    print(f"fixed part {'skipped' if skip else 'computed'}: loss {loss:.5f}, {seconds * 1e3:.1f} ms a step")
(row,) = ds.reuse_report(features)
print(
    f"{row['hits']} of {row['hits'] + row['misses']} results used again, {row['seconds'] * 1e3:.1f} ms saved"
)
