import numpy as np
import dsviz as ds

ds.manual_seed(0)
lstm, head = ds.nn.LSTM(3, 8), ds.Linear(8, 3)
opt = ds.optim.SGD([*lstm.parameters(), *head.parameters()], lr=0.05)
rng = np.random.default_rng(0)
state = None
total = 0.0
for _ in range(8):
    x = ds.tensor(rng.normal(size=(5, 4, 3)).astype(np.float32))
    out, state = lstm(x, state)
    state = tuple(s.detach() for s in state)
    loss = ((head(out[:-1]) - x[1:]) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    ds.nn.utils.clip_grad_norm_(lstm.parameters(), 1.0)
    opt.step()
    total += loss.item()
