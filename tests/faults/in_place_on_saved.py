import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Linear(5, 5)
x = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
h = ds.sigmoid(net(x))
h += 1.0  #-!
h = h + 1.0  #+
loss = h.log().mean()
loss.backward()
