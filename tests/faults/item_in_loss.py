import numpy as np
import dsviz as ds

ds.manual_seed(0)
a, b = ds.Linear(4, 4), ds.Linear(4, 1)
opt = ds.optim.Adam([*a.parameters(), *b.parameters()], lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(5):
    x = rng.normal(size=(9, 4)).astype(np.float32)
    scale = a(x).mean().item()  #-!
    scale = a(x).mean()  #+
    loss = (b(x) * scale).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
