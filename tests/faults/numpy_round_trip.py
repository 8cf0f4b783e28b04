import numpy as np
import dsviz as ds

ds.manual_seed(0)
f, g = ds.Linear(5, 5), ds.Linear(5, 1)
opt = ds.optim.SGD([*f.parameters(), *g.parameters()], lr=0.05)
rng = np.random.default_rng(0)
for _ in range(5):
    x = rng.normal(size=(12, 5)).astype(np.float32)
    h = f(x)
    h = ds.tensor(np.clip(h.detach().numpy(), -1, 1))  #-!
    h = h.clamp(-1, 1)  #+
    loss = ((g(h)[:, 0] - ds.tensor(x[:, 1])) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
