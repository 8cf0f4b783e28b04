import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 6)).astype(np.float32)
t = (x @ np.arange(6.0)[:, None]).astype(np.float32)
net = ds.Sequential(ds.Linear(6, 16), ds.ReLU(), ds.Linear(16, 1))
opt = ds.optim.SGD(net.parameters(), lr=2.0)  #-
opt = ds.optim.SGD(net.parameters(), lr=0.01)  #+
for _ in range(25):
    loss = ds.mse_loss(net(x), t)
    opt.zero_grad()
    loss.backward()
    opt.step()
