import numpy as np
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.inner = ds.Linear(12, 24)
        self.side = ds.Linear(24, 20)  #-!
        self.side = ds.Linear(24, 24)  #+
        self.head = ds.Linear(24, 3)

    def forward(self, x, deep):
        h = ds.relu(self.inner(x))
        if deep:
            h = ds.relu(self.side(h))
        return self.head(h)

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(32, 12)).astype(np.float32)
y = x[:, :3].argmax(1)
net = Net()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for i in range(8):
    loss = ds.cross_entropy(net(x, i % 3 == 2), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
