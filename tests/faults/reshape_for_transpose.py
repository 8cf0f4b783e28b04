import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
gru = ds.nn.GRU(5, 8)
head = ds.Linear(8, 2)
opt = ds.optim.Adam([*gru.parameters(), *head.parameters()], lr=1e-2)
for _ in range(4):
    batch = ds.tensor(rng.normal(size=(6, 9, 5)).astype(np.float32))
    seq = batch.reshape(9, 6, 5)  #-!
    seq = batch.transpose(0, 1)  #+
    out, h = gru(seq)
    loss = ds.cross_entropy(head(out[-1]), (batch[:, 0, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
