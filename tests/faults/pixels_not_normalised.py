import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.integers(0, 256, (64, 20)).astype(np.float32)
y = (x[:, 0] > 128).astype(np.int64)
net = ds.Sequential(ds.Linear(20, 16), ds.ReLU(), ds.Linear(16, 2))
opt = ds.optim.SGD(net.parameters(), lr=1e-5)
for _ in range(8):
    batch = x  #-
    batch = (x - 128) / 74  #+
    loss = ds.cross_entropy(net(batch), y)  #-!
    loss = ds.cross_entropy(net(batch), y)  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
