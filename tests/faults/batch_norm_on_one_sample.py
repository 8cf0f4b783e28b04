import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Sequential(ds.Linear(4, 6), ds.BatchNorm1d(6), ds.ReLU(), ds.Linear(6, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
x = rng.standard_normal((9, 4)).astype(np.float32)
for i in range(0, 9, 4):
    part = x[i : i + 4]
    if len(part) < 2: continue  #+
    loss = ds.cross_entropy(net(part), np.ones(len(part), np.int64))  #-!
    loss = ds.cross_entropy(net(part), np.ones(len(part), np.int64) * (np.arange(len(part)) % 2))  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
