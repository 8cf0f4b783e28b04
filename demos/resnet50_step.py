"""ResNet50 takes three training steps on two photographs: crops of them are told apart.

All 161 parameter tensors of the real network, at a small image size. Fold and unfold the bottlenecks in the page; with
`--record` every buffer of the step is in the memory timeline.
Run it alone, or step it: `dsviz run demos/resnet50_step.py`. Data: the two photographs scikit-learn ships.
"""

from time import perf_counter

import numpy as np
from sklearn.datasets import load_sample_images

import dsviz as ds


class Bottleneck(ds.Module):
    def __init__(self, inputs, width, stride):
        self.conv1, self.bn1 = ds.Conv2d(inputs, width, 1, bias=False), ds.BatchNorm2d(width)
        self.conv2 = ds.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = ds.BatchNorm2d(width)
        self.conv3, self.bn3 = ds.Conv2d(width, 4 * width, 1, bias=False), ds.BatchNorm2d(4 * width)
        self.shortcut = None
        if stride != 1 or inputs != 4 * width:
            self.shortcut = ds.Sequential(
                ds.Conv2d(inputs, 4 * width, 1, stride=stride, bias=False), ds.BatchNorm2d(4 * width)
            )

    def forward(self, x):
        y = ds.relu(self.bn1(self.conv1(x)))
        y = ds.relu(self.bn2(self.conv2(y)))
        return ds.relu(self.bn3(self.conv3(y)) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet50(ds.Module):
    def __init__(self, classes):
        self.stem = ds.Sequential(
            ds.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            ds.BatchNorm2d(64),
            ds.ReLU(),
            ds.MaxPool2d(3, 2, 1),
        )
        blocks, inputs = [], 64
        for stage, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
            for block in range(count):
                blocks.append(Bottleneck(inputs, width, 2 if stage and not block else 1))
                inputs = 4 * width
        self.blocks = ds.Sequential(*blocks)
        self.head = ds.Sequential(ds.AdaptiveAvgPool2d(1), ds.Flatten(), ds.Linear(inputs, classes))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))


photographs = [photograph.astype(np.float32) / 255 for photograph in load_sample_images().images]
rng = np.random.default_rng(0)
SIZE, BATCH = 64, 4


def crops():
    x, y = np.empty((BATCH, 3, SIZE, SIZE), np.float32), rng.integers(0, 2, BATCH)
    for i, which in enumerate(y):
        top, left = rng.integers(0, 427 - 2 * SIZE), rng.integers(0, 640 - 2 * SIZE)
        piece = photographs[which][top : top + 2 * SIZE : 2, left : left + 2 * SIZE : 2]
        x[i] = (piece.transpose(2, 0, 1) - 0.45) / 0.25
    return x, y


ds.manual_seed(0)
net = ResNet50(2)
optimizer = ds.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
print(f"{sum(p.numel() for p in net.parameters()):,} parameters in {len(list(net.parameters()))} tensors")
for step in range(3):
    began = perf_counter()
    x, y = crops()
    loss = ds.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step}: loss {loss.item():.3f}, {BATCH / (perf_counter() - began):.1f} images a second")
