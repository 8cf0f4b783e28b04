import numpy as np
import dsviz as ds

class AE(ds.Module):
    def __init__(self):
        self.enc = ds.Sequential(ds.Conv2d(1, 4, 3, stride=2, padding=1), ds.ReLU(), ds.Flatten(), ds.Linear(64, 6))
        self.dec = ds.Linear(6, 64)

    def forward(self, x):
        return ds.sigmoid(self.dec(self.enc(x))).reshape(-1, 1, 8, 8)

ds.manual_seed(0)
net = AE()
opt = ds.optim.Adam(net.parameters(), lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(6):
    x = ds.tensor(rng.random((10, 1, 8, 8)).astype(np.float32))
    loss = ds.nn.functional.binary_cross_entropy(net(x), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
