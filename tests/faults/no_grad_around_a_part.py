import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 8)).astype(np.float32)
y = (x[:, :3].argmax(1)).astype(np.int64)

encoder, head = ds.Linear(8, 16), ds.Linear(16, 3)
opt = ds.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
for _ in range(10):
    with ds.no_grad():  #-
    if True:  #+
        h = ds.relu(encoder(x))
    loss = ds.cross_entropy(head(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
