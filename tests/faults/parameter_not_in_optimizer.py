import numpy as np
import dsviz as ds

ds.manual_seed(0)
enc = ds.Linear(7, 9)
dec = ds.Linear(9, 7)
opt = ds.optim.Adam(enc.parameters(), lr=1e-2)  #-!
opt = ds.optim.Adam([*enc.parameters(), *dec.parameters()], lr=1e-2)  #+
rng = np.random.default_rng(0)
for _ in range(8):
    x = ds.tensor(rng.normal(size=(16, 7)).astype(np.float32))
    loss = (dec(ds.tanh(enc(x))) - x).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
