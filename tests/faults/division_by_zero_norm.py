import numpy as np
import dsviz as ds

rng = np.random.default_rng(0)
v = rng.normal(size=(10, 3)).astype(np.float32)
v[4] = 0
ds.manual_seed(0)
proj = ds.Linear(3, 2, bias=False)
opt = ds.optim.Adam(proj.parameters(), lr=1e-2)
for _ in range(3):
    h = proj(v)
    n = (h * h).sum(dim=1, keepdim=True)
    unit = h / n  #-!
    unit = h / (n + 1e-3)  #+
    loss = unit.abs().mean()
    opt.zero_grad(); loss.backward(); opt.step()
