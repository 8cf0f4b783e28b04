import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

net = ds.Sequential(ds.Linear(8, 16), ds.ReLU(), ds.Linear(16, 3))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)

for _ in range(6):
    share = ds.softmax(net(x), 0)  #-
    share = ds.softmax(net(x), 1)  #+
    loss = ds.nll_loss(ds.log(share + 1e-8), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
