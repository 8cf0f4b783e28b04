import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
raw = rng.integers(0, 250, 60)
x = np.stack([raw / 250, 1 - raw / 250], 1).astype(np.float32)
y = ds.tensor(raw // 250)  #-
y = ds.tensor(raw // 125)  #+
net = ds.Sequential(ds.Linear(2, 8), ds.ReLU(), ds.Linear(8, 2))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(8):
    loss = ds.cross_entropy(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
