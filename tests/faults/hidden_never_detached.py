import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
cell, head = ds.nn.RNNCell(3, 8), ds.Linear(8, 3)
opt = ds.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
h = ds.zeros(4, 8)
for _ in range(6):
    h = h.detach()  #+
    x = rng.normal(size=(4, 3)).astype(np.float32)
    h = cell(x, h)  #-!
    h = cell(x, h)  #+
    loss = ((head(h) - ds.tensor(x)) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
