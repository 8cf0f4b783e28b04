import numpy as np
import dsviz as ds

class Multi(ds.Module):
    def __init__(self):
        self.trunk = ds.Linear(6, 8)
        self.heads = {"a": ds.Linear(8, 1), "b": ds.Linear(8, 1)}  #-!
        self.heads = ds.ModuleDict({"a": ds.Linear(8, 1), "b": ds.Linear(8, 1)})  #+

    def forward(self, x):
        h = ds.tanh(self.trunk(x))
        return self.heads["a"](h), self.heads["b"](h)

ds.manual_seed(0)
net = Multi()
opt = ds.optim.AdamW(net.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(5):
    x = rng.normal(size=(12, 6)).astype(np.float32)
    a, b = net(x)
    loss = (a[:, 0] - ds.tensor(x[:, 0])).square().mean() + (b[:, 0] - ds.tensor(x[:, 1])).abs().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
