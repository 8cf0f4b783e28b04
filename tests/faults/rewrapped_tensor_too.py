import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Linear(6, 3)
opt = ds.optim.SGD(net.parameters(), lr=0.1)
rng = np.random.default_rng(2)
for _ in range(4):
    x = rng.normal(size=(10, 6)).astype(np.float32)
    out = ds.tensor(net(x))  #-!
    out = net(x)  #+
    loss = ds.cross_entropy(out, x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
