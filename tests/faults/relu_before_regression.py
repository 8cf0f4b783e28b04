import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
class R(ds.Module):
    def __init__(self):
        self.a, self.b = ds.Linear(4, 16), ds.Linear(16, 1)

    def forward(self, x):
        h = ds.relu(self.a(x))
        return ds.relu(self.b(h))  #-!
        return self.b(h)  #+

net = R()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(10):
    x = rng.normal(size=(32, 4)).astype(np.float32)
    loss = ds.nn.functional.mse_loss(net(x), ds.tensor(x[:, :1] * 2))
    opt.zero_grad()
    loss.backward()
    opt.step()
