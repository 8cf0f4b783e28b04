import numpy as np
import dsviz as ds

class Attend(ds.Module):
    def __init__(self, d):
        self.q, self.k, self.v = ds.Linear(d, d), ds.Linear(d, d), ds.Linear(d, d)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(-2, -1) / 4.0
        weights = ds.softmax(scores, dim=1)  #-!
        weights = ds.softmax(scores, dim=-1)  #+
        return weights @ self.v(x)

ds.manual_seed(0)
att, head = Attend(16), ds.Linear(16, 2)
opt = ds.optim.Adam([*att.parameters(), *head.parameters()], lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(5):
    x = rng.normal(size=(8, 7, 16)).astype(np.float32)
    loss = ds.cross_entropy(head(att(x).mean(dim=1)), (x[:, 0, 0] > 0).astype(np.int64))
    opt.zero_grad()
    loss.backward()
    opt.step()
