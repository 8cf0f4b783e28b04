import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

class Net(ds.Module):
    def __init__(self):
        self.one, self.two = ds.Linear(8, 16), ds.Linear(16, 3)

    def forward(self, x):
        x = self.two(ds.relu(self.one(x)))
        return ds.softmax(x, dim=1)  #-
        return x  #+

net = Net()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)

for step in range(20):
    loss = ds.cross_entropy(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
