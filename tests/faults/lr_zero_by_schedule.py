import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Linear(3, 1)
opt = ds.optim.SGD(net.parameters(), lr=0.0)  #-!
opt = ds.optim.SGD(net.parameters(), lr=0.1)  #+
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(8, 3)).astype(np.float32)
    loss = (net(x)[:, 0] - ds.tensor(x[:, 0])).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
