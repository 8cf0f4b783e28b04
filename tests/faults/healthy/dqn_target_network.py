import copy
import numpy as np
import dsviz as ds

ds.manual_seed(0)
q = ds.Sequential(ds.Linear(4, 16), ds.ReLU(), ds.Linear(16, 3))
target = copy.deepcopy(q)
opt = ds.optim.RMSprop(q.parameters(), lr=1e-3)
rng = np.random.default_rng(0)
for i in range(10):
    s, s2 = rng.normal(size=(2, 16, 4)).astype(np.float32)
    a, r = rng.integers(0, 3, 16), ds.tensor(rng.random(16).astype(np.float32))
    now = q(s)[np.arange(16), a]
    with ds.no_grad():
        goal = r + 0.9 * target(s2).max(dim=1)[0]
    loss = (now - goal).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 4 == 3:
        target.load_state_dict(q.state_dict())
