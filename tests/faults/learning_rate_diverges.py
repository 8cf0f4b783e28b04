import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 8)).astype(np.float32) * 2
y = ds.tensor(x @ rng.normal(size=(8, 1)).astype(np.float32))
net = ds.Linear(8, 1)
opt = ds.optim.SGD(net.parameters(), lr=1.0)  #-!
opt = ds.optim.SGD(net.parameters(), lr=0.02)  #+
for _ in range(20):
    loss = (net(x) - y).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
