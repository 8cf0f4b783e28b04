import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

one, two = ds.Linear(8, 16), ds.Linear(16, 3)
opt = ds.optim.SGD([*one.parameters(), *two.parameters()], lr=0.05)
for _ in range(10):
    h = ds.sigmoid(one(x) * 500)  #-
    h = ds.sigmoid(one(x))  #+
    loss = ds.cross_entropy(two(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
