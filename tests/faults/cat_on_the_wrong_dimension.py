import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
a, b = ds.Linear(5, 6), ds.Linear(5, 6)
head = ds.Linear(12, 2)
opt = ds.optim.SGD([p for m in (a, b, head) for p in m.parameters()], lr=0.1)
x = rng.standard_normal((7, 5)).astype(np.float32)
for _ in range(3):
    both = ds.cat([a(x), b(x)], dim=0)  #-
    both = ds.cat([a(x), b(x)], dim=1)  #+
    loss = head(both).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
