import numpy as np
import dsviz as ds

ds.manual_seed(0)
body, head = ds.Sequential(ds.Linear(8, 16), ds.Tanh()), ds.Linear(16, 3)
opt = ds.optim.Adam(head.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(10):
    x = rng.normal(size=(20, 8)).astype(np.float32)
    with ds.no_grad():
        z = body(x)
    loss = ds.cross_entropy(head(z), x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
