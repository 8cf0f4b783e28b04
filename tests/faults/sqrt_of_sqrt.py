import numpy as np
import dsviz as ds

x = ds.tensor(np.array([4.0, -1.0, 9.0], np.float32), requires_grad=True)
a = ds.sqrt(x)  #-!
a = ds.sqrt(x.abs())  #+
b = ds.sqrt(a)
(b * 2).sum().backward()
