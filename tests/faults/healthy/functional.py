import numpy as np
import dsviz as ds

rng = np.random.default_rng(0)
w1 = ds.tensor(rng.normal(size=(3, 8)).astype(np.float32) * 0.5, requires_grad=True)
b1 = ds.zeros(8, requires_grad=True)
w2 = ds.tensor(rng.normal(size=(8, 1)).astype(np.float32) * 0.5, requires_grad=True)
lr = 0.1
for _ in range(12):
    x = rng.normal(size=(32, 3)).astype(np.float32)
    y = ds.tensor(np.sin(x[:, :1]))
    loss = ((ds.tanh(ds.tensor(x) @ w1 + b1) @ w2 - y) ** 2).mean()
    loss.backward()
    with ds.no_grad():
        for p in (w1, b1, w2):
            p -= lr * p.grad
            p.grad = None
