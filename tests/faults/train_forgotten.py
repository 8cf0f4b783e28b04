import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Sequential(ds.Linear(6, 20), ds.ReLU(), ds.Dropout(0.2), ds.Linear(20, 2))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(3):
    net.train()  #+
    for _ in range(4):
        x = rng.normal(size=(32, 6)).astype(np.float32)
        loss = ds.cross_entropy(net(x), (x[:, 0] > 0).astype(np.int64))
        opt.zero_grad()
        loss.backward()
        opt.step()
    net.eval()  #-!
    net.eval()  #+
    with ds.no_grad():
        print((net(x).argmax(1).numpy() == (x[:, 0] > 0)).mean())
