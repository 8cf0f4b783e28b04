import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

net = ds.Sequential(ds.Linear(8, 16), ds.ReLU(), ds.Linear(16, 3))
with ds.no_grad():
    net[0].bias.fill_(-50.0)  #-
    net[0].bias.fill_(0.1)  #+
opt = ds.optim.SGD(net.parameters(), lr=0.05)
for _ in range(10):
    loss = ds.cross_entropy(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
