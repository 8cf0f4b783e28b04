import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
a = ds.Parameter(ds.randn(6, 4))
b = ds.Parameter(ds.randn(4, 5))
x = rng.standard_normal((7, 6)).astype(np.float32)
opt = ds.optim.SGD([a, b], lr=0.01)
for _ in range(3):
    h = ds.tanh(ds.tensor(x) @ a)
    out = h @ b.T  #-
    out = h @ b  #+
    loss = (out**2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
