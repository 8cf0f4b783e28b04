import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
f1, f2 = ds.Linear(4, 8), ds.Linear(8, 1)
opt = ds.optim.Adam([*f1.parameters(), *f2.parameters()], lr=1e-2)
for _ in range(8):
    x = rng.normal(size=(16, 4)).astype(np.float32)
    y = ds.tensor((x[:, :1] > 0).astype(np.float32))
    s = f2(ds.relu(f1(x)))
    p = ds.softmax(s, dim=1)  #-!
    p = ds.sigmoid(s)  #+
    loss = ds.nn.functional.binary_cross_entropy(p, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
