import numpy as np
import dsviz as ds

net = ds.Sequential(ds.Linear(4, 4), ds.ReLU(), ds.Linear(4, 2))
net.eval()
print(net(np.ones((3, 4), np.float32)).shape)
