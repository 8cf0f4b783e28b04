import numpy as np
import dsviz as ds

ds.manual_seed(0)
score, head = ds.Linear(6, 1), ds.Linear(6, 2)
opt = ds.optim.SGD([*score.parameters(), *head.parameters()], lr=0.1)
rng = np.random.default_rng(0)
for n in (5, 7, 3, 9):
    x = ds.tensor(rng.normal(size=(n, 6)).astype(np.float32))
    w = ds.softmax(score(x), dim=0)
    pooled = (w * x).sum(dim=0, keepdim=True)
    loss = ds.cross_entropy(head(pooled), np.array([n % 2]))
    opt.zero_grad()
    loss.backward()
    opt.step()
