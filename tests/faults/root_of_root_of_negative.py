import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
a = ds.Parameter(ds.tensor([4.0, -1.0]))
opt = ds.optim.SGD([a], lr=0.01)
for _ in range(3):
    b = ds.sqrt(a)  #-
    b = ds.sqrt(ds.clamp(a, min=0.01))  #+
    c = ds.sqrt(b)
    loss = (c * 2).sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
