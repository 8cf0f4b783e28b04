import numpy as np
import dsviz as ds

ds.manual_seed(5)
rng = np.random.default_rng(5)
net = ds.Sequential(
    ds.Linear(4, 8),
    ds.ReLU(),
    ds.Linear(8, 1),
    ds.Sigmoid(),  #-
)
criterion = ds.nn.BCEWithLogitsLoss()
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for _ in range(10):
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = (x.sum(1, keepdims=True) > 0).astype(np.float32)
    out = net(x)
    loss = criterion(out, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
