import numpy as np
import dsviz as ds

ds.manual_seed(0)
emb = ds.Linear(5, 3)
opt = ds.optim.Adam(emb.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(12, 5)).astype(np.float32)
    labels = rng.integers(0, 3, 12)
    z = emb(x)
    d = ((z[:, None, :] - z[None, :, :]) ** 2).sum(-1)
    same = ds.tensor((labels[:, None] == labels[None, :]).astype(np.float32))
    loss = (same * d + (1 - same) * ds.relu(1.0 - d)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
