import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((32, 5)).astype(np.float32)
t = x.sum(1)
net = ds.Sequential(ds.Linear(5, 8), ds.ReLU(), ds.Linear(8, 1))
opt = ds.optim.Adam(net.parameters(), lr=0.01)
for _ in range(12):
    loss = ds.mse_loss(net(x), t)  #-
    loss = ds.mse_loss(net(x).squeeze(-1), t)  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
