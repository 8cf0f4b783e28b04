import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Linear(2, 1)
opt = ds.optim.SGD(net.parameters(), lr=0.1)
loss = (net(np.ones((1, 2), np.float32)) - 2.0).square().sum()
opt.zero_grad()
loss.backward()
opt.step()
