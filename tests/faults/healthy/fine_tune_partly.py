import numpy as np
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(6, 12), ds.ReLU(), ds.Linear(12, 12), ds.ReLU(), ds.Linear(12, 2))
for p in net[0].parameters():
    p.requires_grad_(False)
opt = ds.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
sched = ds.optim.lr_scheduler.StepLR(opt, 4, 0.5)
rng = np.random.default_rng(0)
for epoch in range(3):
    net.train()
    for _ in range(4):
        x = rng.normal(size=(16, 6)).astype(np.float32)
        loss = ds.cross_entropy(net(x), (x[:, 0] > 0).astype(np.int64))
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
    net.eval()
    with ds.no_grad():
        acc = (net(x).argmax(1).numpy() == (x[:, 0] > 0)).mean()
