import numpy as np
import dsviz as ds

class Two(ds.Module):
    def __init__(self):
        self.enc = ds.Linear(10, 8)
        self.dec = ds.Linear(8, 10)

    def forward(self, x):
        z = ds.relu(self.enc(x))
        return self.dec(z.detach())  #-!
        return self.dec(z)  #+

ds.manual_seed(0)
net = Two()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(6):
    x = ds.tensor(rng.normal(size=(16, 10)).astype(np.float32))
    loss = ((net(x) - x) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
