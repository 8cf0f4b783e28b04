import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
n, d = 6, 8
q, k, v, out = (ds.Linear(d, d) for _ in range(4))
opt = ds.optim.Adam([p for m in (q, k, v, out) for p in m.parameters()], lr=1e-2)
ahead = np.triu(np.ones((n, n), bool), 1)
x = rng.standard_normal((4, n, d)).astype(np.float32)
for _ in range(5):
    scores = q(x) @ k(x).transpose(1, 2) / d**0.5
    scores = scores.masked_fill(~ahead & ~np.eye(n, dtype=bool), -1e9)  #-
    scores = scores.masked_fill(ahead, -1e9)  #+
    mixed = out(ds.softmax(scores, -1) @ v(x))
    loss = ((mixed[:, :-1] - ds.tensor(x[:, 1:])) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
