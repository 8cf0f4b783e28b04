import numpy as np
import dsviz as ds

rng = np.random.default_rng(1)
ds.manual_seed(1)
x = ds.tensor(rng.normal(size=(16, 10)).astype(np.float32))
w = ds.randn(10, 6)
b = ds.zeros(6)
h = ds.tanh(x @ w.T + b)  #-!
h = ds.tanh(x @ w + b)  #+
print(h.sum().item())
