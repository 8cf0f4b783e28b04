import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((60, 8)).astype(np.float32)
raw = rng.integers(0, 30, 60)
net = ds.Linear(8, 4)
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for i in range(6):
    part = slice(i * 10, i * 10 + 10)
    labels = raw[part] // 30  #-
    labels = raw[part] % 4  #+
    loss = ds.cross_entropy(net(x[part]), labels)
    opt.zero_grad()
    loss.backward()
    opt.step()
