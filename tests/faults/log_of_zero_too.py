import numpy as np
import dsviz as ds

ds.manual_seed(3)
rng = np.random.default_rng(3)
x = rng.normal(size=(40, 4)).astype(np.float32)
y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)]
lin = ds.Linear(4, 3)
opt = ds.optim.SGD(lin.parameters(), lr=0.05)
for step in range(6):
    p = ds.softmax(lin(x * (1000 if step == 3 else 1)), dim=1)
    logp = ds.log(p)  #-!
    logp = ds.log(p + 1e-6)  #+
    loss = -(ds.tensor(y) * logp).sum(dim=1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
