import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((32, 5)).astype(np.float32)
t = x.sum(1)
net = ds.Linear(5, 1)
opt = ds.optim.SGD(net.parameters(), lr=0.05)
for _ in range(12):
    out = net(x)
    loss = ((out - ds.tensor(t)) ** 2).mean()  #-
    loss = ((out - ds.tensor(t[:, None])) ** 2).mean()  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
