import numpy as np
import dsviz as ds

w = ds.tensor(np.array([2.0, 0.0, 3.0], np.float32), requires_grad=True)
opt = ds.optim.SGD([w], lr=0.1)
for _ in range(3):
    safe = w  #-
    safe = ds.where(w > 0, w, ds.ones(3))  #+
    y = ds.where(w > 0, ds.sqrt(safe), ds.zeros(3))  #-!
    y = ds.where(w > 0, ds.sqrt(safe), ds.zeros(3))  #+
    opt.zero_grad()
    y.sum().backward()
    opt.step()
