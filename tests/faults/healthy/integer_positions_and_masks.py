import numpy as np
import dsviz as ds

ds.manual_seed(0)
pos = ds.arange(6)
bias = -(pos[:, None] - pos).abs().float()
mask = pos[:, None] >= pos
lin = ds.Linear(4, 4)
opt = ds.optim.SGD(lin.parameters(), lr=0.1)
for _ in range(4):
    x = ds.randn(3, 6, 4)
    s = lin(x) @ x.transpose(1, 2) + bias
    s = ds.where(mask, s, ds.full((6, 6), -1e9))
    loss = (ds.softmax(s, dim=-1) @ x - x).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
