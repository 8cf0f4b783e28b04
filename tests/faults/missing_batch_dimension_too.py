import numpy as np
import dsviz as ds

ds.manual_seed(2)
image = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
net = ds.Sequential(ds.Conv2d(3, 8, 3, padding=1), ds.ReLU(), ds.Flatten(), ds.Linear(8 * 16 * 16, 4))
x = ds.tensor(image)  #-!
x = ds.tensor(image)[None]  #+
print(net(x).argmax(1).item())
