import numpy as np
import dsviz as ds

class Moe(ds.Module):
    def __init__(self):
        self.experts = ds.ModuleList([ds.Linear(4, 4) for _ in range(4)])
        self.gate = ds.Linear(4, 4)

    def forward(self, x):
        g = ds.softmax(self.gate(x), dim=-1)
        top = int(g.mean(dim=0).argmax().item())
        return self.experts[top](x) * g[:, top : top + 1]

ds.manual_seed(0)
net = Moe()
opt = ds.optim.Adam(net.parameters(), lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(6):
    x = rng.normal(size=(8, 4)).astype(np.float32)
    loss = (net(x) - ds.tensor(x)).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
