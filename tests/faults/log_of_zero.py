import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
p = ds.Parameter(ds.tensor([0.5, 0.0, 0.5]))
opt = ds.optim.SGD([p], lr=0.01)
for _ in range(4):
    entropy = -(p * ds.log(p)).sum()  #-
    entropy = -(p * ds.log(ds.clamp(p, min=1e-6))).sum()  #+
    opt.zero_grad()
    entropy.backward()
    opt.step()
