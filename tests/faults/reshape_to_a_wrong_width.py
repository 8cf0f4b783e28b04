import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((12, 3, 4)).astype(np.float32)
y = rng.integers(0, 2, 12)
head = ds.Linear(12, 2)
opt = ds.optim.SGD(head.parameters(), lr=0.1)
for _ in range(3):
    flat = ds.tensor(x).reshape(-1, 6)  #-
    flat = ds.tensor(x).reshape(-1, 12)  #+
    loss = ds.cross_entropy(head(flat), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
