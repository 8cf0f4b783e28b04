import numpy as np
import dsviz as ds

ds.manual_seed(1)
w = ds.Parameter(np.array([[2.0, 1.0], [0.5, 1.5]], np.float32))
opt = ds.optim.Adam([w], lr=0.01)
for _ in range(4):
    dots = (w[0] * w[1]).sum()
    angle = ds.acos(dots)  #-!
    angle = ds.acos(dots / 10)  #+
    loss = angle * 2 + 1
    opt.zero_grad()
    loss.backward()
    opt.step()
