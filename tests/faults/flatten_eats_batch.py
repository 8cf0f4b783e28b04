import numpy as np
import dsviz as ds

class Conv(ds.Module):
    def __init__(self):
        self.conv = ds.Conv2d(1, 4, 3, padding=1)
        self.head = ds.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        x = ds.relu(self.conv(x))
        x = x.flatten()  #-!
        x = x.flatten(1)  #+
        return self.head(x)

net = Conv()
rng = np.random.default_rng(0)
loss = ds.cross_entropy(net(rng.normal(size=(6, 1, 8, 8)).astype(np.float32)), np.arange(6))
loss.backward()
