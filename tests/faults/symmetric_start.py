import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(3, 8), ds.Tanh(), ds.Linear(8, 1))
for p in net.parameters():
    ds.nn.init.constant_(p, 0.1)  #-!
    if p.ndim > 1: ds.nn.init.normal_(p, 0, 0.3)  #+
opt = ds.optim.SGD(net.parameters(), lr=0.05)
rng = np.random.default_rng(0)
for _ in range(8):
    x = rng.normal(size=(16, 3)).astype(np.float32)
    loss = ((net(x)[:, 0] - ds.tensor(x[:, 0] * x[:, 1])) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
