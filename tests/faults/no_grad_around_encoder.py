import numpy as np
import dsviz as ds

ds.manual_seed(0)
enc, head = ds.Linear(10, 8), ds.Linear(8, 2)
opt = ds.optim.Adam(list(enc.parameters()) + list(head.parameters()), lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(16, 10)).astype(np.float32)
    with ds.no_grad():  #-
    if True:  #+
        z = ds.tanh(enc(x))
    loss = ds.cross_entropy(head(z), (x[:, 0] > 0).astype(np.int64))
    opt.zero_grad()
    loss.backward()
    opt.step()
