import numpy as np
import dsviz as ds

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = ds.Sequential(ds.Linear(6, 20), ds.BatchNorm1d(20), ds.ReLU(), ds.Dropout(0.2), ds.Linear(20, 2))
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(8):
    x = rng.normal(size=(32, 6)).astype(np.float32)
    loss = ds.cross_entropy(net(x), (x[:, 0] > 0).astype(np.int64))
    opt.zero_grad()
    loss.backward()
    opt.step()
test = rng.normal(size=(32, 6)).astype(np.float32)
net.eval()  #+
with ds.no_grad():
    guess = net(test).argmax(dim=1)  #-!
    guess = net(test).argmax(dim=1)  #+
print(guess.numpy().mean())
