import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 32), ds.ReLU(), ds.Linear(32, 1))
with ds.no_grad():
    net[0].bias[:8] = -30.0
opt = ds.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
rng = np.random.default_rng(0)
for _ in range(15):
    x = rng.normal(size=(32, 4)).astype(np.float32)
    loss = ds.nn.functional.smooth_l1_loss(net(x)[:, 0], ds.tensor(x[:, 0])) if hasattr(ds.nn.functional, "smooth_l1_loss") else (net(x)[:, 0] - ds.tensor(x[:, 0])).abs().mean()
    opt.zero_grad(set_to_none=False)
    loss.backward()
    opt.step()
