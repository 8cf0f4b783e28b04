import numpy as np
import dsviz as ds

x = ds.tensor(np.array([[1.0, 200.0, 3.0]], np.float32), requires_grad=True)
e = ds.exp(x)  #-!
e = ds.exp(x - x.max())  #+
p = e / e.sum(dim=1, keepdim=True)
loss = -(p[0, 0] + 1e-9).log()
loss.backward()
