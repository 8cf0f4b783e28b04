import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 5)).astype(np.float32)
y = (x @ np.array([1.0, -2.0, 0.5, 0.0, 3.0], np.float32)).astype(np.float32)
model = ds.Sequential(ds.Linear(5, 16), ds.ReLU(), ds.Linear(16, 1))
opt = ds.optim.SGD(model.parameters(), lr=0.01)
for _ in range(10):
    pred = model(x)
    loss = ((pred - ds.tensor(y)) ** 2).mean()  #-!
    loss = ((pred[:, 0] - ds.tensor(y)) ** 2).mean()  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
