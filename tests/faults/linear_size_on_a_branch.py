import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

class Net(ds.Module):
    def __init__(self):
        self.body = ds.Linear(8, 16)
        self.extra = ds.Linear(16, 12)  #-
        self.extra = ds.Linear(16, 16)  #+
        self.head = ds.Linear(16, 3)

    def forward(self, x, deep):
        x = ds.relu(self.body(x))
        if deep:
            x = ds.relu(self.extra(x))
        return self.head(x)

net = Net()
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for step in range(9):
    loss = ds.cross_entropy(net(x, step == 7), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
