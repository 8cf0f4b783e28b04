import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = (10 * rng.standard_normal((50, 3))).astype(np.float32)
t = x.sum(1, keepdims=True)
w = ds.Parameter(ds.zeros(3, 1))
opt = ds.optim.SGD([w], lr=0.1)  #-
opt = ds.optim.SGD([w], lr=0.002)  #+
for _ in range(40):
    loss = ((ds.tensor(x) @ w - t) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
