import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Linear(3, 1)
opt = ds.optim.Adam(net.parameters(), lr=0.01)
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(16, 3)).astype(np.float32)
    opt.zero_grad()
    loss = (net(x) - 1.0).square().mean()
    loss.backward()  #-!
    loss.backward()  #+
    opt.step()  #+
