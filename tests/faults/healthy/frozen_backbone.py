import numpy as np
import dsviz as ds

ds.manual_seed(0)
backbone = ds.Sequential(ds.Linear(8, 16), ds.BatchNorm1d(16), ds.ReLU())
backbone.requires_grad_(False)
backbone.eval()
head = ds.Linear(16, 3)
opt = ds.optim.Adam([*backbone.parameters(), *head.parameters()], lr=1e-2)
rng = np.random.default_rng(0)
for _ in range(10):
    x = rng.normal(size=(20, 8)).astype(np.float32)
    loss = ds.cross_entropy(head(backbone(x)), x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
