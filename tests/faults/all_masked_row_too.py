import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = ds.tensor(rng.normal(size=(2, 5, 4)).astype(np.float32))
lengths = np.array([5, 0])
lengths = np.array([5, 2])  #+
keep = ds.tensor(np.arange(5)[None, :] < lengths[:, None])
w = ds.Linear(4, 4)
scores = w(x) @ x.transpose(1, 2)
scores = scores.masked_fill(~keep[:, None, :], float("-inf"))  #-!
scores = scores.masked_fill(~keep[:, None, :], float("-inf"))  #+
out = ds.softmax(scores, dim=-1) @ x
out.sum().backward()
