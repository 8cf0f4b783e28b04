import numpy as np

import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Sequential(ds.Conv2d(1, 4, 3), ds.ReLU(), ds.Flatten(), ds.Linear(144, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
images = rng.standard_normal((12, 1, 8, 8)).astype(np.float32)
for image in images[:4]:
    loss = ds.cross_entropy(net(image), np.array([1]))  #-
    loss = ds.cross_entropy(net(image[None]), np.array([1]))  #+
    opt.zero_grad()
    loss.backward()
    opt.step()
