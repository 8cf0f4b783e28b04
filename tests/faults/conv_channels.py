import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
class Net(ds.Module):
    def __init__(self):
        self.one = ds.Conv2d(3, 8, 3, padding=1)
        self.two = ds.Conv2d(16, 8, 3, padding=1)  #-
        self.two = ds.Conv2d(8, 8, 3, padding=1)  #+
        self.head = ds.Linear(8, 2)

    def forward(self, x):
        x = ds.relu(self.two(ds.relu(self.one(x))))
        return self.head(x.mean((2, 3)))

net = Net()
opt = ds.optim.Adam(net.parameters())
for _ in range(3):
    loss = ds.cross_entropy(net(rng.standard_normal((4, 3, 6, 6)).astype(np.float32)), rng.integers(0, 2, 4))
    opt.zero_grad()
    loss.backward()
    opt.step()
