import numpy as np
import dsviz as ds

ds.manual_seed(0)
T, D = 6, 8
emb, q, k, v, head = ds.Embedding(11, D), ds.Linear(D, D), ds.Linear(D, D), ds.Linear(D, D), ds.Linear(D, 11)
mods = [emb, q, k, v, head]
opt = ds.optim.Adam([p for m in mods for p in m.parameters()], lr=1e-2)
rng = np.random.default_rng(0)
hide = ds.tril(ds.ones(T, T), diagonal=-1) > 0  #-!
hide = ds.triu(ds.ones(T, T), diagonal=1) > 0  #+
for _ in range(5):
    s = rng.integers(0, 11, (4, T + 1))
    x = emb(s[:, :-1])
    scores = q(x) @ k(x).transpose(1, 2) / D**0.5
    att = ds.softmax(scores.masked_fill(hide, -1e9), dim=-1)
    logits = head(att @ v(x))
    loss = ds.cross_entropy(logits.reshape(-1, 11), s[:, 1:].reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
