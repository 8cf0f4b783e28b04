import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
w = ds.Linear(6, 6)
opt = ds.optim.SGD(w.parameters(), lr=0.1)
x = rng.standard_normal((4, 6)).astype(np.float32)
keep = np.ones((4, 6), bool)
keep[1] = False  #-
keep[1, 2:] = False  #+
for _ in range(3):
    scores = w(x).masked_fill(~keep, float("-inf"))  #-!
    scores = w(x).masked_fill(~keep, float("-inf"))  #+
    loss = ds.softmax(scores, 1).pow(2).sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
