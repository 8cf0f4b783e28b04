import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((10, 1, 8, 8)).astype(np.float32)
y = rng.integers(0, 3, 10)
conv, head = ds.Conv2d(1, 4, 3), ds.Linear(144, 3)
opt = ds.optim.SGD([*conv.parameters(), *head.parameters()], lr=0.1)
for step in range(3):
    h = ds.relu(conv(x))
    h = ds.flatten(h)  #-
    h = ds.flatten(h, 1)  #+
    loss = ds.cross_entropy(head(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
