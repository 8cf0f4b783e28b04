import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
n, d = 6, 8
q, k, v = (ds.Linear(d, d) for _ in range(3))
opt = ds.optim.Adam([p for m in (q, k, v) for p in m.parameters()], lr=1e-2)
x = rng.standard_normal((4, n, d)).astype(np.float32)
for _ in range(5):
    scores = q(x) @ k(x).transpose(1, 2) / d**0.5
    mask = ds.triu(ds.ones(n, n), 2)  #-
    mask = ds.triu(ds.ones(n, n), 1)  #+
    scores = scores.masked_fill(mask > 0, -1e9)
    loss = ((ds.softmax(scores, -1) @ v(x))[:, :-1] - ds.tensor(x[:, 1:])).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
