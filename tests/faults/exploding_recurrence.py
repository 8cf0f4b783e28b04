import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
w = ds.Parameter(3.0 * ds.eye(6))  #-
w = ds.Parameter(0.9 * ds.eye(6))  #+
u = ds.Parameter(ds.randn(4, 6))
opt = ds.optim.SGD([w, u], lr=1e-30)
for _ in range(6):
    h = ds.zeros(5, 6)
    for t in range(40):
        h = h @ w + ds.tensor(rng.standard_normal((5, 4)).astype(np.float32)) @ u
    loss = h.pow(2).mean() * 1e-4
    opt.zero_grad()
    loss.backward()
    opt.step()
