import numpy as np
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.fc1 = ds.Linear(6, 20)
        self.fc2 = ds.Linear(20, 2)

    def forward(self, x):
        x = ds.relu(self.fc1(x))
        x = ds.dropout(x, 0.3)  #-!
        x = ds.dropout(x, 0.3, training=self.training)  #+
        return self.fc2(x)

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = Net()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(8):
    x = rng.normal(size=(32, 6)).astype(np.float32)
    loss = ds.cross_entropy(net(x), (x[:, 0] > 0).astype(np.int64))
    opt.zero_grad()
    loss.backward()
    opt.step()
net.eval()
with ds.no_grad():
    print((net(x).argmax(dim=1).numpy() == (x[:, 0] > 0)).mean())
