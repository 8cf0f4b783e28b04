import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Sequential(ds.Linear(4, 8), ds.Tanh(), ds.Linear(8, 3))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(8):
    x = rng.normal(size=(16, 4)).astype(np.float32)
    p = ds.softmax(net(x), dim=1)  #-!
    p = ds.log_softmax(net(x), dim=1)  #+
    loss = ds.nll_loss(p, x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
