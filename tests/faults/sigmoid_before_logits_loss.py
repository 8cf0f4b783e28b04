import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

net = ds.Sequential(ds.Linear(8, 8), ds.Tanh(), ds.Linear(8, 1))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
target = (y[:, None] > 0).astype(np.float32)
for _ in range(8):
    out = net(x)
    out = ds.sigmoid(out)  #-
    loss = ds.binary_cross_entropy_with_logits(out, target)
    opt.zero_grad()
    loss.backward()
    opt.step()
