import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Linear(4, 1)
opt = ds.optim.SGD(net.parameters(), lr=0.01)
total = 0.0
for _ in range(10):
    x = rng.normal(size=(8, 4)).astype(np.float32)
    loss = ((net(x)[:, 0] - ds.tensor(x[:, 0])) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    total = total + loss  #-!
    total = total + loss.item()  #+
print(float(total) / 10)
