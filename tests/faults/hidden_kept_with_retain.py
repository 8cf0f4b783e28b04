import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
cell, head = ds.nn.GRUCell(3, 8), ds.Linear(8, 3)
opt = ds.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
state = ds.zeros(4, 8)
for _ in range(7):
    x = rng.normal(size=(4, 3)).astype(np.float32)
    state = cell(x, state)  #-!
    state = cell(x, state.detach())  #+
    loss = ((head(state) - ds.tensor(x)) ** 2).mean()
    opt.zero_grad()
    loss.backward(retain_graph=True)
    opt.step()
