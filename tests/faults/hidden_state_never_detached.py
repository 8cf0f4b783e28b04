import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
cell, head = ds.LSTMCell(3, 5), ds.Linear(5, 1)
opt = ds.optim.Adam([*cell.parameters(), *head.parameters()], lr=1e-2)
state = None
for step in range(6):
    x = ds.tensor(rng.standard_normal((4, 3)).astype(np.float32))
    state = cell(x, state)  #-!
    state = cell(x, state)  #+
    loss = head(state[0]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    state = tuple(s.detach() for s in state)  #+
