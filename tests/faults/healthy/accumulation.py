import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 1))
opt = ds.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
rng = np.random.default_rng(0)
opt.zero_grad()
for i in range(16):
    x = rng.normal(size=(4, 4)).astype(np.float32)
    loss = ((net(x).squeeze(-1) - ds.tensor(x[:, 0])) ** 2).mean() / 4
    loss.backward()
    if i % 4 == 3:
        opt.step()
        opt.zero_grad()
