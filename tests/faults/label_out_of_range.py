import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((20, 4)).astype(np.float32)
y = rng.integers(1, 4, 20)  #-
y = rng.integers(0, 3, 20)  #+
net = ds.Linear(4, 3)
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    loss = ds.cross_entropy(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
