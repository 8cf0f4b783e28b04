import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
w = ds.Linear(4, 4)
x = rng.standard_normal((6, 4)).astype(np.float32)
x[2] = 0
opt = ds.optim.SGD(w.parameters(), lr=0.01)
for _ in range(4):
    t = ds.tensor(x)
    size = ds.sqrt((t * t).sum(1, keepdim=True))
    unit = t / size  #-
    unit = t / (size + 1e-6)  #+
    loss = w(unit).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
