import numpy as np
import dsviz as ds

class Block(ds.Module):
    def __init__(self, d):
        self.a, self.b = ds.Linear(d, 2 * d), ds.Linear(2 * d, d)
        ds.nn.init.zeros_(self.b.weight)
        ds.nn.init.zeros_(self.b.bias)

    def forward(self, x):
        return x + self.b(ds.gelu(self.a(x)))

ds.manual_seed(0)
net = ds.Sequential(Block(8), Block(8), ds.Linear(8, 3))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(8):
    x = rng.normal(size=(16, 8)).astype(np.float32)
    loss = ds.cross_entropy(net(x), x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
