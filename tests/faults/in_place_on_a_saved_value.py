import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

net = ds.Sequential(ds.Linear(8, 16), ds.ReLU(), ds.Linear(16, 3))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)

for _ in range(4):
    h = ds.exp(net(x))
    loss = h.sum() * 1e-3
    h.mul_(2.0)  #-
    opt.zero_grad()
    loss.backward()
    opt.step()
