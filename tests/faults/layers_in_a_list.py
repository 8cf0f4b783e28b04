import numpy as np
import dsviz as ds

class Deep(ds.Module):
    def __init__(self, n):
        self.first = ds.Linear(4, 16)
        self.layers = [ds.Linear(16, 16) for _ in range(n)]  #-!
        self.layers = ds.ModuleList([ds.Linear(16, 16) for _ in range(n)])  #+
        self.last = ds.Linear(16, 2)

    def forward(self, x):
        x = ds.relu(self.first(x))
        for layer in self.layers:
            x = ds.relu(layer(x))
        return self.last(x)

ds.manual_seed(0)
net = Deep(2)
opt = ds.optim.Adam(net.parameters(), lr=3e-3)
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(16, 4)).astype(np.float32)
    loss = ds.cross_entropy(net(x), (x[:, 0] * x[:, 1] > 0).astype(np.int64))
    opt.zero_grad()
    loss.backward()
    opt.step()
