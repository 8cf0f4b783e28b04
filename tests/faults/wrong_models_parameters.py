import numpy as np
import dsviz as ds

ds.manual_seed(0)
teacher, student = ds.Linear(6, 2), ds.Linear(6, 2)
opt = ds.optim.SGD(teacher.parameters(), lr=0.1)  #-!
opt = ds.optim.SGD(student.parameters(), lr=0.1)  #+
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(10, 6)).astype(np.float32)
    loss = ds.cross_entropy(student(x), (x[:, 0] > 0).astype(np.int64))
    opt.zero_grad()
    loss.backward()
    opt.step()
