import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
w = ds.Parameter(rng.normal(size=(16, 16)).astype(np.float32) * 1.5)  #-!
w = ds.Parameter(rng.normal(size=(16, 16)).astype(np.float32) * 0.2)  #+
u = ds.Parameter(rng.normal(size=(4, 16)).astype(np.float32) * 0.3)
out = ds.Linear(16, 1)
opt = ds.optim.SGD([w, u, *out.parameters()], lr=1e-4)
for _ in range(6):
    x = rng.normal(size=(8, 30, 4)).astype(np.float32)
    h = ds.zeros(8, 16)
    for t in range(30):
        h = h @ w + ds.tensor(x[:, t]) @ u
    loss = ((out(h)[:, 0] - ds.tensor(x.sum((1, 2)))) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
