import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Linear(5, 4)
x = np.random.default_rng(0).normal(size=(7, 6, 5)).astype(np.float32)
h = net(x).mean(dim=0)  #-!
h = net(x).mean(dim=1)  #+
loss = ds.cross_entropy(h, np.arange(7) % 4)
loss.backward()
