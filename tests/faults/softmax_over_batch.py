import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(24, 6)).astype(np.float32)
t = ds.tensor(np.eye(4, dtype=np.float32)[rng.integers(0, 4, 24)])
net = ds.Sequential(ds.Linear(6, 12), ds.Tanh(), ds.Linear(12, 4))
opt = ds.optim.Adam(net.parameters(), lr=5e-3)
for _ in range(10):
    probs = ds.softmax(net(x), dim=0)  #-!
    probs = ds.softmax(net(x), dim=1)  #+
    loss = -(t * ds.log(probs + 1e-9)).sum() / 24
    opt.zero_grad()
    loss.backward()
    opt.step()
