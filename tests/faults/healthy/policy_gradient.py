import numpy as np
import dsviz as ds

ds.manual_seed(0)
policy = ds.Sequential(ds.Linear(3, 16), ds.Tanh(), ds.Linear(16, 2))
value = ds.Sequential(ds.Linear(3, 16), ds.Tanh(), ds.Linear(16, 1))
opt = ds.optim.Adam([*policy.parameters(), *value.parameters()], lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(10):
    s = rng.normal(size=(24, 3)).astype(np.float32)
    logits = policy(s)
    p = ds.softmax(logits, dim=-1).detach().numpy()
    a = np.array([rng.choice(2, p=q / q.sum()) for q in p.astype(np.float64)])
    r = (a == (s[:, 0] > 0)).astype(np.float32)
    v = value(s)[:, 0]
    adv = (ds.tensor(r) - v).detach()
    logp = ds.log_softmax(logits, dim=-1)[np.arange(24), a]
    loss = -(logp * adv).mean() + 0.5 * (v - ds.tensor(r)).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
