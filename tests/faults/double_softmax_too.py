import numpy as np
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.a = ds.Linear(8, 16)
        self.b = ds.Linear(16, 3)

    def forward(self, x):
        x = self.b(ds.relu(self.a(x)))
        return ds.softmax(x, dim=-1)  #-!
        return x  #+

ds.manual_seed(4)
rng = np.random.default_rng(4)
net = Net()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(12):
    x = rng.normal(size=(20, 8)).astype(np.float32)
    loss = ds.cross_entropy(net(x), x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
