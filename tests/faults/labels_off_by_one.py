import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Linear(5, 4)
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    x = rng.normal(size=(20, 5)).astype(np.float32)
    y = x[:, :4].argmax(1) + 1  #-
    y = x[:, :4].argmax(1)  #+
    loss = ds.cross_entropy(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
