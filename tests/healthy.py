"""Healthy programs in many styles: what looks odd in them is meant, and `dsviz diagnose` has to stay silent."""

from __future__ import annotations

from pathlib import Path

START = """
import numpy as np
import dsviz as ds
from dsviz import nn, optim
ds.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((48, 6)).astype(np.float32)
y = x[:, :3].argmax(1)
"""

HEALTHY = {
    "gan": """
make = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 6))
judge = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
first, second = optim.Adam(make.parameters(), lr=1e-3), optim.Adam(judge.parameters(), lr=1e-3)
for _ in range(8):
    fake = make(ds.randn(48, 2))
    loss = ds.binary_cross_entropy_with_logits(judge(x), ds.ones(48, 1)) + ds.binary_cross_entropy_with_logits(
        judge(fake.detach()), ds.zeros(48, 1))
    second.zero_grad()
    loss.backward()
    second.step()
    loss = ds.binary_cross_entropy_with_logits(judge(fake), ds.ones(48, 1))
    first.zero_grad()
    loss.backward()
    first.step()
""",
    "frozen backbone": """
body, head = nn.Linear(6, 16), nn.Linear(16, 3)
body.requires_grad_(False)
opt = optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
for _ in range(10):
    loss = ds.cross_entropy(head(ds.relu(body(x))), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "backbone under no_grad": """
body, head = nn.Linear(6, 16), nn.Linear(16, 3)
opt = optim.Adam(head.parameters())
for _ in range(10):
    with ds.no_grad():
        h = ds.relu(body(x))
    loss = ds.cross_entropy(head(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "gradient accumulation": """
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
opt = optim.SGD(net.parameters(), lr=0.1)
for step in range(12):
    part = slice(step % 3 * 16, step % 3 * 16 + 16)
    (ds.cross_entropy(net(x[part]), y[part]) / 3).backward()
    if step % 3 == 2:
        opt.step()
        opt.zero_grad()
""",
    "zeroed in place": """
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
opt = optim.SGD(net.parameters(), lr=0.1)
for step in range(8):
    opt.zero_grad(set_to_none=False)
    ds.cross_entropy(net(x), y).backward()
    opt.step()
""",
    "truncated recurrence": """
cell, head = nn.GRUCell(6, 8), nn.Linear(8, 1)
opt = optim.Adam([*cell.parameters(), *head.parameters()], lr=1e-2)
h = ds.zeros(4, 8)
for start in range(0, 48, 4):
    h = cell(ds.tensor(x[start:start + 4]), h.detach())
    loss = head(h).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "train and evaluate in turns": """
net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
opt = optim.AdamW(net.parameters(), lr=1e-2)
best, history = 0.0, []
for epoch in range(4):
    net.train()
    for start in range(0, 48, 16):
        loss = ds.cross_entropy(net(x[start:start + 16]), y[start:start + 16])
        opt.zero_grad()
        loss.backward()
        opt.step()
        history.append(loss.item())
    net.eval()
    with ds.no_grad():
        best = max(best, float((net(x).argmax(1) == ds.tensor(y)).float().mean()))
""",
    "causal attention": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(6, 18), nn.Linear(6, 6)
        self.register_buffer("mask", ds.triu(ds.ones(8, 8), 1).bool())
    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        s = (q @ k.transpose(-2, -1)) / 6 ** 0.5
        s = s.masked_fill(self.mask, float("-inf"))
        return self.out(s.softmax(-1) @ v)
net = Net()
opt = optim.Adam(net.parameters(), lr=1e-2)
seq = x.reshape(6, 8, 6)
for _ in range(6):
    loss = ((net(ds.tensor(seq))[:, :-1] - ds.tensor(seq[:, 1:])) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "padded attention": """
layer = nn.TransformerEncoderLayer(6, 2, 12, dropout=0.1, batch_first=True)
head = nn.Linear(6, 3)
opt = optim.Adam([*layer.parameters(), *head.parameters()], lr=1e-3)
pad = np.arange(8)[None] >= np.array([8, 5, 3, 8, 2, 6])[:, None]
for _ in range(5):
    out = layer(ds.tensor(x.reshape(6, 8, 6)), src_key_padding_mask=ds.tensor(pad))
    loss = ds.cross_entropy(head(out.mean(1)), y[:6])
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "autoencoder with tied weights": """
w = nn.Parameter(ds.randn(6, 3) * 0.3)
opt = optim.Adam([w], lr=1e-2)
for _ in range(10):
    code = ds.sigmoid(ds.tensor(x) @ w)
    loss = ds.mse_loss(code @ w.T, ds.tensor(x))
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "regression by hand": """
w, b = ds.zeros(6, 1, requires_grad=True), ds.zeros(1, requires_grad=True)
t = (x @ np.arange(6)[:, None]).astype(np.float32)
for _ in range(20):
    loss = ((ds.tensor(x) @ w + b - ds.tensor(t)) ** 2).mean()
    w.grad = b.grad = None
    loss.backward()
    with ds.no_grad():
        w -= 0.05 * w.grad
        b -= 0.05 * b.grad
""",
    "pairwise distances": """
net = nn.Linear(6, 2)
opt = optim.Adam(net.parameters(), lr=1e-2)
d = ds.tensor(np.linalg.norm(x[:, None] - x[None], axis=2).astype(np.float32))
for _ in range(8):
    z = net(x)
    gap = ((z[:, None] - z[None]) ** 2).sum(-1)
    loss = ((ds.sqrt(gap + 1e-6) - d) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "policy gradient": """
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
opt = optim.Adam(net.parameters(), lr=1e-2)
for _ in range(8):
    share = ds.softmax(net(x), dim=-1)
    act = np.array([rng.choice(3, p=p / p.sum()) for p in share.detach().numpy().astype(np.float64)])
    reward = ds.tensor((act == y).astype(np.float32) - 0.3)
    loss = -(ds.log(share[np.arange(48), act]) * reward).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "target network": """
import copy
net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
target = copy.deepcopy(net)
opt = optim.RMSprop(net.parameters(), lr=1e-3)
for step in range(12):
    with ds.no_grad():
        best = target(x).max(1).values
    value = net(x).gather(1, ds.tensor((y % 2)[:, None])).squeeze(1)
    loss = ds.smooth_l1_loss(value, 0.9 * best + 0.1)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 4 == 3:
        target.load_state_dict(net.state_dict())
""",
    "a branch that is rarely taken": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.rare, self.head = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)
    def forward(self, x, rare):
        x = ds.relu(self.one(x))
        if rare:
            x = ds.relu(self.rare(x))
        return self.head(x)
net = Net()
opt = optim.Adam(net.parameters(), lr=1e-2)
for step in range(20):
    loss = ds.cross_entropy(net(x, step == 9), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "embeddings that are never hit": """
embed, head = nn.Embedding(100, 8), nn.Linear(8, 3)
opt = optim.SGD([*embed.parameters(), *head.parameters()], lr=0.5)
for _ in range(12):
    ids = rng.integers(0, 12, (16, 4))
    loss = ds.cross_entropy(head(embed(ids).mean(1)), ids[:, 0] % 3)
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    "gates and a norm": """
net = nn.Sequential(nn.Linear(6, 24), nn.GLU(), nn.LayerNorm(12), nn.Linear(12, 1))
opt = optim.Adam(net.parameters(), lr=5e-3)
t = (x.sum(1, keepdims=True) > 0).astype(np.float32)
for _ in range(10):
    loss = ds.binary_cross_entropy(ds.sigmoid(net(x)), ds.tensor(t))
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
""",
    "only inference": """
net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3)).eval()
with ds.no_grad():
    print(net(x).softmax(1).sum())
""",
    "one step": """
net = nn.Linear(6, 3)
opt = optim.SGD(net.parameters(), lr=0.1)
loss = ds.cross_entropy(net(x), y)
loss.backward()
opt.step()
""",
    "losses of several kinds": """
net = nn.Sequential(nn.Linear(6, 8), nn.ELU(), nn.Linear(8, 3))
opt = optim.Adam(net.parameters(), lr=1e-2)
total = 0.0
for _ in range(8):
    out = net(x)
    soft = ds.kl_div(ds.log_softmax(out, 1), ds.softmax(out.detach() / 2, 1), reduction="batchmean")
    loss = ds.nll_loss(ds.log_softmax(out, 1), y) + 0.1 * soft + 1e-3 * sum(p.pow(2).sum() for p in net.parameters())
    opt.zero_grad()
    loss.backward()
    opt.step()
    total += loss.item()
""",
}

for path in sorted((Path(__file__).parent / "faults" / "healthy").glob("*.py")):
    HEALTHY[path.stem.replace("_", " ") + " (file)"] = path.read_text(encoding="utf-8")
