import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
p = ds.Parameter(ds.tensor([0.0, 1.0, 4.0]))
opt = ds.optim.SGD([p], lr=0.01)
for _ in range(3):
    root = ds.sqrt(p)  #-
    root = ds.sqrt(ds.where(p > 0, p, 1.0))  #+
    safe = ds.where(p > 0, root, 0.0)
    loss = safe.sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
