import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
G = ds.Sequential(ds.Linear(4, 16), ds.ReLU(), ds.Linear(16, 2))
D = ds.Sequential(ds.Linear(2, 16), ds.LeakyReLU(0.2), ds.Linear(16, 1))
og, od = ds.optim.Adam(G.parameters(), lr=1e-3), ds.optim.Adam(D.parameters(), lr=1e-3)
bce = ds.nn.BCEWithLogitsLoss()
for _ in range(12):
    real = ds.tensor(rng.normal(size=(16, 2)).astype(np.float32) + 2)
    fake = G(ds.randn(16, 4))
    od.zero_grad()
    d = bce(D(real), ds.ones(16, 1)) + bce(D(fake.detach()), ds.zeros(16, 1))
    d.backward()
    od.step()
    og.zero_grad()
    g = bce(D(fake), ds.ones(16, 1))
    g.backward()
    og.step()
