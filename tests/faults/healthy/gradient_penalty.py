import numpy as np
import dsviz as ds

ds.manual_seed(0)
critic = ds.Sequential(ds.Linear(2, 16), ds.Tanh(), ds.Linear(16, 1))
opt = ds.optim.Adam(critic.parameters(), lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(5):
    x = ds.tensor(rng.normal(size=(8, 2)).astype(np.float32), requires_grad=True)
    (g,) = ds.grad(critic(x).sum(), x, create_graph=True)
    loss = ((g.square().sum(dim=1) + 1e-12).sqrt() - 1).square().mean() - critic(x).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
