import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(6, 32), ds.ReLU(), ds.Linear(32, 1))
ds.nn.init.constant_(net[0].bias, -20.0)  #-!
ds.nn.init.constant_(net[0].bias, 0.1)  #+
opt = ds.optim.Adam(net.parameters(), lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(12):
    x = rng.normal(size=(32, 6)).astype(np.float32)
    loss = ((net(x)[:, 0] - ds.tensor(x[:, 0] * x[:, 1])) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
