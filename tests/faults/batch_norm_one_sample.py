import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 8), ds.BatchNorm1d(8), ds.ReLU(), ds.Linear(8, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
data = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
for start in range(0, 9, 4):
    x = data[start : start + 4]
    if len(x) < 2:  #+
        continue  #+
    loss = ds.cross_entropy(net(x), np.zeros(len(x), np.int64))  #-!
    loss = ds.cross_entropy(net(x), np.arange(len(x)) % 2)  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
