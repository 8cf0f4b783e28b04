import numpy as np
import dsviz as ds

class LM(ds.Module):
    def __init__(self, v, d, h):
        self.tok, self.pos = ds.Embedding(v, d), ds.Embedding(16, d)
        self.qkv, self.o, self.out, self.h = ds.Linear(d, 3 * d), ds.Linear(d, d), ds.Linear(d, v), h
        self.norm = ds.nn.LayerNorm(d)

    def forward(self, ids):
        B, T = ids.shape
        x = self.tok(ids) + self.pos(np.arange(T))
        q, k, v = self.qkv(self.norm(x)).reshape(B, T, 3, self.h, -1).permute(2, 0, 3, 1, 4).unbind(0)
        s = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5
        s = s.masked_fill(ds.tensor(np.triu(np.ones((T, T), bool), 1)), -np.inf)
        y = ds.dropout(ds.softmax(s, dim=-1), 0.1, training=self.training) @ v
        return self.out(x + self.o(y.transpose(1, 2).reshape(B, T, -1)))

ds.manual_seed(0)
net = LM(50, 16, 2)
opt = ds.optim.AdamW(net.parameters(), lr=3e-3)
rng = np.random.default_rng(0)
for i in range(6):
    net.train()
    s = rng.integers(0, 20, (4, 9))
    loss = ds.cross_entropy(net(s[:, :-1]).reshape(-1, 50), s[:, 1:].reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
net.eval()
with ds.no_grad():
    print(net(s[:, :-1]).argmax(-1).shape)
