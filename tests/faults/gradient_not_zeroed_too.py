import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(3, 8), ds.Tanh(), ds.Linear(8, 1))
opt = ds.optim.SGD(net.parameters(), lr=0.01)
rng = np.random.default_rng(0)
for _ in range(10):
    x = rng.normal(size=(16, 3)).astype(np.float32)
    loss = ((net(x)[:, 0] - ds.tensor(x[:, 0])) ** 2).mean()
    opt.zero_grad()  #+
    loss.backward()  #-!
    loss.backward()  #+
    opt.step()
